#!/usr/bin/env python3
"""Under which load does the server still keep its budgets, and what are its pictures worth then?

Starts `goldilocks serve` on one core and the generator on another, finds the rates at which the device is full with
every request on its floor plan (C0) and on the best plan of its class (C1), and replays Poisson traces at multiples
of C1, several seeds each. Prints a table, and one line for each run. Before each run a control loop, the same bit of
arithmetic again and again on the server's core, tells how steady the machine is: a promise rests on that.

    python scripts/capacity.py --binary target/release/goldilocks
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

MULTIPLES = [0.5, 0.8, 1.0, 1.5, 3.0, 10.0]
CLASSES = [2, 4, 8, 30]  # budgets, as multiples of the floor plan's p99 latency


def post(base, path, body):
    request = urllib.request.Request(base + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


class Server:
    """The server on its core, until the block ends."""

    def __init__(self, args, state):
        self.base = f"http://127.0.0.1:{args.port}"
        command = [
            "taskset",
            "-c",
            args.server_core,
            args.binary,
            "serve",
            "--listen",
            self.base[7:],
            "--state-dir",
            state,
            "--queue-capacity",
            "256",
            "--log",
            "warn",
        ]
        self.process = subprocess.Popen(command)

    def __enter__(self):
        for _ in range(600):
            try:
                urllib.request.urlopen(self.base + "/readyz").read()
                return self
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the server did not get ready")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def learn(base, n):
    """The server's latency model learns from requests; promises rest on what it has seen."""
    budgets = [None, 40, 80, 160, 600]
    for i in range(n):
        budget = budgets[i % len(budgets)]
        body = {"prompt": "a red heart on grass", "seed": i}
        body |= {"budget": {"latency_ms": budget}} if budget else {"quality": "high"}
        try:
            post(base, "/v1/images/generations", body)
        except urllib.error.HTTPError as error:
            error.read()


def planned(base, budget):
    return post(base, "/v1/plan", {"prompt": "a red heart on grass", **budget})["estimate"]["latency_ms"]


def rates(base):
    """The floor's p99 latency, and the rates C0 and C1."""
    floor = planned(base, {"budget": {"min_score": 0, "minimize": "latency"}})
    best = [planned(base, {"budget": {"latency_ms": floor["p99"] * factor}})["p50"] for factor in CLASSES]
    return floor["p99"], 1e3 / floor["p50"], 1e3 / statistics.mean(best)


def control(core, seconds=1.0):
    """The milliseconds that each turn of the control loop took."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(core)})
    turns = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        sum(i * i for i in range(100_000))
        turns.append(1e3 * (time.perf_counter() - start))
    os.sched_setaffinity(0, everywhere)
    return turns


def run(args, work, floor, rate, seed, base):
    """One trace; returns the report."""
    trace = os.path.join(work, "trace.csv")
    budgets = ",".join(f"{factor}x:1" for factor in CLASSES)
    seconds = min(args.seconds, 4000 / rate)
    subprocess.run(
        [
            args.binary,
            "trace",
            "poisson",
            "--rate",
            str(rate),
            "--seconds",
            str(seconds),
            "--floor-ms",
            str(floor),
            "--budgets",
            budgets,
            "--seed",
            str(seed),
            "--output",
            trace,
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    load = ["taskset", "-c", args.load_core, args.binary, "load", trace, "--url", base, "--json"]
    done = subprocess.run(load, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/goldilocks")
    parser.add_argument("--port", type=int, default=18090)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--server-core", default="0")
    parser.add_argument("--load-core", default="1")
    parser.add_argument("--json", help="also write every report here")
    args = parser.parse_args()
    reports = []
    with tempfile.TemporaryDirectory() as work, Server(args, os.path.join(work, "state")) as server:
        learn(server.base, 200)
        floor, c0, c1 = rates(server.base)
        print(f"floor plan: p99 {floor:.1f} ms; C0 {c0:.1f}/s, C1 {c1:.1f}/s; budgets {CLASSES} times the floor")
        for multiple in MULTIPLES:
            for seed in range(args.seeds):
                turns = control(args.server_core)
                report = run(args, work, floor, multiple * c1, seed, server.base)
                report["multiple"], report["seed"], report["control_ms"] = multiple, seed, turns
                reports.append(report)
                late = report["sending"]["late_ms"]
                print(
                    f"  {multiple:4} x C1, seed {seed}: attainment of admitted "
                    f"{report['attainment_of_admitted']['mean']:.4f}, sent late p99 {late['p99']:.2f} ms, "
                    f"control loop median {statistics.median(turns):.2f} ms",
                    file=sys.stderr,
                )
    table(reports)
    print(f"\n{steadiness(reports)}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(reports, file, indent=1)


def steadiness(reports):
    """What the control loop says of the machine."""
    turns = sorted(ms for report in reports for ms in report["control_ms"])
    medians = [statistics.median(report["control_ms"]) for report in reports]
    return (
        f"control loop: median {statistics.median(turns):.2f} ms, p99 {turns[int(0.99 * len(turns))]:.2f} ms; "
        f"the slowest second took {max(medians) / min(medians):.2f} times as long as the fastest"
    )


def table(reports):
    print(
        "| load | offered/s | admitted | of admitted in budget | goodput/s | score at budget | score of attained | p99 ms | degraded |"
    )
    print("| --: | --: | --: | --: | --: | --: | --: | --: | --: |")
    for multiple in MULTIPLES:
        runs = [report for report in reports if report["multiple"] == multiple]
        mean = lambda of, runs=runs: statistics.mean(of(run) for run in runs)
        print(
            f"| {multiple} C1 | {mean(lambda r: r['offered_per_second']):.1f} | {mean(lambda r: r['admitted'] / r['offered']):.3f} "
            f"| {mean(lambda r: r['attainment_of_admitted']['mean']):.4f} | {mean(lambda r: r['goodput_per_second']['mean']):.1f} "
            f"| {mean(lambda r: r['score_at_budget']['mean']):.3f} | {mean(lambda r: r['score_of_attained'] or 0):.3f} "
            f"| {mean(lambda r: r['latency_ms']['p99']):.0f} | {mean(lambda r: r['degraded'] / r['offered']):.3f} |"
        )


if __name__ == "__main__":
    main()
