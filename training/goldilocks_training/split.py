"""Which captions and pictures are kept for evaluation?

The evaluation captions are a fixed list with labels and seeds. Neither they nor some object-colour pairs ever reach the stages
that learn to follow captions (tokenizer, text encoder, U-Nets). The autoencoder and the evaluator see pictures of every scene the
vocabulary allows: one must encode them, the other must judge them. Reference pictures come from seeds no training stage uses.
"""

from dataclasses import asdict

import numpy as np
from numpy.random import Generator

from . import captions
from .scenes import Scene, draw
from .vocabulary import EMOJI, UNSUPPORTED

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


def held_out(scene: Scene) -> bool:
    return (scene.object, scene.color) in HELD_OUT_PAIRS


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
    rng = np.random.default_rng(SEED)
    chosen: dict[Scene, str] = {}
    while len(chosen) < CAPTIONS:
        scene = draw_for_evaluation(rng)
        chosen.setdefault(scene, captions.caption(scene, rng, complete=True))
    return list(chosen.items())


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


def document() -> dict:
    """Returns the split as it is written down."""
    return {
        "version": VERSION,
        "captions": [
            {"caption": caption, **asdict(scene), "seed": SEED + i} for i, (scene, caption) in enumerate(evaluation())
        ],
        "held_out_pairs": [list(pair) for pair in sorted(HELD_OUT_PAIRS)],
    }


def vocabulary_document() -> dict:
    """Returns what the family can be asked for."""
    return {
        "words": captions.words(),
        "nouns": list(EMOJI.nouns + EMOJI.shapes),
        "colors": list(EMOJI.colors),
        "backgrounds": list(EMOJI.backgrounds),
        "counts": list(EMOJI.counts),
        "sizes": list(EMOJI.sizes),
        "unsupported": list(UNSUPPORTED),
    }
