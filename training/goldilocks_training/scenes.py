"""What is in a picture, and how is it painted?

A `Scene` is the label: object, count, colour, background, size, and, where the vocabulary has relations, perhaps a second object. `draw` chooses one, `Painter` paints it, and both depend on
nothing but the random generator they are handed, so every picture can be made again from its seed.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from PIL import Image

from . import atlas
from .backgrounds import SIDE, paint
from .vocabulary import COLORS, NOUNS, OPPOSITE, PLACED, Vocabulary, chosen

CELLS = tuple(range(28, 109, 4))
"""Side lengths, in pixels, at which objects are kept ready."""
RANGES = {"small": (28, 40), "large": (92, 108), None: (56, 84)}
LAYOUTS = {
    2: (((0.27, 0.5), (0.73, 0.5)), ((0.5, 0.27), (0.5, 0.73))),
    3: (((0.27, 0.3), (0.73, 0.3), (0.5, 0.74)), ((0.5, 0.27), (0.26, 0.72), (0.74, 0.72))),
    4: (((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)),),
}
CENTRES = {"left": (0.27, 0.5), "right": (0.73, 0.5), "above": (0.5, 0.27), "below": (0.5, 0.73)}
"""Where the first of two things lies, by relation; the second lies opposite."""
PAIRED = 0.4
"""Share of scenes with two different objects, where the vocabulary has relations."""
LUMINANCE = np.array([0.3, 0.59, 0.11], np.float32)


@dataclass(frozen=True)
class Scene:
    """Everything a caption may say about one picture."""

    object: str
    count: int
    color: str | None
    background: str
    size: str | None

    relation: str | None = None
    """Where the object lies as seen from the second one."""
    second_object: str | None = None
    """Another object. Of two, the one that the vocabulary lists first is the scene's `object`, so a picture has one label."""
    second_color: str | None = None

    @property
    def painted_color(self) -> str | None:
        """The colour a glyph is repainted with; none where it already has the colour asked for."""
        return painted(self.object, self.color)

    @property
    def second_painted_color(self) -> str | None:
        return painted(self.second_object, self.second_color)

    def things(self) -> tuple[tuple[str, str | None], ...]:
        """Returns name and colour of everything to paint."""
        if self.second_object:
            return (self.object, self.color), (self.second_object, self.second_color)
        return ((self.object, self.color),) * self.count


def painted(name: str | None, color: str | None) -> str | None:
    """Returns the colour a thing is repainted with."""
    noun = NOUNS.get(name)
    return None if noun and noun.natural == color else color


def ordered(scene: Scene, vocabulary: Vocabulary) -> Scene:
    """Returns the same scene of two things, told from the one that the vocabulary lists first."""
    names = vocabulary.objects
    if names.index(scene.object) < names.index(scene.second_object):
        return scene
    first, second = scene.things()
    return replace(
        scene,
        object=second[0],
        color=second[1],
        second_object=first[0],
        second_color=first[1],
        relation=OPPOSITE[scene.relation],
    )


def draw(rng: Generator, vocabulary: Vocabulary | None = None, natural_colors: bool = True) -> Scene:
    """Chooses a scene. `natural_colors` also asks for "a red apple", which looks like any apple."""
    vocabulary = vocabulary or chosen()
    if vocabulary.relations and rng.random() < PAIRED:
        return _draw_pair(rng, vocabulary, natural_colors)
    count = 1 if rng.random() < 0.55 else int(rng.choice(vocabulary.counts[1:]))
    size = str(rng.choice(vocabulary.sizes)) if count == 1 and rng.random() < 0.4 else None
    while True:
        name, color = _draw_thing(rng, vocabulary)
        scene = Scene(name, count, color, _draw_background(rng, vocabulary), size)
        if _fits(scene, natural_colors):
            return scene


def _draw_thing(rng: Generator, vocabulary: Vocabulary) -> tuple[str, str | None]:
    kind = vocabulary.shapes if rng.random() < 0.25 else vocabulary.nouns
    name = str(rng.choice(kind))
    wants_color = kind is vocabulary.shapes or rng.random() < 0.35
    return name, str(rng.choice(vocabulary.colors)) if wants_color else None


def _draw_background(rng: Generator, vocabulary: Vocabulary) -> str:
    scenic = rng.random() < 0.4
    return str(rng.choice(vocabulary.places if scenic else vocabulary.colors))


def _fits(scene: Scene, natural_colors: bool) -> bool:
    """Whether everything stands out from the background and, unless allowed, no colour is one the thing has anyway."""
    visible = all(color is None or color != scene.background for _, color in scene.things())
    return visible and (natural_colors or all(painted(*thing) == thing[1] for thing in scene.things()))


def _draw_pair(rng: Generator, vocabulary: Vocabulary, natural_colors: bool) -> Scene:
    relation = str(rng.choice(vocabulary.relations))
    while True:
        first, second = _draw_thing(rng, vocabulary), _draw_thing(rng, vocabulary)
        scene = Scene(first[0], 1, first[1], _draw_background(rng, vocabulary), None, relation, *second)
        if first[0] != second[0] and _fits(scene, natural_colors):
            return ordered(scene, vocabulary)


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

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        vocabulary = vocabulary or chosen()
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
        for thing, place in zip(scene.things(), self._places(scene, rng), strict=True):
            self._place(picture, thing, place)
        return (picture * 255 + 0.5).astype(np.uint8)

    def _places(self, scene: Scene, rng: Generator) -> list[tuple[int, float, float]]:
        """Chooses side length and centre of every object."""
        if scene.second_object:
            return _pair_places(scene.relation, rng)
        if scene.count > 1:
            side = _side(rng, (44, 56) if scene.count == 2 else (36, 48))
            layouts = LAYOUTS[scene.count]
            layout = layouts[rng.integers(len(layouts))]
            return [(side, (x + rng.normal(0, 0.025)) * SIDE, (y + rng.normal(0, 0.025)) * SIDE) for x, y in layout]
        side = _side(rng, RANGES[scene.size])
        if scene.size == "small":
            return [(side, rng.uniform(side / 2, SIDE - side / 2), rng.uniform(side / 2, SIDE - side / 2))]
        return [(side, SIDE / 2 + rng.normal(0, SIDE * 0.05), SIDE / 2 + rng.normal(0, SIDE * 0.05))]

    def _place(self, picture: np.ndarray, thing: tuple[str, str | None], place: tuple[int, float, float]) -> None:
        (name, color), (side, x, y) = thing, place
        cell = self._cells[side][self._index[name]]
        rgb, alpha = cell[..., :3], cell[..., 3:]
        if name in self._shapes:
            rgb = np.array(COLORS[color or "gray"], np.float32) / 255
        elif repainted := painted(name, color):
            rgb = recolor((rgb @ LUMINANCE)[..., None], repainted)
        left, top = (int(np.clip(centre - side / 2, 0, SIDE - side)) for centre in (x, y))
        view = picture[top : top + side, left : left + side]
        view += (rgb - view) * alpha


def _pair_places(relation: str, rng: Generator) -> list[tuple[int, float, float]]:
    """Chooses side length and centre of two things; where the relation leaves it open, chance decides."""
    open_to = PLACED[:2] if relation == "beside" else PLACED
    placed = relation if relation in PLACED else str(rng.choice(open_to))
    along = np.array([0.025, 0.06] if placed in PLACED[:2] else [0.06, 0.025])
    centres = [(CENTRES[side] + rng.normal(0, 1, 2) * along) * SIDE for side in (placed, OPPOSITE[placed])]
    return [(_side(rng, (44, 60)), float(x), float(y)) for x, y in centres]


def _side(rng: Generator, limits: tuple[int, int]) -> int:
    fitting = [side for side in CELLS if limits[0] <= side <= limits[1]]
    return int(rng.choice(fitting))


def stream(painter: Painter, seed: int):
    """Yields (scene, picture) for ever; the same seed yields the same pictures."""
    rng = np.random.default_rng(seed)
    while True:
        scene = draw(rng)
        yield scene, painter.paint(scene, rng)
