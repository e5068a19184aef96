"""What is in a picture, and how is it painted?

A `Scene` is the label: object, count, colour, background, size. `draw` chooses one, `Painter` paints it, and both depend on
nothing but the random generator they are handed, so every picture can be made again from its seed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image

from . import atlas
from .backgrounds import SIDE, paint
from .vocabulary import COLORS, EMOJI, NOUNS, Vocabulary

CELLS = tuple(range(28, 109, 4))
"""Side lengths, in pixels, at which objects are kept ready."""
RANGES = {"small": (28, 40), "large": (92, 108), None: (56, 84)}
LAYOUTS = {
    2: (((0.27, 0.5), (0.73, 0.5)), ((0.5, 0.27), (0.5, 0.73))),
    3: (((0.27, 0.3), (0.73, 0.3), (0.5, 0.74)), ((0.5, 0.27), (0.26, 0.72), (0.74, 0.72))),
    4: (((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)),),
}
LUMINANCE = np.array([0.3, 0.59, 0.11], np.float32)


@dataclass(frozen=True)
class Scene:
    """Everything a caption may say about one picture."""

    object: str
    count: int
    color: str | None
    background: str
    size: str | None

    @property
    def painted_color(self) -> str | None:
        """The colour a glyph is repainted with; none where it already has the colour asked for."""
        noun = NOUNS.get(self.object)
        return None if noun and noun.natural == self.color else self.color


def draw(rng: Generator, vocabulary: Vocabulary = EMOJI, natural_colors: bool = True) -> Scene:
    """Chooses a scene. `natural_colors` also asks for "a red apple", which looks like any apple."""
    count = 1 if rng.random() < 0.55 else int(rng.choice(vocabulary.counts[1:]))
    size = str(rng.choice(vocabulary.sizes)) if count == 1 and rng.random() < 0.4 else None
    while True:
        kind = vocabulary.shapes if rng.random() < 0.25 else vocabulary.nouns
        name = str(rng.choice(kind))
        wants_color = kind is vocabulary.shapes or rng.random() < 0.35
        color = str(rng.choice(vocabulary.colors)) if wants_color else None
        scenic = rng.random() < 0.4
        background = str(rng.choice(vocabulary.places if scenic else vocabulary.colors))
        scene = Scene(name, count, color, background, size)
        visible = color is None or color != background
        if visible and (natural_colors or scene.painted_color == color):
            return scene


def recolor(luminance: np.ndarray, color: str) -> np.ndarray:
    """Maps brightness to shades of a colour, so that a repainted glyph keeps its features."""
    if color == "black":
        return 0.05 + 0.4 * luminance * np.ones(3, np.float32)
    if color == "white":
        return 0.55 + 0.45 * luminance * np.ones(3, np.float32)
    if color == "gray":
        return 0.15 + 0.65 * luminance * np.ones(3, np.float32)
    rgb = np.array(COLORS[color], np.float32) / 255
    shadow = rgb * (0.25 + luminance / 0.62 * 0.75)
    light = rgb + (1 - rgb) * np.minimum((luminance - 0.62) / 0.38, 1) * 0.75
    return np.where(luminance < 0.62, shadow, light)


class Painter:
    """Paints scenes of one vocabulary; holds every object at every size."""

    def __init__(self, vocabulary: Vocabulary = EMOJI) -> None:
        self._index = {name: i for i, name in enumerate(vocabulary.objects)}
        self._shapes = set(vocabulary.shapes)
        cells = atlas.build(vocabulary)
        self._cells = {side: self._scaled(cells, side) for side in CELLS}

    @staticmethod
    def _scaled(cells: list[Image.Image], side: int) -> np.ndarray:
        scaled = [np.asarray(cell.resize((side, side), Image.Resampling.LANCZOS)) for cell in cells]
        return np.stack(scaled).astype(np.float32) / 255

    def paint(self, scene: Scene, rng: Generator) -> np.ndarray:
        """Returns the scene as uint8, SIDE x SIDE x 3."""
        picture = paint(scene.background, rng)
        for side, x, y in self._places(scene, rng):
            self._place(picture, scene, side, x, y)
        return (picture * 255 + 0.5).astype(np.uint8)

    def _places(self, scene: Scene, rng: Generator) -> list[tuple[int, float, float]]:
        """Chooses side length and centre of every object."""
        if scene.count > 1:
            side = _side(rng, (44, 56) if scene.count == 2 else (36, 48))
            layouts = LAYOUTS[scene.count]
            layout = layouts[rng.integers(len(layouts))]
            return [(side, (x + rng.normal(0, 0.025)) * SIDE, (y + rng.normal(0, 0.025)) * SIDE) for x, y in layout]
        side = _side(rng, RANGES[scene.size])
        if scene.size == "small":
            return [(side, rng.uniform(side / 2, SIDE - side / 2), rng.uniform(side / 2, SIDE - side / 2))]
        return [(side, SIDE / 2 + rng.normal(0, SIDE * 0.05), SIDE / 2 + rng.normal(0, SIDE * 0.05))]

    def _place(self, picture: np.ndarray, scene: Scene, side: int, x: float, y: float) -> None:
        cell = self._cells[side][self._index[scene.object]]
        rgb, alpha = cell[..., :3], cell[..., 3:]
        if scene.object in self._shapes:
            rgb = np.array(COLORS[scene.color or "gray"], np.float32) / 255
        elif scene.painted_color:
            rgb = recolor((rgb @ LUMINANCE)[..., None], scene.painted_color)
        left, top = (int(np.clip(centre - side / 2, 0, SIDE - side)) for centre in (x, y))
        view = picture[top : top + side, left : left + side]
        view += (rgb - view) * alpha


def _side(rng: Generator, limits: tuple[int, int]) -> int:
    fitting = [side for side in CELLS if limits[0] <= side <= limits[1]]
    return int(rng.choice(fitting))


def stream(painter: Painter, seed: int):
    """Yields (scene, picture) for ever; the same seed yields the same pictures."""
    rng = np.random.default_rng(seed)
    while True:
        scene = draw(rng)
        yield scene, painter.paint(scene, rng)
