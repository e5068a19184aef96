"""How fast is PyTorch, with diffusers' modules, eager or compiled? Eager f32 is what every output is held against."""

import os
from collections.abc import Callable
from pathlib import Path

import networks
import numpy
import torch
import torch._inductor.config as inductor
from parts import Part


class Torch:
    """PyTorch, eager, in f32 with so many threads, convolutions in its faster memory format."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def compile(self, part: Part) -> Callable[..., numpy.ndarray]:
        """A function from arrays to the network's output."""
        return forward_of(networks.load(part).to(memory_format=torch.channels_last), torch.float32)


class Compiled:
    """`torch.compile` for fixed shapes, in f32 or bf16, with so many threads."""

    def __init__(self, threads: int, cache: Path, precision: str) -> None:
        self.dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
        torch.set_num_threads(threads)
        # Weights as constants, packed once: a fifth faster in bf16, no different in f32.
        inductor.freezing = precision == "bf16"
        # What is compiled for one number of threads and one precision is of no use to another.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache / f"inductor-{precision}-{threads}")

    def compile(self, part: Part) -> Callable[..., numpy.ndarray]:
        """A function from arrays to the network's output, compiled when it is first called."""
        # The compiler gives up on a function of its eighth shape, of whichever case.
        torch.compiler.reset()
        module = networks.load(part).to(self.dtype, memory_format=torch.channels_last)
        return forward_of(torch.compile(module, dynamic=False, fullgraph=True), self.dtype)


def forward_of(module: torch.nn.Module, dtype: torch.dtype) -> Callable[..., numpy.ndarray]:
    """A function from arrays to arrays, f32 on both sides."""

    def forward(*arrays: numpy.ndarray) -> numpy.ndarray:
        with torch.no_grad():
            picture, *others = map(torch.from_numpy, arrays)
            picture = picture.to(dtype, memory_format=torch.channels_last)
            # bf16 has no place for timesteps: diffusers makes sinusoids of them first.
            others = [tensor.to(dtype) if tensor.dim() > 1 else tensor for tensor in others]
            return module(picture, *others).float().contiguous().numpy()

    return forward
