"""Which captions and pictures are kept for evaluation?

The evaluation captions are a fixed list with labels and seeds. Neither they nor some object-colour pairs and
pairs of objects ever reach the stages that learn to follow captions (tokenizer, text encoder, U-Nets). The autoencoder and the evaluator see pictures of every scene the
vocabulary allows: one must encode them, the other must judge them. Reference pictures come from seeds no training stage uses.
"""

from dataclasses import asdict
from functools import cache

import numpy as np
from numpy.random import Generator

from . import captions
from .scenes import Scene, draw
from .vocabulary import PLACED, Vocabulary, chosen

VERSION = 2
CAPTIONS = 512
HELD_OUT_SHARE = 0.125
"""Share of the evaluation captions whose pair was never trained on."""
SEED = 710_000
DEVELOPMENT_SEED = 740_000
HELD_OUT_PAIRS = frozenset(
    {
        ("dog", "blue"),
        ("cat", "purple"),
        ("fox", "green"),
        ("panda", "pink"),
        ("frog", "orange"),
        ("apple", "blue"),
        ("banana", "teal"),
        ("strawberry", "purple"),
        ("pineapple", "red"),
        ("car", "yellow"),
        ("rocket", "green"),
        ("house", "teal"),
        ("tree", "red"),
        ("balloon", "brown"),
        ("ghost", "pink"),
        ("robot", "purple"),
        ("star", "teal"),
        ("heart", "green"),
    }
)


LARGE_HELD_OUT_PAIRS = frozenset(
    {
        ("bear", "blue"),
        ("tiger", "green"),
        ("lion", "purple"),
        ("monkey", "teal"),
        ("pig", "green"),
        ("cow", "orange"),
        ("rabbit", "blue"),
        ("penguin", "red"),
        ("turtle", "pink"),
        ("fish", "purple"),
        ("octopus", "green"),
        ("butterfly", "brown"),
        ("elephant", "pink"),
        ("unicorn", "teal"),
        ("whale", "orange"),
        ("lemon", "blue"),
        ("mushroom", "purple"),
        ("hamburger", "teal"),
        ("bus", "pink"),
        ("airplane", "yellow"),
        ("guitar", "teal"),
        ("crown", "purple"),
        ("rose", "blue"),
        ("snowman", "red"),
    }
)
"""Of the nouns that only the large vocabulary has."""
HELD_OUT_COMPANIONS = frozenset(
    {
        ("dog", "cat"),
        ("fox", "chicken"),
        ("panda", "rocket"),
        ("frog", "bee"),
        ("apple", "banana"),
        ("strawberry", "snowman"),
        ("pineapple", "fish"),
        ("car", "house"),
        ("tree", "airplane"),
        ("balloon", "elephant"),
        ("ghost", "robot"),
        ("bear", "umbrella"),
        ("tiger", "pizza"),
        ("lion", "crown"),
        ("monkey", "lemon"),
        ("mouse", "bicycle"),
        ("pig", "cupcake"),
        ("cow", "train"),
        ("penguin", "cactus"),
        ("owl", "key"),
        ("unicorn", "star"),
        ("guitar", "rose"),
        ("bus", "square"),
        ("circle", "heart"),
    }
)
"""Two things never seen together, in the vocabulary's order."""


def held_out_pairs(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Returns the objects and colours never trained on together, sorted."""
    return sorted(pair for pair in HELD_OUT_PAIRS | LARGE_HELD_OUT_PAIRS if pair[0] in vocabulary.objects)


def held_out(scene: Scene) -> bool:
    colored = any(thing in HELD_OUT_PAIRS or thing in LARGE_HELD_OUT_PAIRS for thing in set(scene.things()))
    return colored or (scene.object, scene.second_object) in HELD_OUT_COMPANIONS


def _draw_where(rng: Generator, wanted: bool) -> Scene:
    """Draws a scene that is or is not of a held-out pair, never one with a natural colour named."""
    while True:
        scene = draw(rng, natural_colors=False)
        if held_out(scene) == wanted:
            return scene


def draw_for_evaluation(rng: Generator) -> Scene:
    """Draws a scene as the evaluation captions are distributed."""
    return _draw_where(rng, rng.random() < HELD_OUT_SHARE)


def evaluation() -> list[tuple[Scene, str]]:
    """Returns the evaluation scenes with their captions, without repetition, in a fixed order."""
    return list(_evaluation(chosen()))


@cache
def _evaluation(_vocabulary: Vocabulary) -> tuple[tuple[Scene, str], ...]:
    rng = np.random.default_rng(SEED)
    drawn: dict[Scene, str] = {}
    while len(drawn) < CAPTIONS:
        scene = draw_for_evaluation(rng)
        drawn.setdefault(scene, captions.caption(scene, rng, complete=True))
    return tuple(drawn.items())


def development(count: int) -> list[tuple[Scene, str]]:
    """Returns scenes with captions to make choices by: never evaluated, and of a seed no training stage uses."""
    scenes = TrainingScenes(DEVELOPMENT_SEED)
    drawn = [scenes.draw() for _ in range(count)]
    return [(scene, captions.caption(scene, scenes.rng, complete=True)) for scene in drawn]


class TrainingScenes:
    """Draws scenes for the generating stages: no held-out pair, no evaluation scene."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self._reserved = {scene for scene, _ in evaluation()}

    def draw(self) -> Scene:
        while True:
            scene = draw(self.rng)
            if not held_out(scene) and scene not in self._reserved:
                return scene


def labels(scene: Scene) -> dict:
    """Returns what a caption asks for, by the evaluator's questions; what it leaves open is null."""
    told = asdict(scene)
    if not chosen().relations:
        return {name: told[name] for name in ("object", "count", "color", "background", "size")}
    return {**told, "relation": scene.relation if scene.relation in PLACED else None}


def document() -> dict:
    """Returns the split as it is written down."""
    written = {
        "version": VERSION,
        "captions": [
            {"caption": caption, **labels(scene), "seed": SEED + i} for i, (scene, caption) in enumerate(evaluation())
        ],
        "held_out_pairs": [list(pair) for pair in held_out_pairs(chosen())],
    }
    if chosen().relations:
        written["held_out_companions"] = [list(pair) for pair in sorted(HELD_OUT_COMPANIONS)]
    return written


def vocabulary_document() -> dict:
    """Returns what the family can be asked for."""
    vocabulary = chosen()
    known = {
        "words": captions.words(),
        "nouns": list(vocabulary.objects),
        "colors": list(vocabulary.colors),
        "backgrounds": list(vocabulary.backgrounds),
        "counts": list(vocabulary.counts),
        "sizes": list(vocabulary.sizes),
        "unsupported": list(vocabulary.unsupported),
    }
    return {**known, "relations": list(vocabulary.relations)} if vocabulary.relations else known
