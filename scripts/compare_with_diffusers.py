#!/usr/bin/env python3
"""Does goldilocks draw what diffusers draws? Runs diffusers on a family's folder and compares final latents.

Both start from the same file of noise (`latents`, N x C x H x W, unit variance), so that only arithmetic can
differ. See README.md beside this file.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

# The goldens' recorder knows how a family is loaded and which diffusers class each sampler is.
sys.path.append(str(Path(__file__).resolve().parent / "golden"))
from record import SAMPLERS, load


def arguments() -> argparse.Namespace:
    """The command line; options that `goldilocks generate` has too are named alike."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", type=Path, required=True, help="folder in diffusers layout")
    parser.add_argument("--model", default="unet", help="its U-Net's subfolder, e.g. unet-c16")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--negative-prompt", default="")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sampler", choices=SAMPLERS, default="ddim")
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--latents", type=Path, required=True, help="initial noise; made here where it is missing")
    parser.add_argument("--seed", type=int, default=0, help="of the noise made here")
    parser.add_argument("--count", type=int, default=1, help="rows of the noise made here")
    parser.add_argument("--output-latents", type=Path, help="write diffusers' final latents here")
    parser.add_argument("--output", type=Path, help="write diffusers' picture here (PNG)")
    parser.add_argument("--against", type=Path, help="goldilocks' --output-latents, to compare")
    parser.add_argument("--against-picture", type=Path, help="goldilocks' --output, to compare")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="relative L2 of the latents")
    parser.add_argument("--levels", type=int, default=1, help="largest difference of a pixel")
    return parser.parse_args()


def initial_noise(options: argparse.Namespace, pipeline: StableDiffusionPipeline) -> Tensor:
    """The noise of `--latents`, made and written first where there is none."""
    if not options.latents.exists():
        config = pipeline.unet.config
        generator = torch.Generator().manual_seed(options.seed)
        shape = (options.count, config.in_channels, config.sample_size, config.sample_size)
        save_file({"latents": torch.randn(shape, generator=generator)}, options.latents)
        print(f"wrote noise {list(shape)} to {options.latents}")
    return load_file(options.latents)["latents"].float()


@torch.no_grad()
def draw(options: argparse.Namespace, pipeline: StableDiffusionPipeline, noise: Tensor) -> Tensor:
    """diffusers' final latents, one row for each row of noise."""
    pipeline.scheduler = SAMPLERS[options.sampler].from_config(pipeline.scheduler.config)
    settings: dict[str, Any] = {
        "num_inference_steps": options.steps,
        "guidance_scale": options.guidance,
        "num_images_per_prompt": len(noise),
        "height": noise.shape[2] * pipeline.vae_scale_factor,
        "width": noise.shape[3] * pipeline.vae_scale_factor,
    }
    drawn = pipeline(
        options.prompt,
        negative_prompt=options.negative_prompt,
        latents=noise,
        output_type="latent",
        **settings,
    )
    return drawn.images


@torch.no_grad()
def picture(pipeline: StableDiffusionPipeline, latents: Tensor) -> Image.Image:
    """The first row decoded, as diffusers stores it."""
    decoded = pipeline.vae.decode(latents[:1] / pipeline.vae.config.scaling_factor).sample
    return pipeline.image_processor.postprocess(decoded, output_type="pil")[0]


def compare_latents(expected: Tensor, found: Tensor, tolerance: float) -> bool:
    """Prints each row's differences; whether all rows are within the tolerance."""
    if expected.shape != found.shape:
        print(f"latents: diffusers has {list(expected.shape)}, the file {list(found.shape)}")
        return False
    within = True
    for index, (want, have) in enumerate(zip(expected.double(), found.double())):
        apart = have - want
        relative = (apart.norm() / want.norm()).item()
        largest = apart.abs().max().item()
        # Written so that a NaN fails.
        fine = relative <= tolerance
        within &= fine
        print(
            f"row {index}: relative L2 {relative:.2e}, largest {largest:.2e}, "
            f"largest over largest value {largest / want.abs().max().item():.2e}"
            f"{'' if fine else f'  FAIL, want relative L2 <= {tolerance:.0e}'}"
        )
    return within


def compare_pictures(expected: Image.Image, file: Path, levels: int) -> bool:
    """Prints how far the pixels are apart; whether that is within `levels`."""
    want = numpy.asarray(expected.convert("RGB")).astype(int)
    have = numpy.asarray(Image.open(file).convert("RGB")).astype(int)
    if want.shape != have.shape:
        print(f"picture: diffusers has {want.shape}, {file} {have.shape} (height, width, channels)")
        return False
    apart = numpy.abs(have - want)
    fine = bool(apart.max() <= levels)
    print(
        f"picture: {numpy.mean(apart > 0):.2%} of values differ, at most {apart.max()} levels"
        f"{'' if fine else f'  FAIL, want <= {levels}'}"
    )
    return fine


def main() -> int:
    """Draws, writes what was asked for, compares; 1 where a comparison fails."""
    options = arguments()
    pipeline = load(options.family, options.model)
    latents = draw(options, pipeline, initial_noise(options, pipeline))
    image = picture(pipeline, latents)
    if options.output_latents:
        save_file({"latents": latents.contiguous()}, options.output_latents)
    if options.output:
        image.save(options.output)
    within = True
    if options.against:
        found = load_file(options.against)["latents"]
        within &= compare_latents(latents, found, options.tolerance)
    if options.against_picture:
        within &= compare_pictures(image, options.against_picture, options.levels)
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
