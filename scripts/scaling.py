#!/usr/bin/env python3
"""Do wider models draw better at equal steps, and what do few-step students save? Two tables from a profile.

Standard library only: `python scripts/scaling.py --profile calibration/emoji.json`. Differences are paired: both cells drew the
same captions from the same seeds, and their bootstrap replicates share their draws.
"""

import argparse
import json
import re
from pathlib import Path
from statistics import stdev

STUDENT = "-lcm"


def width(model: str) -> int:
    """The c of a name such as emoji-c16-lcm."""
    return int(re.search(r"-c(\d+)", model).group(1))


def nfe(cell: dict) -> int:
    """Network evaluations for a picture: a guided step has two."""
    return cell["steps"] * (1 if cell["guidance_scale"] == 1 else 2)


def replicates(cell: dict) -> list[float]:
    """What the balanced score might have been."""
    both = cell["replicates"]
    return [(a + f) / 2 for a, f in zip(both["alignment"], both["fidelity"])]


def gain(cell: dict, other: dict) -> tuple[float, float]:
    """How much better a cell is, and the standard error of that."""
    difference = cell["balanced"]["mean"] - other["balanced"]["mean"]
    return difference, stdev(a - b for a, b in zip(replicates(cell), replicates(other)))


def told(score: dict) -> str:
    return f"{score['mean']:.3f} ± {score['standard_error']:.3f}"


def widths(cells: list[dict]) -> list[str]:
    """Every width against the next smaller one, at the largest step count, guided."""
    steps = max(cell["steps"] for cell in cells)
    guidance = max(cell["guidance_scale"] for cell in cells)
    lines = [
        f"| {steps} steps, guidance {guidance:g} | sampler | balanced score | gain over the next smaller | in standard errors |"
    ]
    lines.append("| --- | --- | --- | --- | --- |")
    chosen = [c for c in cells if c["steps"] == steps and c["guidance_scale"] == guidance and STUDENT not in c["model"]]
    for sampler in sorted({cell["sampler"] for cell in chosen}):
        last = None
        for cell in sorted((c for c in chosen if c["sampler"] == sampler), key=lambda c: width(c["model"])):
            over = "| | |"
            if last:
                difference, error = gain(cell, last)
                over = f"| {difference:+.3f} ± {error:.3f} | {difference / error:.1f} |"
            lines.append(f"| {cell['model']} | {sampler} | {told(cell['balanced'])} {over}")
            last = cell
    return lines


def students(cells: list[dict]) -> list[str]:
    """Every student beside the cheapest measured plan of its teacher that is as good."""
    lines = [
        "| student | steps | alignment | fidelity | balanced score | as good: its teacher with | evaluations saved |"
    ]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for cell in cells:
        if not cell["model"].endswith(STUDENT):
            continue
        teacher = cell["model"].removesuffix(STUDENT)
        reach = [c for c in cells if c["model"] == teacher and c["balanced"]["mean"] >= cell["balanced"]["mean"]]
        match, saved = "no measured plan", ""
        if reach:
            best = min(reach, key=nfe)
            match = f"{best['steps']} steps, {best['sampler']}, guidance {best['guidance_scale']:g}"
            saved = f"{nfe(best) / nfe(cell):.1f}x"
        scores = " | ".join(told(cell[name]) for name in ("alignment", "fidelity", "balanced"))
        lines.append(f"| {cell['model']} | {cell['steps']} | {scores} | {match} | {saved} |")
    return lines


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", type=Path, default=Path("calibration/emoji.json"))
    profile = json.loads(parser.parse_args().profile.read_text())
    # Stitched plans, guidance intervals and candidates are another matter.
    plain = [
        c
        for c in profile["cells"]
        if not (c["plan"]["stages"] or c["plan"]["guidance_interval"] or c["plan"]["candidates"])
    ]
    cells = [cell | cell["plan"] for cell in plain]
    print("\n".join([*widths(cells), "", *students(cells)]))


if __name__ == "__main__":
    main()
