"""What do the models draw? One sheet: captions down, widths and step counts across, by diffusers' DDIM from fixed seeds."""

import argparse
import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image, ImageDraw, ImageFont
from tokenizers import Tokenizer
from transformers import CLIPTextModel

from . import diffusion, tokenizer
from .pixels import to_pictures

CAPTIONS = (
    "three pineapples on a beach",
    "a large red heart on a white background",
    "a dog on grass",
    "a teal cat on an orange background",
    "two rockets at night",
    "four strawberries in the snow",
    "a blue frog under water",
    "a small house at sunset",
    "a ghost on a black background",
    "a large robot in the desert",
)
STEPS = (2, 4, 8, 16)
MARGIN, GAP, LABEL = 18, 2, 14


def draw_all(family: Path, unets: list[str], guidance: float, seed: int) -> list[list[Image.Image]]:
    """Returns one row of pictures per caption, columns by width, then by steps."""
    vae = AutoencoderKL.from_pretrained(family / "vae", torch_dtype=torch.float32).eval()
    encoder = CLIPTextModel.from_pretrained(family / "text_encoder", dtype=torch.float32).eval()
    words = Tokenizer.from_file(str(family / "tokenizer" / "tokenizer.json"))
    text = diffusion.text_states(encoder, torch.tensor(tokenizer.ids(words, list(CAPTIONS))))
    empty = diffusion.text_states(encoder, torch.tensor(tokenizer.ids(words, [""])))
    columns = []
    for name in unets:
        model = UNet2DConditionModel.from_pretrained(family / name, torch_dtype=torch.float32).eval()
        for steps in STEPS:
            latents = diffusion.sample(model, text, empty, steps, guidance, seed)
            columns.append([Image.fromarray(picture) for picture in to_pictures(diffusion.decode(vae, latents))])
    return [list(row) for row in zip(*columns)]


def sheet(rows: list[list[Image.Image]], unets: list[str], side: int) -> Image.Image:
    """Lays the pictures out, with the caption above each row and the steps above each column."""
    groups = len(STEPS) * (side + GAP) + MARGIN
    canvas = Image.new("RGB", (groups * len(unets), MARGIN + len(rows) * (side + LABEL)), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for group, name in enumerate(unets):
        for column, steps in enumerate(STEPS):
            pen.text((group * groups + column * (side + GAP) + 2, 2), f"{name.removeprefix('unet-')}, {steps} steps", "black", font)
    for r, (caption, pictures) in enumerate(zip(CAPTIONS, rows)):
        top = MARGIN + r * (side + LABEL)
        pen.text((2, top), caption, "black", font)
        for i, picture in enumerate(pictures):
            group, column = divmod(i, len(STEPS))
            small = picture.resize((side, side), Image.Resampling.LANCZOS)
            canvas.paste(small, (group * groups + column * (side + GAP), top + LABEL))
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", type=Path, required=True, help="exported folder, such as weights/emoji")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--side", type=int, default=72, help="side of each picture on the sheet")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    unets = sorted((path.name for path in options.family.glob("unet-*")), key=lambda name: int(re.sub(r"\D", "", name)))
    picture = sheet(draw_all(options.family, unets, options.guidance, options.seed), unets, options.side)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(256).save(options.output, optimize=True)


if __name__ == "__main__":
    main()
