"""How does a training step cost one launch instead of a thousand? On a GPU the whole of it, forward, backward and optimizer, is
recorded as a CUDA graph and replayed; elsewhere the same functions run as they are.

Shapes of the inputs are part of the recording, so each set of shapes has a graph of its own. The first steps run eagerly, as
CUDA demands of what is to be recorded; they count as training steps like any other.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .optimizer import Optimizer

EAGER_STEPS = 3
VARIABLE = "GOLDILOCKS_EAGER"
"""Set in the environment, no step is recorded: for a machine where recording fails."""


@dataclass(frozen=True)
class Recording:
    """A captured step and the memory it reads and writes."""

    graph: "torch.cuda.CUDAGraph"
    inputs: tuple[Tensor, ...]
    reported: Tensor

    def replay(self, batch: tuple[Tensor, ...]) -> Tensor:
        for place, fresh in zip(self.inputs, batch, strict=True):
            place.copy_(fresh)
        self.graph.replay()
        return self.reported.clone()


class Step:
    """One optimization step of a model on a batch of tensors."""

    def __init__(self, losses: Callable[..., tuple[Tensor, ...]], mover: Optimizer, clip: float = 1.0) -> None:
        """`losses` returns the loss to descend first and the one to report last; they may be the same."""
        self._losses, self._mover, self._clip = losses, mover, clip
        self._records = mover.capturable and not os.environ.get(VARIABLE)
        self._eager_left: dict[tuple, int] = {}
        self._recordings: dict[tuple, Recording] = {}

    def __call__(self, batch: tuple[Tensor, ...], rate: float) -> Tensor:
        """Moves the weights at this learning rate; returns the reported loss."""
        self._mover.set_rate(rate)
        if not self._records:
            return self._take(batch)
        shapes = tuple(tensor.shape for tensor in batch)
        left = self._eager_left.setdefault(shapes, EAGER_STEPS)
        if left:
            self._eager_left[shapes] = left - 1
            return self._take_aside(batch)
        if shapes not in self._recordings:
            recording = self._record(batch)
            if recording is None:
                return self._take(batch)
            self._recordings[shapes] = recording
        return self._recordings[shapes].replay(batch)

    def _take(self, batch: tuple[Tensor, ...]) -> Tensor:
        losses = self._losses(*batch)
        self._mover.descend(losses[0], self._clip)
        return losses[-1].detach()

    def _take_aside(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Takes the step on a stream of its own, so that no lazy set-up happens during the recording."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            reported = self._take(batch)
        torch.cuda.current_stream().wait_stream(stream)
        return reported

    def _record(self, batch: tuple[Tensor, ...]) -> Recording | None:
        """Records a step without taking it; where that fails, says so and leaves every later step to run eagerly."""
        inputs = tuple(tensor.clone() for tensor in batch)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                reported = self._take(inputs)
        except RuntimeError as error:
            print(f"no CUDA graph, going on without: {error}", flush=True)
            self._records = False
            self._recordings.clear()
            torch.cuda.synchronize()
            return None
        return Recording(graph, inputs, reported)
