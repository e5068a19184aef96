"""How are pictures painted as fast as a GPU learns from them? Worker processes paint them in shards into shared memory; a pool on
the device keeps the latest, and training draws from the pool without waiting for anybody.

A feed must be made before the process first uses the GPU: its workers are forks.
"""

import mmap
import multiprocessing
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from .. import captions, scenes, text_encoder, tokenizer, tower
from ..pixels import normalized
from ..scenes import SIDE, Scene
from ..split import TrainingScenes

PICTURE = SIDE * SIDE * 3
SPARE_SLOTS = 4
"""Shards that may wait to be fetched while every worker paints another."""
REFRESH_EVERY = 0.5
"""Seconds between two shards that a full pool takes in; each costs the GPU a copy of 100 MB."""
CROP = 64


class Shard(NamedTuple):
    """Pictures with their labels."""

    number: int
    pictures: Tensor
    """uint8, size x SIDE x SIDE x 3, on the device."""
    truth: Tensor
    """Classes, size x heads, in the order of `tower.heads`, on the device."""
    ids: Tensor
    """Token ids, size x 2 x length: of the right caption and of a wrong one; empty where every scene is allowed."""


@dataclass
class Brush:
    """What a worker inherits."""

    seed: int
    size: int
    held_out: bool
    """Whether scenes that are kept for evaluation occur too, without captions."""
    memory: mmap.mmap
    free: "multiprocessing.SimpleQueue"
    painter: scenes.Painter
    work: Path

    def slot(self, number: int) -> np.ndarray:
        """Returns the pictures of a slot of the shared memory."""
        count = self.size * PICTURE
        flat = np.frombuffer(self.memory, np.uint8, count, number * count)
        return flat.reshape(self.size, SIDE, SIDE, 3)

    def paint(self, number: int) -> tuple[int, int, np.ndarray, np.ndarray]:
        """Paints a shard into a free slot; returns its number, the slot, classes and ids."""
        slot = self.free.get()
        drawing = TrainingScenes(self.seed + number)
        drawn = [scenes.draw(drawing.rng) if self.held_out else drawing.draw() for _ in range(self.size)]
        for place, scene in zip(self.slot(slot), drawn):
            place[:] = self.painter.paint(scene, drawing.rng)
        heads = tower.heads()
        truth = np.array([[head.label(scene) for head in heads] for scene in drawn], np.int16)
        return number, slot, truth, self._ids(drawn, drawing.rng)

    def _ids(self, drawn: list[Scene], rng: Generator) -> np.ndarray:
        if self.held_out:
            return np.zeros((self.size, 0), np.int16)
        right = [captions.caption(scene, rng) for scene in drawn]
        wrong = [captions.caption(text_encoder.edit(scene, rng), rng, complete=True) for scene in drawn]
        words = tokenizer.load(self.work)
        return np.stack([np.array(tokenizer.ids(words, texts), np.int16) for texts in (right, wrong)], 1)


_brush: Brush | None = None


def _start(brush: Brush) -> None:
    global _brush
    _brush = brush


def _paint(number: int) -> tuple[int, int, np.ndarray, np.ndarray]:
    return _brush.paint(number)


class Feed:
    """Shards in the order in which they are ready."""

    def __init__(self, work: Path, seed: int, size: int, numbers: Iterable[int], workers: int, held_out: bool) -> None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        context = multiprocessing.get_context("fork")
        slots = workers + SPARE_SLOTS
        self._free = context.SimpleQueue()
        for slot in range(slots):
            self._free.put(slot)
        memory = mmap.mmap(-1, slots * size * PICTURE)
        self._brush = Brush(seed, size, held_out, memory, self._free, scenes.Painter(), work)
        self._workers = context.Pool(workers, _start, (self._brush,))
        self._done = self._workers.imap_unordered(_paint, numbers)

    @property
    def size(self) -> int:
        return self._brush.size

    def take(self, device: torch.device, wait: bool = True) -> Shard | None:
        """Returns the next shard, or none if it is not ready and nobody waits."""
        try:
            number, slot, truth, ids = self._done.next(None if wait else 0)
        except multiprocessing.TimeoutError:
            return None
        pictures = torch.from_numpy(self._brush.slot(slot)).to(device, copy=True)
        self._free.put(slot)
        return Shard(number, pictures, *(torch.from_numpy(part).to(device).long() for part in (truth, ids)))

    def close(self) -> None:
        self._workers.terminate()


class Pool:
    """The latest shards of a feed on the device; batches are drawn from all of them."""

    def __init__(self, feed: Feed, shards: int, device: torch.device) -> None:
        self._feed, self._device = feed, device
        first = feed.take(device)
        self._parts = [torch.empty((shards, *part.shape), dtype=part.dtype, device=device) for part in first[1:]]
        self._put(0, first)
        for slot in range(1, shards):
            self._put(slot, feed.take(device))
        self._slots, self._next = shards, 0
        self._refreshed = time.monotonic()
        self._pictures, self._truth, self._ids = (part.flatten(0, 1) for part in self._parts)

    def _put(self, slot: int, shard: Shard) -> None:
        for part, fresh in zip(self._parts, shard[1:], strict=True):
            part[slot] = fresh

    def _choose(self, count: int) -> Tensor:
        """Draws pictures; now and then takes in a fresh shard first."""
        if time.monotonic() - self._refreshed > REFRESH_EVERY and (shard := self._feed.take(self._device, wait=False)):
            self._put(self._next, shard)
            self._next = (self._next + 1) % self._slots
            self._refreshed = time.monotonic()
        return torch.randint(len(self._pictures), (count,), device=self._device)

    def whole(self, count: int) -> Tensor:
        """Returns whole pictures in [-1, 1]."""
        return normalized(self._pictures[self._choose(count)])

    def crops(self, count: int) -> Tensor:
        """Returns crops of CROP x CROP in [-1, 1], each from a picture of its own."""
        rows, columns = torch.randint(SIDE - CROP + 1, (2, count, 1), device=self._device)
        along = torch.arange(CROP, device=self._device)
        rows, columns = (rows + along)[:, :, None], (columns + along)[:, None, :]
        return normalized(self._pictures[self._choose(count)[:, None, None], rows, columns])

    def judged(self, count: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns pooled pictures and their classes by head."""
        return self._judged(self._choose(count))

    def captioned(self, count: int) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Returns the same and the ids of all right captions followed by all wrong ones."""
        chosen = self._choose(count)
        return *self._judged(chosen), self._ids[chosen].transpose(0, 1).flatten(0, 1)

    def _judged(self, chosen: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        truth = self._truth[chosen]
        names = [head.name for head in tower.heads()]
        return tower.pool(normalized(self._pictures[chosen])), {name: truth[:, i] for i, name in enumerate(names)}
