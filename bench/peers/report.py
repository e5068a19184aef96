"""What does the run say? One Markdown table for each number of threads, from the raw times."""

import math
import statistics
from typing import Any

from engines import BF16, ENGINES, F32, OURS, rival
from measure import Row, Timing

TOLERANCE = 1e-3
# What a machine does by itself.
QUIET_SHARE = 0.05


def render(rows: list[Row], machine: dict[str, Any], peaks: dict[int, dict[str, Any]], command: str) -> str:
    """The whole of RESULTS.md."""
    parts = ["# Results", "", f"`{command}`", "", *about(machine, peaks), "", *summary(rows), ""]
    for threads in sorted({row.threads for row in rows}):
        of_threads = [row for row in rows if row.threads == threads]
        parts += [f"## {threads_of(threads).capitalize()}", "", *times(of_threads), ""]
        parts += [*verdicts(of_threads, peaks), ""]
    parts += ["## Agreement", "", *errors(rows), ""]
    return "\n".join(parts)


def about(machine: dict[str, Any], peaks: dict[int, dict[str, Any]]) -> list[str]:
    """The machine, the versions and how to read the tables."""
    cpu = ", ".join(f"{key} {value}" for key, value in machine["cpu"].items())
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    changed = machine["changed_files"]
    commit = machine["commit"] + (f" with {len(changed)} changed files" if changed else "")
    lines = [
        f"- {machine['date']}, commit {commit}",
        f"- {cpu}; {', '.join(machine['instructions'])}; Linux {machine['kernel']}",
        f"- {machine['rustc']}, Python {machine['python']}, {packages}",
    ]
    share = machine["others_share"]
    quiet = "" if share < QUIET_SHARE else "; **the machine was not quiet, so these figures are no result**"
    lines.append(f"- other programs took {share:.0%} of the processors' time meanwhile{quiet}")
    for threads, peak in sorted(peaks.items()):
        lines.append(f"- peak, {threads_of(threads)}: {peak['gflops']:.0f} GFLOP/s f32, {peak['measured_by']}")
    return lines


def threads_of(count: int) -> str:
    """The number of threads in words."""
    return "1 thread" if count == 1 else f"{count} threads"


def summary(rows: list[Row]) -> list[str]:
    """All rows in a sentence or two: the geometric mean, and the rows where a peer is faster."""
    lines = []
    for kind, peers in (("the best f32 peer", F32[1:]), ("the best bf16 peer", BF16)):
        there = [(row, best_of(row, peers)) for row in rows if OURS in row.timings and best_of(row, peers)]
        if not there:
            continue
        ratios = [(median_ratio(row, peer), paired_ratio(row, peer)) for row, peer in there]
        ratio, paired = geometric_means(ratios)
        slower = sum(ratio < 1 for ratio, _ in ratios)
        lines.append(
            f"- Against {kind}: geometric mean {ratio} of the ratios of medians, {paired} of the paired ones; "
            f"the peer is faster in {slower} of {len(ratios)} rows."
        )
    return lines


def times(rows: list[Row]) -> list[str]:
    """Milliseconds of every engine."""
    names = [name for name in ENGINES if any(name in row.timings for row in rows)]
    cells = [[row.case.title, *(time_cell(row.timings.get(name)) for name in names)] for row in rows]
    note = "Milliseconds: median of the rounds (interquartile range)."
    return [note, "", *table(["case", *names], cells)]


def time_cell(timing: Timing | None) -> str:
    """Median and spread of one engine in one case."""
    if timing is None or not timing.rounds:
        return ""
    figures = [1000 * seconds for seconds in timing.figures()]
    middle = statistics.median(figures)
    return f"{digits(middle)} ({digits(spread(figures))})"


def spread(values: list[float]) -> float:
    """The interquartile range."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def digits(value: float) -> str:
    """Three significant digits, no exponent."""
    decimals = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{min(decimals, 3)}f}"


def verdicts(rows: list[Row], peaks: dict[int, dict[str, Any]]) -> list[str]:
    """Ours against the best f32 peer and against bf16, and our share of the peak."""
    rows = [row for row in rows if OURS in row.timings]
    cells, ratios = [], {"f32": [], "bf16": []}
    for row in rows:
        best, other = best_of(row, F32[1:]), best_of(row, BF16)
        line = [row.case.title, gflop_cell(row), share_cell(row, peaks)]
        for kind, peer in (("f32", best), ("bf16", other)):
            if peer is None:
                line += [""] * 3
                continue
            ratio, paired = median_ratio(row, peer), paired_ratio(row, peer)
            ratios[kind].append((ratio, paired))
            line += [peer, f"{ratio:.2f}", f"{paired:.2f}"]
        cells.append(line)
    means = [["", *(f"**{mean}**" for mean in geometric_means(ratios[kind]))] for kind in ("f32", "bf16")]
    cells.append(["**geometric mean**", "", "", *means[0], *means[1]])
    peers = [name for kind in ("f32", "bf16") for name in (f"best {kind} peer", "ratio", "paired")]
    head = ["case", "GFLOP", "our share of peak", *peers]
    note = (
        "How many times as long the peer takes as we do: above 1 ours is faster. `ratio` is of the medians, `paired` "
        "the median of the ratios within a round. The share is nominal operations (two for each multiply-accumulate "
        "of the textbook algorithm) per second over the measured peak; Winograd convolutions carry out fewer."
    )
    return [note, "", *table(head, cells)]


def best_of(row: Row, names: tuple[str, ...]) -> str | None:
    """The engine with the least median."""
    there = [name for name in names if name in row.timings]
    return min(there, key=lambda name: middle_of(row, name), default=None)


def middle_of(row: Row, name: str) -> float:
    """Median seconds of one engine."""
    return statistics.median(row.timings[name].figures())


def median_ratio(row: Row, peer: str) -> float:
    """The peer's median over ours."""
    return middle_of(row, peer) / middle_of(row, rival(peer, row.timings))


def paired_ratio(row: Row, peer: str) -> float:
    """The median over rounds of the peer's time over ours."""
    return statistics.median(peers / ours for ours, peers in row.paired[peer])


def geometric_means(ratios: list[tuple[float, float]]) -> list[str]:
    """Of the ratios and of the paired ones."""
    if not ratios:
        return ["", ""]
    return [f"{statistics.geometric_mean(column):.2f}" for column in zip(*ratios, strict=True)]


def gflop_cell(row: Row) -> str:
    """The nominal cost of a case."""
    return "" if row.gflop is None else digits(row.gflop)


def share_cell(row: Row, peaks: dict[int, dict[str, Any]]) -> str:
    """Our nominal operations per second over the peak at as many threads."""
    if row.gflop is None or row.threads not in peaks:
        return ""
    return f"{row.gflop / middle_of(row, OURS) / peaks[row.threads]['gflops']:.0%}"


def errors(rows: list[Row]) -> list[str]:
    """How far every engine's output is from the reference's."""
    names = [name for name in ENGINES if any(name in row.timings for row in rows)]
    cells = []
    for row in rows:
        found = (row.timings.get(name) for name in names)
        cells.append([row.case.title, str(row.threads), *(error_cell(timing) for timing in found)])
    note = (
        "Largest difference from torch's output over its largest value; for the whole picture, of the final latents, "
        f"and no pixel more than one level away. An f32 engine at {TOLERANCE:g} or more fails the run. "
        "stable-diffusion.cpp shows what it computed in a picture of 255 levels: nothing below 0.005 can be seen."
    )
    return [note, "", *table(["case", "threads", *names], cells)]


def error_cell(timing: Timing | None) -> str:
    """An error in scientific notation."""
    return "" if timing is None or timing.error is None else f"{timing.error:.0e}"


def disagreements(rows: list[Row]) -> list[str]:
    """The f32 engines that did not compute the same thing."""
    return [
        f"{row.case.name}, {threads_of(row.threads)}: {name} is off by {timing.error:.1e}"
        for row in rows
        for name, timing in row.timings.items()
        if name in F32 and timing.error is not None and not timing.error < TOLERANCE
    ]


def table(head: list[str], cells: list[list[str]]) -> list[str]:
    """Lines of a Markdown table, numbers to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(line) + " |" for line in (head, rule, *cells)]
