"""Do the models draw what the caption says? The evaluator's verdict on pictures for evaluation captions, by width and steps.

A quick look in Python with diffusers' DDIM; the profile that the planner uses is measured by `goldilocks calibrate`.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from . import evaluator, reference, split, vocabulary
from .family import Family
from .scenes import Scene


def report(
    source: Family, judge: evaluator.Evaluator, name: str, steps: int, options: argparse.Namespace
) -> Iterator[dict]:
    """Yields the accuracies of one cell: over all candidates, and of those that the ranker picks."""
    chosen: list[tuple[Scene, str]] = (
        split.development(options.captions) if options.development else split.evaluation()[: options.captions]
    )
    scenes, captions = [scene for scene, _ in chosen], [caption for _, caption in chosen]
    guidance = None if source.is_student(name) else options.guidance
    seeds = range(options.seed, options.seed + options.candidates)
    candidates = [source.latents(name, captions, steps, options.guidance, seed) for seed in seeds]
    cell = {"unet": name, "steps": steps, "guidance": guidance, "candidates": options.candidates}

    def shares(latents: Tensor) -> dict[str, float]:
        return reference.judged(judge, source.decode(latents), scenes)[1]

    each = [shares(latents) for latents in candidates]
    mean = {name: sum(share[name] for share in each) / len(each) for name in each[0]}
    yield {**cell, "picked_by": None, **{k: round(v, 3) for k, v in mean.items()}}
    if options.candidates > 1:
        best = shares(source.best(candidates, captions))
        yield {**cell, "picked_by": "ranker", **{k: round(v, 3) for k, v in best.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", type=Path, required=True, help="exported folder, such as weights/emoji")
    parser.add_argument("--unets", nargs="+", help="folders such as unet-c8; all of them unless told")
    parser.add_argument("--captions", type=int, default=128)
    parser.add_argument("--development", action="store_true", help="other captions: those that choices are made by")
    parser.add_argument("--steps", type=int, nargs="+", default=(4, 16))
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--candidates", type=int, default=1, help="drawn for each caption, with this seed and the next ones"
    )
    parser.add_argument("--threads", type=int, default=1)
    vocabulary.add_option(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    source, judge = Family(options.family), evaluator.Evaluator(options.family / "evaluator")
    for name in options.unets or source.unet_names():
        for steps in options.steps:
            for cell in report(source, judge, name, steps, options):
                print(json.dumps(cell), flush=True)


if __name__ == "__main__":
    main()
