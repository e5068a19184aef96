"""Do the models draw what the caption says? The evaluator's verdict on pictures for evaluation captions, by width and steps.

A quick look in Python with diffusers' DDIM; the profile that the planner uses is measured by `goldilocks calibrate`.
"""

import argparse
import json
from pathlib import Path

import torch

from . import evaluator, reference, split, vocabulary
from .family import Family
from .scenes import Scene


def report(source: Family, judge: evaluator.Evaluator, name: str, steps: int, options: argparse.Namespace) -> dict:
    """Returns the accuracies of one cell."""
    chosen: list[tuple[Scene, str]] = (
        split.development(options.captions) if options.development else split.evaluation()[: options.captions]
    )
    scenes, captions = [scene for scene, _ in chosen], [caption for _, caption in chosen]
    pictures = source.draw(name, captions, steps, options.guidance, options.seed)
    _, right = reference.judged(judge, pictures, scenes)
    guidance = None if source.is_student(name) else options.guidance
    return {"unet": name, "steps": steps, "guidance": guidance, **{k: round(v, 3) for k, v in right.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", type=Path, required=True, help="exported folder, such as weights/emoji")
    parser.add_argument("--unets", nargs="+", help="folders such as unet-c8; all of them unless told")
    parser.add_argument("--captions", type=int, default=128)
    parser.add_argument("--development", action="store_true", help="other captions: those that choices are made by")
    parser.add_argument("--steps", type=int, nargs="+", default=(4, 16))
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    vocabulary.add_option(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    source, judge = Family(options.family), evaluator.Evaluator(options.family / "evaluator")
    for name in options.unets or source.unet_names():
        for steps in options.steps:
            print(json.dumps(report(source, judge, name, steps, options)), flush=True)


if __name__ == "__main__":
    main()
