#!/usr/bin/env python3
"""How many instructions does a step take, and a choice? The same figure on a busy machine as on a quiet one.

    python scripts/instructions.py            # prints a table
    python scripts/instructions.py --check    # fails where a count is more than 3% above the baseline
    python scripts/instructions.py --write    # makes what was counted the baseline

Builds `benches/instructions.rs` and runs it under valgrind's callgrind, which counts what one thread
executes between entering and leaving `counted_evaluation`: no loading, no packing. Needs valgrind, and
nothing but Python's own library. Valgrind knows no AVX-512, so AVX2 is what is counted.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASELINE = ROOT / "bench" / "instructions.json"
LEVEL = "avx2"
UNETS = ["emoji-c8", "emoji-c16", "emoji-c32"]
CASES = [f"unet {model} {rows}" for model in UNETS for rows in (1, 2)]
CASES += ["decode", "choices 2000"]
# Compilers and C libraries differ by less; a lost optimization costs more.
TOLERANCE = 0.03


def build():
    """Builds the driver and returns its path."""
    command = ["cargo", "bench", "--bench", "instructions", "--no-run", "--message-format", "json"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in output.splitlines()]
    built = [message["executable"] for message in messages if message.get("executable")]
    return next(path for path in built if "instructions" in Path(path).name)


def count(driver, case):
    """Returns the instructions of one evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "callgrind.out"
        command = [
            "valgrind",
            "--tool=callgrind",
            "--toggle-collect=*counted_evaluation*",
            f"--callgrind-out-file={counts}",
            driver,
            LEVEL,
            *case.split(),
        ]
        run = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if run.returncode != 0:
            sys.exit(f"{case}: {' '.join(command)} failed\n{run.stdout}")
        total = re.search(r"^(?:totals|summary): (\d+)", counts.read_text(), re.MULTILINE)
    instructions = int(total.group(1)) if total else 0
    if instructions == 0:
        sys.exit(f"{case}: callgrind found no counted_evaluation")
    return instructions


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="fail where a count is above the baseline")
    mode.add_argument("--write", action="store_true", help="make the counts the baseline")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name has this text")
    arguments = parser.parse_args()
    if arguments.write and arguments.only:
        parser.error("a baseline is written whole: --write and --only exclude each other")

    baseline = json.loads(BASELINE.read_text())["counts"] if BASELINE.exists() else {}
    driver = build()
    counts, worse = {}, []
    print(f"| {'case':16} | instructions ({LEVEL}) |  baseline | change |")
    print(f"| {'-' * 16} | {'-' * 18}: | {'-' * 8}: | -----: |")
    for case in (case for case in CASES if arguments.only in case):
        counts[case] = count(driver, case)
        before = baseline.get(case)
        change = counts[case] / before - 1 if before else 0.0
        shown = f"{change:+.2%}" if before else "new"
        print(f"| {case:16} | {counts[case]:>19} | {before or '':>9} | {shown:>6} |", flush=True)
        if not before or change > TOLERANCE:
            worse.append(case)
    if arguments.write:
        BASELINE.write_text(json.dumps({"level": LEVEL, "counts": counts}, indent=2) + "\n")
    if arguments.check and worse:
        sys.exit(f"more than {TOLERANCE:.0%} above {BASELINE.relative_to(ROOT)}: {', '.join(worse)}")


if __name__ == "__main__":
    main()
