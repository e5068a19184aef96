"""Do predicted latencies hold? Sends mixed requests to a running server and scores what it promised.

Standard library only. The static table that the server is compared with is what the probe found and
nobody learned from:

    goldilocks calibrate latency --state-dir /tmp/run --json > table.json
    goldilocks serve --state-dir /tmp/run &
    python scripts/latency_run.py --table table.json --output run.jsonl
    python scripts/latency_run.py --table table.json --output loaded.jsonl --load 2:20:40
    python scripts/latency_run.py --score loaded.jsonl --load 2:20:40 --plot loaded.svg

Requests go one at a time, `on_late: run_late`; every one is a line of JSON: what was predicted, what it
took and in which phases, what the static table says, plan and pictures, and when it was sent. `goldilocks
calibrate report --requests` reads the same file.
"""

import argparse
import json
import math
import multiprocessing
import random
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

# What a server that has learned nothing multiplies its table with (src/planner/latency/errors.rs).
STATIC = {"p50": 0.98, "p95": 1.45}
PROMPTS = ["a red heart on grass", "two blue balloons at night", "three pineapples on a beach"]
COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white"]
SHAPES = ["circle", "square", "triangle", "star", "heart", "diamond"]


def post(server: str, path: str, body: dict) -> dict:
    """Returns the server's reply; raises urllib.error.HTTPError where it refuses."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(server + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as reply:
        return json.load(reply)


class Mix:
    """Requests of all kinds, the same ones for the same seed."""

    def __init__(self, server: str, seed: int):
        self.random = random.Random(seed)
        with urllib.request.urlopen(f"{server}/v1/models", timeout=60) as reply:
            models = json.load(reply)["data"]
        self.models = {model["id"]: model for model in models if "samplers" in model}
        if not self.models:
            raise SystemExit(f"{server}/v1/models lists no model with samplers")
        best = post(server, "/v1/plan", {"prompt": PROMPTS[0], "quality": "max"})
        floor = post(server, "/v1/plan", {"prompt": PROMPTS[0], "quality": "low"})
        p99 = [plan["estimate"]["latency_ms"]["p99"] for plan in (floor, best)]
        self.budgets = min(p99), 1.3 * max(p99)

    def next(self) -> tuple[str, dict]:
        """Returns a kind and a body: a latency budget, or a pinned model and number of steps."""
        draw = self.random
        body = {"prompt": self.prompt(), "n": 1 + (draw.random() < 0.3), "seed": draw.randrange(2**31)}
        if draw.random() < 0.6:
            low, high = map(math.log, self.budgets)
            latency_ms = body["n"] * math.exp(draw.uniform(low, high))
            return "budget", body | {"budget": {"latency_ms": latency_ms, "on_late": "run_late"}}
        model = draw.choice(sorted(self.models))
        few = self.models[model]["samplers"] == ["lcm"]
        steps = draw.randint(1, 4) if few else round(2 ** draw.uniform(0, 5))
        body |= {"model": model, "num_inference_steps": steps, "budget": {"on_late": "run_late"}}
        if not few:
            body["guidance_scale"] = draw.choice([1.0, 3.0])
        return "pinned", body

    def prompt(self) -> str:
        """Returns one of three prompts half of the time, else one that is hardly ever repeated."""
        draw = self.random
        if draw.random() < 0.5:
            return draw.choice(PROMPTS)
        parts = [f"a {draw.choice(COLOURS)} {draw.choice(SHAPES)}" for _ in range(2)]
        return f"{parts[0]} above {parts[1]} on a {draw.choice(COLOURS)} background"


class Table:
    """The sums of phases that a probe measured; learns nothing."""

    def __init__(self, path: str):
        self.phases: dict[tuple, float] = {}
        for entry in json.loads(Path(path).read_text()):
            of = entry["of"]
            self.phases[tuple(of[key] for key in ("phase", "model", "rows") if key in of)] = entry["ms"]

    def quantiles(self, reply: dict, n_images: int, n_texts: int) -> dict | None:
        """Returns what it predicts of the request behind a reply, with so many texts that are new: it knows
        what the server knows. None where a reply does not tell which model took which step."""
        plan = reply["plan"]
        runs = evaluations(plan, reply["estimate"]["nfe"])
        if runs is None:
            return None
        steps = sum(n * self.phases["step", model, rows] for (model, rows), n in runs.items())
        ranked = (plan.get("candidates") or {"n": 0})["n"]
        rank = ranked * self.phases["rank",] if ranked else 0.0
        picture = steps + rank + self.phases["decode",] + self.phases["encode",]
        total = n_texts * self.phases["text",] + n_images * picture
        return {name: factor * total for name, factor in STATIC.items()}


def rounded(share: float, steps: int) -> int:
    """Returns so much of the steps, halves rounded up as the server rounds them."""
    return math.floor(share * steps + 0.5)


def evaluations(plan: dict, nfe: int) -> Counter | None:
    """Returns how often a picture evaluates which model with how many rows (src/planner/workload.rs).
    A guided step evaluates two rows. In a guidance interval only some steps are guided: how many, `nfe`
    tells of a plan that has nothing else; None for the others."""
    steps, candidates = plan["steps"], plan.get("candidates")
    stages = plan.get("stages") or []
    if plan.get("guidance_interval"):
        guided = nfe - steps
        if stages or candidates or guided < 0:
            return None
        runs = Counter({(plan["model"], 1): steps - guided, (plan["model"], 2): guided})
        return +runs
    rows = 2 if plan["guidance_scale"] != 1.0 else 1
    begun, shared = 1, 0
    if candidates:
        begun, share = candidates["n"], candidates.get("pruned_after")
        shared = steps if share is None else min(max(rounded(share, steps), 1), steps)
    models, share = [], 0.0
    for stage in stages:
        share += stage["share"]
        models += [stage["model"]] * (min(rounded(share, steps), steps) - len(models))
    models += [plan["model"]] * (steps - len(models))
    runs = Counter()
    for step, model in enumerate(models):
        runs[model, rows] += begun if step < shared else 1
    counted = sum(rows * n for (_, rows), n in runs.items())
    if counted != nfe:
        raise SystemExit(f"{plan} makes {counted} evaluations here and {nfe} on the server")
    return runs


def burn() -> None:
    """Keeps one core busy until it is killed."""
    while True:
        sum(range(100_000))


class Load:
    """Busy processes that come and go."""

    def __init__(self, spec: str | None):
        parts = spec.split(":") if spec else ["0", "inf", "inf"]
        self.processes, self.start, self.stop = int(parts[0]), float(parts[1]), float(parts[2])
        self.running: list[multiprocessing.Process] = []

    def at(self, seconds: float) -> None:
        """Starts or stops what has to be at this moment."""
        wanted = self.start <= seconds < self.stop
        if wanted and not self.running:
            self.running = [multiprocessing.Process(target=burn, daemon=True) for _ in range(self.processes)]
            for process in self.running:
                process.start()
        elif not wanted:
            self.end()

    def end(self) -> None:
        """Stops all of them."""
        for process in self.running:
            process.terminate()
            process.join()
        self.running = []


def run(args: argparse.Namespace) -> list[dict]:
    """Sends the requests and writes their lines."""
    mix, table, load = Mix(args.server, args.seed), Table(args.table), Load(args.load)
    answered: set[str] = set()
    lines, refused, unpriced, started = [], 0, 0, time.monotonic()
    try:
        with Path(args.output).open("w") as output:
            while len(lines) < args.requests:
                kind, body = mix.next()
                at_s = time.monotonic() - started
                load.at(at_s)
                try:
                    reply = post(args.server, "/v1/images/generations", body)
                except urllib.error.HTTPError as error:
                    # A slow machine has no plan for the smallest budgets: nothing was promised.
                    if error.code != 422 or kind != "budget":
                        raise SystemExit(f"{error}: {error.read().decode()}") from error
                    refused += 1
                    if refused > 10 * args.requests:
                        raise SystemExit("nearly every budget is refused") from error
                    continue
                line = {
                    "predicted": reply["estimate"]["latency_ms"],
                    "actual_ms": reply["actual"]["latency_ms"],
                    "static_ms": table.quantiles(reply, body["n"], body["prompt"] not in answered),
                    "plan": reply["plan"],
                    "n": body["n"],
                    "phases_ms": reply["actual"]["phases_ms"],
                    "at_s": round(at_s, 4),
                }
                answered.add(body["prompt"])
                if line["static_ms"] is None:
                    unpriced += 1
                    continue
                lines.append(line)
                output.write(json.dumps(line) + "\n")
    finally:
        load.end()
    print(
        f"{len(lines)} requests in {time.monotonic() - started:.1f} s; {refused} refused as infeasible, "
        f"{unpriced} left out: of an interval with stages or candidates nobody tells which steps were guided"
    )
    return lines


def pinball(level: float, actual: float, quantile: float) -> float:
    """Returns the loss that is least, on average, for the true quantile, in milliseconds."""
    off = actual - quantile
    return max(level * off, (level - 1) * off)


def hindsight(lines: list[dict], level: float) -> float:
    """Returns the one factor on the table's sums that covers this share of the run, which no table
    could have known before."""
    name = "p50" if level == 0.5 else "p95"
    ratios = sorted(line["actual_ms"] / line["static_ms"][name] for line in lines)
    return ratios[min(int(level * len(ratios)), len(ratios) - 1)]


def row(name: str, lines: list[dict], best: tuple[float, float]) -> str:
    """Returns one line of the report."""
    n = len(lines)
    actual = [line["actual_ms"] for line in lines]
    sides = [[line["predicted"] for line in lines], [line["static_ms"] for line in lines]]
    cells = [f"{name:<18}{n:>5}"]
    for side in sides:
        covered = sum(a <= s["p95"] for a, s in zip(actual, side, strict=True)) / n
        errors = sorted(abs(a / s["p50"] - 1) for a, s in zip(actual, side, strict=True))
        losses = [
            sum(pinball(level, a, s[key]) for a, s in zip(actual, side, strict=True)) / n
            for level, key in ((0.95, "p95"), (0.5, "p50"))
        ]
        cells.append(f"{covered:>8.1%}{errors[n // 2]:>7.1%}{losses[0]:>8.3f}{losses[1]:>8.3f}")
    fitted = [
        sum(pinball(level, a, s[key] * by) for a, s in zip(actual, sides[1], strict=True)) / n
        for level, key, by in ((0.95, "p95", best[1]), (0.5, "p50", best[0]))
    ]
    cells.append(f"{fitted[0]:>8.3f}{fitted[1]:>8.3f}")
    return " |".join(cells)


def report(lines: list[dict]) -> str:
    """Returns coverage, median error and pinball losses, of all requests and of each class."""
    columns = f"{'p95 in':>8}{'|err|':>7}{'pin95':>8}{'pin50':>8}"
    head = [f"{'':<23} |{'learned':>31} |{'static table':>31} |{'in hindsight':>16}"]
    head.append(f"{'class':<18}{'n':>5} |{columns} |{columns} |{'pin95':>8}{'pin50':>8}")
    classes: dict[str, list[dict]] = {"all": lines}
    for quarter in range(4):
        part = lines[quarter * len(lines) // 4 : (quarter + 1) * len(lines) // 4]
        classes[f"quarter {quarter + 1}"] = part
    for line in lines:
        p50 = line["predicted"]["p50"]
        size = "p50 below 20 ms" if p50 < 20 else "p50 20 to 60 ms" if p50 < 60 else "p50 above 60 ms"
        classes.setdefault(size, []).append(line)
    for line in lines:
        classes.setdefault(line["plan"]["model"], []).append(line)
    best = hindsight(lines, 0.5), hindsight(lines, 0.95)
    rows = [row(name, part, best) for name, part in classes.items() if part]
    note = "pinball losses in ms; in hindsight: the static table times the factors that fit this run best"
    return "\n".join([*head, *rows, note])


def plot(lines: list[dict], load: Load) -> str:
    """Returns an SVG: what requests took and what was promised, over the static table's p50, so that
    long and short ones are comparable; times under load are shaded."""
    width, height, left, top = 760, 320, 56, 40
    end = max(line["at_s"] for line in lines) or 1.0
    series = [
        ("took", "#444", [line["actual_ms"] for line in lines]),
        ("promised p50", "#1f77b4", [line["predicted"]["p50"] for line in lines]),
        ("promised p95", "#d62728", [line["predicted"]["p95"] for line in lines]),
        ("static table's p95", "#999", [line["static_ms"]["p95"] for line in lines]),
    ]
    over = [[ms / line["static_ms"]["p50"] for ms, line in zip(s[2], lines, strict=True)] for s in series]
    high = 1.05 * sorted(over[0])[int(0.99 * (len(lines) - 1))]
    high = max(high, *over[2], *over[3])

    def x(at_s: float) -> float:
        return left + (width - left - 10) * min(max(at_s, 0), end) / end

    def y(ratio: float) -> float:
        return height - 30 - (height - 30 - top) * min(ratio, high) / high

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    if load.processes:
        shade = x(load.start), x(load.stop) - x(load.start)
        parts.append(
            f'<rect x="{shade[0]:.1f}" y="{top}" width="{shade[1]:.1f}" height="{height - 30 - top}" fill="#f3ead2"/>'
        )
        parts.append(f'<text x="{shade[0] + 4:.1f}" y="{top + 14}">{load.processes} busy processes</text>')
    for tick in range(int(high) + 1):
        parts.append(f'<path d="M{left} {y(tick):.1f}H{width - 10}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>')
    for share in range(5):
        at_s = end * share / 4
        anchor = "end" if share == 4 else "middle"
        parts.append(f'<text x="{x(at_s):.1f}" y="{height - 12}" text-anchor="{anchor}">{at_s:.0f} s</text>')
    for place, ((name, colour, _), values) in enumerate(zip(series, over, strict=True)):
        points = [(x(line["at_s"]), y(value)) for line, value in zip(lines, values, strict=True)]
        if name == "took":
            parts += [
                f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.6" fill="{colour}" fill-opacity=".6"/>' for a, b in points
            ]
        else:
            path = "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
            parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
        parts.append(f'<text x="{left + 150 * place}" y="20" fill="{colour}">{name}</text>')
    parts.append(
        f'<text x="14" y="{height / 2}" transform="rotate(-90 14 {height / 2})" text-anchor="middle">over the static p50</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Runs or reads a run, and prints its score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="http://127.0.0.1:8080")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", help="what `goldilocks calibrate latency --json` printed")
    parser.add_argument("--output", help="JSON lines, one a request")
    parser.add_argument("--load", metavar="N:START:STOP", help="N busy processes between two moments, in seconds")
    parser.add_argument("--plot", help="an SVG of what was promised and what it took")
    parser.add_argument("--score", help="only score a run that was written before")
    args = parser.parse_args()
    if args.score:
        lines = [json.loads(line) for line in Path(args.score).read_text().splitlines()]
    elif args.table and args.output:
        lines = run(args)
    else:
        parser.error("--table and --output are needed for a run, or --score to read one")
    if not lines:
        raise SystemExit("there are no requests to score")
    if args.plot:
        Path(args.plot).write_text(plot(lines, Load(args.load)))
    print(report(lines))


if __name__ == "__main__":
    main()
