#!/usr/bin/env python3
"""What does diffusers draw with the default family? Short guided trajectories with every U-Net of a folder.

`python scripts/golden/family.py --family weights/emoji` writes tests/golden/emoji; `--check` recomputes and
compares. Only the numbers are stored: the weights stay where they are, named by their digests.
"""

import argparse
import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from record import SAMPLERS, Plan, differences, load, record_trajectories, tokenize, versions, write_files
from torch import Tensor

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
PLAN = Plan(seed=7, guidance=3.0, prompt="a red heart on grass", steps=[4, 8], pixels_at=0, path_at=0)
# Pixels weigh more than all latents together: one U-Net's are enough.
PIXELS_AT = 8
# How the folder of a distilled U-Net ends: consistency sampling alone, few steps, no guidance.
DISTILLED = "-lcm"
DISTILLED_STEPS = [1, 4]


def unets(family: Path) -> list[str]:
    """The U-Net subfolders, smallest file first, the distilled ones last."""
    files = family.glob("unet*/diffusion_pytorch_model.safetensors")

    def place(file: Path) -> tuple[bool, int, str]:
        name = file.parent.name
        return name.endswith(DISTILLED), file.stat().st_size, name

    return [file.parent.name for file in sorted(files, key=place)]


@torch.no_grad()
def record_family(family: Path, plan: Plan) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Text states, and every sampler's trajectories of every U-Net that suits it, from the same noise."""
    names = unets(family)
    if not names:
        raise SystemExit(f"{family}: no unet*/diffusion_pytorch_model.safetensors")
    tensors: dict[str, Tensor] = {}
    samplers: dict[str, Any] = {}
    largest = [name for name in names if not name.endswith(DISTILLED)][-1:]
    for name in names:
        pipeline = load(family, name)
        if not tensors:
            ids = tokenize(pipeline, [plan.prompt, plan.negative_prompt])
            states = pipeline.text_encoder(ids).last_hidden_state
            tensors = {"text.ids": ids, "text.states": states}
        if name.endswith(DISTILLED):
            suited, how = ["lcm"], replace(plan, guidance=1.0, steps=DISTILLED_STEPS)
        else:
            pixels_at = PIXELS_AT if name in largest else 0
            suited = [sampler for sampler in SAMPLERS if sampler != "lcm"]
            how = replace(plan, pixels_at=pixels_at)
        found, facts = record_trajectories(pipeline, how, samplers=suited)
        samplers |= facts
        tensors["trajectory.latents"] = found.pop("trajectory.latents")
        tensors |= {key.replace("trajectory.", f"{name}."): value for key, value in found.items()}
    description = {
        "distilled_steps": DISTILLED_STEPS,
        "digests": {str(file.relative_to(family)): digest(file) for file in networks(family)},
        "guidance": plan.guidance,
        "made_by": "scripts/golden/family.py",
        "negative_prompt": plan.negative_prompt,
        "prompt": plan.prompt,
        "samplers": samplers,
        "seed": plan.seed,
        "steps": plan.steps,
        "tensors": {name: list(tensor.shape) for name, tensor in sorted(tensors.items())},
        "unets": names,
        "versions": versions(),
    }
    return {name: tensor.contiguous() for name, tensor in tensors.items()}, description


def networks(family: Path) -> list[Path]:
    """The weights that the goldens depend on."""
    parts = ["text_encoder", "vae", *unets(family)]
    return sorted(file for part in parts for file in (family / part).glob("*.safetensors"))


def digest(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main() -> int:
    """Writes or checks the goldens of one family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", type=Path, required=True, help="the family's folder")
    parser.add_argument("--prompt", default=PLAN.prompt, help="what to draw [%(default)s]")
    parser.add_argument("--output", type=Path, help="where to [tests/golden/ and the family's name]")
    parser.add_argument("--check", action="store_true", help="recompute and compare, write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    output = arguments.output or GOLDEN / arguments.family.resolve().name
    tensors, description = record_family(arguments.family, replace(PLAN, prompt=arguments.prompt))
    if arguments.check:
        faults = differences(output, tensors, description)
        print("\n".join(faults) or f"{output.name}: as recorded")
        return 1 if faults else 0
    output.mkdir(parents=True, exist_ok=True)
    write_files(output, tensors, description)
    return 0


if __name__ == "__main__":
    sys.exit(main())
