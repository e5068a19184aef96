"""What do the models draw? One sheet: captions down, models and their step counts across, from fixed seeds.

U-Nets are sampled by diffusers' DDIM, students by its LCM.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from .family import Family
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
STUDENT_STEPS = (1, 2, 3, 4)
MARGIN, GAP, LABEL = 18, 2, 14


def steps_of(name: str) -> tuple[int, ...]:
    """Returns the step counts that a U-Net is shown at."""
    return STUDENT_STEPS if Family.is_student(name) else STEPS


def draw_all(source: Family, guidance: float, seed: int) -> list[list[Image.Image]]:
    """Returns one row of pictures per caption, columns by width, then by steps."""
    columns = []
    for name in source.unet_names():
        for steps in steps_of(name):
            pictures = to_pictures(source.draw(name, list(CAPTIONS), steps, guidance, seed))
            columns.append([Image.fromarray(picture) for picture in pictures])
    return [list(row) for row in zip(*columns)]


def sheet(rows: list[list[Image.Image]], unets: list[str], side: int) -> Image.Image:
    """Lays the pictures out, with the caption above each row and the steps above each column."""
    groups = len(STEPS) * (side + GAP) + MARGIN
    canvas = Image.new("RGB", (groups * len(unets), MARGIN + len(rows) * (side + LABEL)), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for group, name in enumerate(unets):
        for column, steps in enumerate(steps_of(name)):
            left = group * groups + column * (side + GAP)
            label = f"{name.removeprefix('unet-')}: {steps}" if column == 0 else str(steps)
            pen.text((left + 2, 2), label, "black", font)
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
    source = Family(options.family)
    picture = sheet(draw_all(source, options.guidance, options.seed), source.unet_names(), options.side)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(256).save(options.output, optimize=True)


if __name__ == "__main__":
    main()
