"""How fast is PyTorch, eager, with diffusers' modules? The reference that every engine's output is held against."""

from collections.abc import Callable

import numpy
import torch

import networks
from parts import Part


class Torch:
    """PyTorch with so many threads, convolutions in its faster memory format."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def compile(self, part: Part) -> Callable[..., numpy.ndarray]:
        """A function from arrays to the network's output."""
        module = networks.load(part).to(memory_format=torch.channels_last)

        def forward(*arrays: numpy.ndarray) -> numpy.ndarray:
            with torch.inference_mode():
                picture, *others = map(torch.from_numpy, arrays)
                picture = picture.contiguous(memory_format=torch.channels_last)
                return module(picture, *others).contiguous().numpy()

        return forward
