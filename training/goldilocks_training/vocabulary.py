"""Which things can a scene contain, and what are they called?

The whole pipeline reads its words, class lists and colours from here, so a family that knows more (or fewer) things is another
`Vocabulary`, not another program. There are two: the small one fits a CPU, the large one, with relations between two things,
wants a GPU. `--vocabulary` chooses, and so does the environment, which worker processes inherit.
"""

import argparse
import os
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


SMALL_NOUNS: dict[str, Noun] = {
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

NOUNS: dict[str, Noun] = SMALL_NOUNS | {
    "bear": Noun("bear", "bears", "brown"),
    "koala": Noun("koala", "koalas", "gray"),
    "tiger": Noun("tiger face", "tigers", "orange"),
    "lion": Noun("lion", "lions", None),
    "monkey": Noun("monkey face", "monkeys", "brown", (("chimp", "chimps"),)),
    "mouse": Noun("mouse face", "mice", "gray"),
    "pig": Noun("pig face", "pigs", "pink", (("piglet", "piglets"),)),
    "cow": Noun("cow face", "cows", None),
    "rabbit": Noun("rabbit face", "rabbits", None, (("bunny", "bunnies"),)),
    "chicken": Noun("chicken", "chickens", "white", (("hen", "hens"),)),
    "penguin": Noun("penguin", "penguins", None),
    "owl": Noun("owl", "owls", "brown"),
    "turtle": Noun("turtle", "turtles", "green", (("tortoise", "tortoises"),)),
    "fish": Noun("fish", "fish", "blue", (("fish", "fishes"),)),
    "octopus": Noun("octopus", "octopuses", "pink"),
    "crab": Noun("crab", "crabs", "red"),
    "butterfly": Noun("butterfly", "butterflies", "orange"),
    "bee": Noun("honeybee", "bees", None, (("honeybee", "honeybees"),)),
    "snail": Noun("snail", "snails", None),
    "elephant": Noun("elephant", "elephants", "gray"),
    "unicorn": Noun("unicorn", "unicorns", None),
    "whale": Noun("spouting whale", "whales", "blue"),
    "snake": Noun("snake", "snakes", "green"),
    "watermelon": Noun("watermelon", "watermelons", None, (("melon", "melons"),)),
    "pear": Noun("pear", "pears", "green"),
    "peach": Noun("peach", "peaches", None),
    "lemon": Noun("lemon", "lemons", "yellow"),
    "carrot": Noun("carrot", "carrots", "orange"),
    "mushroom": Noun("mushroom", "mushrooms", "red"),
    "pizza": Noun("pizza", "pizzas", None),
    "hamburger": Noun("hamburger", "hamburgers", None, (("burger", "burgers"),)),
    "cupcake": Noun("cupcake", "cupcakes", None),
    "donut": Noun("doughnut", "donuts", None, (("doughnut", "doughnuts"),)),
    "bus": Noun("bus", "buses", None),
    "airplane": Noun("airplane", "airplanes", None, (("plane", "planes"), ("aeroplane", "aeroplanes"))),
    "sailboat": Noun("sailboat", "sailboats", None, (("boat", "boats"), ("ship", "ships"))),
    "bicycle": Noun("bicycle", "bicycles", None, (("bike", "bikes"),)),
    "train": Noun("locomotive", "trains", None, (("locomotive", "locomotives"),)),
    "umbrella": Noun("umbrella with rain drops", "umbrellas", "purple"),
    "guitar": Noun("guitar", "guitars", "red"),
    "key": Noun("key", "keys", "yellow"),
    "crown": Noun("crown", "crowns", "yellow"),
    "gift": Noun("wrapped gift", "gifts", None, (("present", "presents"),)),
    "bell": Noun("bell", "bells", "yellow"),
    "cactus": Noun("cactus", "cactuses", "green", (("cactus", "cacti"),)),
    "rose": Noun("rose", "roses", "red"),
    "sunflower": Noun("sunflower", "sunflowers", "yellow"),
    "snowman": Noun("snowman without snow", "snowmen", "white"),
}
"""Every noun any vocabulary has."""

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

RELATIONS: dict[str, tuple[str, ...]] = {
    "left": ("left of", "to the left of", "on the left of", "on the left side of"),
    "right": ("right of", "to the right of", "on the right of", "on the right side of"),
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "beneath", "underneath"),
    "beside": ("next to", "beside"),
    "and": ("and", "with", "and also"),
}
"""Where one thing lies as seen from another; the first phrase is the canonical one. The last two leave it open, `beside` only
which of the two is on the left."""
PLACED = ("left", "right", "above", "below")
"""The relations that say where; a picture has exactly one of them."""
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above", "beside": "beside", "and": "and"}
SIDES = {"left": "on the left", "right": "on the right", "above": "at the top", "below": "at the bottom"}

UNSUPPORTED = ("left", "right", "above", "below", "behind", "over", "between", "beside", "next", "and")
"""Words that join two things: understood by readers, never drawn by a family without relations."""


@dataclass(frozen=True)
class Vocabulary:
    """The names a family knows, in the order its class heads use."""

    nouns: tuple[str, ...]
    shapes: tuple[str, ...]
    colors: tuple[str, ...]
    places: tuple[str, ...]
    counts: tuple[int, ...]
    sizes: tuple[str, ...]
    relations: tuple[str, ...] = ()
    """Of two things in one picture; none where there is never more than one kind of thing."""

    @property
    def objects(self) -> tuple[str, ...]:
        """Everything that can be counted: glyphs, then shapes."""
        return self.nouns + self.shapes

    @property
    def backgrounds(self) -> tuple[str, ...]:
        """Plain backgrounds by colour, then scenic ones by place."""
        return self.colors + self.places

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Words that readers understand and this family does not draw."""
        return () if self.relations else UNSUPPORTED


EMOJI = Vocabulary(tuple(SMALL_NOUNS), tuple(SHAPES), tuple(COLORS), tuple(PLACES), tuple(NUMBERS), tuple(SIZES))
EMOJI_LARGE = Vocabulary(
    tuple(NOUNS), tuple(SHAPES), tuple(COLORS), tuple(PLACES), tuple(NUMBERS), tuple(SIZES), tuple(RELATIONS)
)
VOCABULARIES = {"small": EMOJI, "large": EMOJI_LARGE}
VARIABLE = "GOLDILOCKS_VOCABULARY"


def chosen() -> Vocabulary:
    """Returns the vocabulary of this process."""
    return VOCABULARIES[os.environ.get(VARIABLE, "small")]


class _Choose(argparse.Action):
    def __call__(self, _parser, namespace, name, _option=None) -> None:
        os.environ[VARIABLE] = name
        setattr(namespace, self.dest, name)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Lets the command line choose the vocabulary."""
    default = os.environ.get(VARIABLE, "small")
    parser.add_argument(
        "--vocabulary", action=_Choose, choices=VOCABULARIES, default=default, help="small, or large with relations"
    )
