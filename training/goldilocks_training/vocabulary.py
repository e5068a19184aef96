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
    synonyms: tuple[tuple[str, str], ...] = ()
    """Other words for it, each with its plural."""


NOUNS: dict[str, Noun] = {
    "dog": Noun("dog face", "dogs", None, (("puppy", "puppies"), ("doggy", "doggies"))),
    "cat": Noun("cat face", "cats", None, (("kitty", "kitties"), ("kitten", "kittens"))),
    "fox": Noun("fox", "foxes", "orange"),
    "panda": Noun("panda", "pandas", None),
    "frog": Noun("frog", "frogs", "green"),
    "apple": Noun("red apple", "apples", "red"),
    "banana": Noun("banana", "bananas", "yellow"),
    "strawberry": Noun("strawberry", "strawberries", "red"),
    "pineapple": Noun("pineapple", "pineapples", "yellow"),
    "car": Noun("automobile", "cars", "red", (("automobile", "automobiles"),)),
    "rocket": Noun("rocket", "rockets", None),
    "house": Noun("house", "houses", None, (("home", "homes"),)),
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

COLOR_SYNONYMS: dict[str, tuple[str, ...]] = {"gray": ("grey",), "purple": ("violet",), "teal": ("turquoise",)}

PLACES: dict[str, tuple[str, ...]] = {
    "grass": ("on grass", "on the grass", "in the grass", "on the lawn", "on a lawn", "in a meadow", "in the meadow"),
    "night": ("at night", "in the night", "at midnight", "in the night sky", "under a night sky", "on a starry night"),
    "sunset": ("at sunset", "during sunset", "in the sunset", "at dusk", "in the evening"),
    "beach": ("on a beach", "on the beach", "at the beach", "by the sea", "at the seaside", "on the seashore"),
    "snow": ("in the snow", "in snow", "on the snow", "in winter", "in a snowy landscape"),
    "sky": ("in the sky", "in the clouds", "in a cloudy sky", "among clouds"),
    "water": ("under water", "underwater", "in the water", "in the sea", "in the ocean", "under the sea"),
    "desert": ("in the desert", "in a desert", "on sand dunes", "in the dunes"),
}
"""Scenic backgrounds; the first phrase is the canonical one."""

NUMBERS: dict[int, tuple[str, ...]] = {
    1: ("a", "one", "1", "", "a single", "the"),
    2: ("two", "2", "a pair of", "a couple of"),
    3: ("three", "3"),
    4: ("four", "4"),
}

SIZES: dict[str, tuple[str, ...]] = {
    "small": ("small", "tiny", "little", "mini"),
    "large": ("large", "big", "huge", "giant", "enormous"),
}

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
