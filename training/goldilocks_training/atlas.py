"""What does each object look like? Glyphs out of Noto Color Emoji and six shapes, as one array of RGBA cells.

Needs the font and the CLDR annotations (Debian: `fonts-noto-color-emoji`, `unicode-cldr-core`); no other stage reads them. Run as
a stage, it writes all cells into one PNG, and where the environment names that file, neither is needed any more.
"""

import argparse
import math
import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .vocabulary import NOUNS, Vocabulary, add_option, chosen

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
ANNOTATIONS = Path("/usr/share/unicode/cldr/common/annotations/en.xml")
STRIKE = 109
"""The one bitmap size the font contains."""
CELL = 128
COLUMNS = 10
VARIABLE = "GOLDILOCKS_ATLAS"
"""Names a PNG of cells to read instead of the font."""


def code_points() -> dict[str, str]:
    """Returns the character behind each CLDR short name."""
    names: dict[str, str] = {}
    for annotation in ElementTree.parse(ANNOTATIONS).iter("annotation"):
        if annotation.get("type") == "tts":
            names.setdefault(annotation.text or "", annotation.get("cp") or "")
    return names


def square_cell(picture: Image.Image) -> Image.Image:
    """Crops a glyph to its ink, centres it in a square and scales it to one cell."""
    picture = picture.crop(picture.getchannel("A").getbbox())
    side = max(picture.size)
    cell = Image.new("RGBA", (side, side))
    cell.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return cell.resize((CELL, CELL), Image.Resampling.LANCZOS)


def glyph(character: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    canvas = Image.new("RGBA", (160, 160))
    ImageDraw.Draw(canvas).text((8, 8), character, font=font, embedded_color=True)
    return square_cell(canvas)


def outline(shape: str) -> list[tuple[float, float]]:
    """Returns the polygon of a shape in the unit square, y downwards."""
    if shape == "circle":
        return [(0.5 + 0.485 * math.cos(t), 0.5 + 0.485 * math.sin(t)) for t in np.linspace(0, 2 * math.pi, 180)]
    if shape == "square":
        return [(0.06, 0.06), (0.94, 0.06), (0.94, 0.94), (0.06, 0.94)]
    if shape == "triangle":
        return [(0.5, 0.04), (0.97, 0.91), (0.03, 0.91)]
    if shape == "diamond":
        return [(0.5, 0.01), (0.88, 0.5), (0.5, 0.99), (0.12, 0.5)]
    if shape == "star":
        radii = [(0.49 if i % 2 == 0 else 0.205, i * math.pi / 5) for i in range(10)]
        return [(0.5 + r * math.sin(t), 0.52 - r * math.cos(t)) for r, t in radii]
    if shape == "heart":
        turns = np.linspace(0, 2 * math.pi, 200)
        return [
            (
                0.5 + 16 * math.sin(t) ** 3 * 0.029,
                0.48 - (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) * 0.029,
            )
            for t in turns
        ]
    raise ValueError(f"no outline for {shape!r}")


def shape_cell(shape: str) -> Image.Image:
    """Draws a shape in white, to be tinted where it is used."""
    side = 4 * CELL
    canvas = Image.new("RGBA", (side, side))
    ImageDraw.Draw(canvas).polygon([(x * side, y * side) for x, y in outline(shape)], fill=(255, 255, 255, 255))
    return canvas.resize((CELL, CELL), Image.Resampling.LANCZOS)


def build(vocabulary: Vocabulary) -> list[Image.Image]:
    """Returns one RGBA cell per object, in the vocabulary's order."""
    if path := os.environ.get(VARIABLE):
        return read(Path(path), len(vocabulary.objects))
    characters = code_points()
    font = ImageFont.truetype(str(FONT), STRIKE)
    glyphs = [glyph(characters[NOUNS[noun].cldr], font) for noun in vocabulary.nouns]
    return glyphs + [shape_cell(shape) for shape in vocabulary.shapes]


def read(path: Path, count: int) -> list[Image.Image]:
    """Returns the cells of a PNG that `write` made."""
    sheet = Image.open(path).convert("RGBA")
    columns, rows = sheet.width // CELL, sheet.height // CELL
    if not count <= columns * rows < count + columns:
        raise ValueError(
            f"{path} has {columns} x {rows} cells and cannot hold {count} objects: it is of another vocabulary"
        )
    corners = [(i % columns * CELL, i // columns * CELL) for i in range(count)]
    return [sheet.crop((x, y, x + CELL, y + CELL)) for x, y in corners]


def write(cells: list[Image.Image], path: Path) -> None:
    """Writes cells side by side, row after row, without loss."""
    sheet = Image.new("RGBA", (COLUMNS * CELL, -(-len(cells) // COLUMNS) * CELL))
    for i, cell in enumerate(cells):
        sheet.paste(cell, (i % COLUMNS * CELL, i // COLUMNS * CELL))
    sheet.save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    add_option(parser)
    options = parser.parse_args()
    write(build(chosen()), options.output)


if __name__ == "__main__":
    main()
