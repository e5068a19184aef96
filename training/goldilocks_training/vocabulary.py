"""Which things can a scene contain, and what are they called?

The whole pipeline reads its words, class lists and colours from here, so a family that knows more (or fewer) things is another
`Vocabulary`, not another program.
"""

from dataclasses import dataclass

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (225, 40, 45),
    "orange": (245, 135, 25),
    "yellow": (250, 210, 40),
    "green": (45, 160, 70),
    "blue": (40, 95, 220),
    "purple": (135, 60, 190),
    "pink": (245, 120, 180),
    "brown": (125, 80, 50),
    "black": (30, 30, 34),
    "white": (245, 245, 245),
    "gray": (130, 132, 138),
    "teal": (30, 165, 165),
}


@dataclass(frozen=True)
class Noun:
    """A thing with a glyph of its own."""

    cldr: str
    """Short name in the Unicode CLDR, which leads to the code point."""
    plural: str
    natural: str | None
    """The colour people would call the glyph by itself; asking for it leaves the glyph as it is."""


NOUNS: dict[str, Noun] = {
    "dog": Noun("dog face", "dogs", None),
    "cat": Noun("cat face", "cats", None),
    "fox": Noun("fox", "foxes", "orange"),
    "panda": Noun("panda", "pandas", None),
    "frog": Noun("frog", "frogs", "green"),
    "apple": Noun("red apple", "apples", "red"),
    "banana": Noun("banana", "bananas", "yellow"),
    "strawberry": Noun("strawberry", "strawberries", "red"),
    "pineapple": Noun("pineapple", "pineapples", "yellow"),
    "car": Noun("automobile", "cars", "red"),
    "rocket": Noun("rocket", "rockets", None),
    "house": Noun("house", "houses", None),
    "tree": Noun("deciduous tree", "trees", "green"),
    "balloon": Noun("balloon", "balloons", "red"),
    "ghost": Noun("ghost", "ghosts", "white"),
    "robot": Noun("robot", "robots", None),
}

SHAPES: dict[str, str] = {
    "circle": "circles",
    "square": "squares",
    "triangle": "triangles",
    "star": "stars",
    "heart": "hearts",
    "diamond": "diamonds",
}

PLACES: dict[str, tuple[str, ...]] = {
    "grass": ("on grass", "on the grass", "in the grass"),
    "night": ("at night", "in the night"),
    "sunset": ("at sunset", "during sunset"),
    "beach": ("on a beach", "on the beach", "at the beach"),
    "snow": ("in the snow", "in snow"),
    "sky": ("in the sky", "in the clouds"),
    "water": ("under water", "underwater"),
    "desert": ("in the desert", "in a desert"),
}
"""Scenic backgrounds; the first phrase is the canonical one."""

NUMBERS: dict[int, tuple[str, ...]] = {
    1: ("a", "one", "1", ""),
    2: ("two", "2"),
    3: ("three", "3"),
    4: ("four", "4"),
}

SIZES: dict[str, tuple[str, ...]] = {"small": ("small", "tiny", "little"), "large": ("large", "big", "huge")}

UNSUPPORTED = ("left", "right", "above", "below", "behind", "over", "between", "beside", "next", "and")
"""Words that join two things: understood by readers, never drawn by this family."""


@dataclass(frozen=True)
class Vocabulary:
    """The names a family knows, in the order its class heads use."""

    nouns: tuple[str, ...]
    shapes: tuple[str, ...]
    colors: tuple[str, ...]
    places: tuple[str, ...]
    counts: tuple[int, ...]
    sizes: tuple[str, ...]

    @property
    def objects(self) -> tuple[str, ...]:
        """Everything that can be counted: glyphs, then shapes."""
        return self.nouns + self.shapes

    @property
    def backgrounds(self) -> tuple[str, ...]:
        """Plain backgrounds by colour, then scenic ones by place."""
        return self.colors + self.places


EMOJI = Vocabulary(tuple(NOUNS), tuple(SHAPES), tuple(COLORS), tuple(PLACES), tuple(NUMBERS), tuple(SIZES))
