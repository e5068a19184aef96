"""How fast is goldilocks beside its peers? Runs all engines on the same weights, inputs and threads, in turns.

    python bench/peers/run.py [--quick] [--sd15] [--cases GLOB ..] [--engines NAME ..] [--threads N ..]

Writes RESULTS.md and results.json beside this file, or into --output. See README.md.
"""

import argparse
import fnmatch
import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cases
import machine
import report
from cases import Case
from engines import ENGINES, HERE, LARGE_ONLY, OURS, OURS_BF16, REFERENCE, REPOSITORY, Engine, build, rival
from measure import Pace, Row, measure

FULL = Pace(seconds=10, least_rounds=5, most_rounds=30)
QUICK = Pace(seconds=1, least_rounds=3, most_rounds=10)
LARGE = Pace(seconds=30, least_rounds=1, most_rounds=3)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds: does it run, not how fast")
    parser.add_argument("--sd15", action="store_true", help="also the shape of Stable Diffusion 1.5")
    parser.add_argument("--cases", nargs="+", default=["*"], help="as in 'unet-emoji-c32-*' decode picture")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/goldilocks/peers")
    parser.add_argument("--models", type=Path, default=REPOSITORY / "models.toml")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of RESULTS.md and results.json")
    return parser.parse_args()


class Run:
    """The settings of a run and what has come of it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.names = [name for name in ENGINES if name in args.engines]
        self.cache = args.cache.resolve()
        self.cache.mkdir(parents=True, exist_ok=True)
        self.pace = QUICK if args.quick else FULL
        self.program = build(["build", "--bench", "peer_worker"], "peer_worker")
        self.rows: list[Row] = []
        self.peaks: dict[int, dict[str, Any]] = {}

    def start(self, name: str, threads: int) -> Engine:
        """A worker of the engine."""
        return Engine(name, threads, self.cache, self.program)

    def small(self, chosen: list[Case], threads: int) -> None:
        """Measures the cases that all engines hold at once."""
        with ExitStack() as workers:
            names = [name for name in self.names if name not in LARGE_ONLY]
            engines = [workers.enter_context(self.start(name, threads)) for name in names]
            for case in chosen:
                row = Row(case, threads)
                self.rows.append(row)
                for engine in engines:
                    engine.send("load", case=case.to_json())
                for engine in engines:
                    row.gflop = engine.receive().get("gflop", row.gflop)
                measure(row, engines, self.pace)
                say(row)

    def large(self, case: Case, threads: int) -> None:
        """Measures a case two engines at a time: ours in a precision, which stays, and each of its peers in turn."""
        row = Row(case, threads)
        self.rows.append(row)
        for own in (OURS, OURS_BF16):
            peers = [name for name in self.names if rival(name, self.names) == own and name not in (OURS, OURS_BF16)]
            if own not in self.names or not peers:
                continue
            with self.start(own, threads) as ours:
                row.gflop = ours.ask("load", case=case.to_json())["gflop"]
                for name in sorted(peers, key=lambda name: name != REFERENCE):
                    with self.start(name, threads) as peer:
                        peer.ask("load", case=case.to_json())
                        measure(row, [ours, peer], LARGE)
        say(row)

    def peak(self, threads: int) -> None:
        """Measures what the processor can do, in our worker."""
        with self.start(OURS, threads) as ours:
            self.peaks[threads] = ours.ask("peak")


def say(row: Row) -> None:
    """One line for each finished row."""
    figures = (f"{name} {report.time_cell(timing)}" for name, timing in row.timings.items())
    print(f"{report.threads_of(row.threads)}, {row.case.name}:", ", ".join(figures), flush=True)


def main() -> None:
    """Measures and writes; fails if engines disagree."""
    # So that workers are ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    args = arguments()
    run = Run(args)
    there = cases.all_cases(args.models.resolve(), run.cache, args.sd15)
    chosen = [case for case in there if any(fnmatch.fnmatch(case.name, glob) for glob in args.cases)]
    company = machine.Company()
    for threads in args.threads:
        run.peak(threads)
        small = [case for case in chosen if not case.large]
        if small:
            run.small(small, threads)
    for case in chosen:
        if case.large:
            for threads in args.threads:
                run.large(case, threads)

    about = machine.describe(company)
    args.output.mkdir(parents=True, exist_ok=True)
    command = "python bench/peers/run.py " + " ".join(sys.argv[1:])
    text = report.render(run.rows, about, run.peaks, command.strip())
    (args.output / "RESULTS.md").write_text(text)
    raw = {"machine": about, "peaks": run.peaks, "rows": [row.to_json() for row in run.rows]}
    (args.output / "results.json").write_text(json.dumps(raw))
    print("\n" + text)
    faults = report.disagreements(run.rows)
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
