"""How are diffusers' Euler schedulers run in f64? They insist on f32, and keep `x / alpha` for `x`.

With zero terminal SNR that starts at 4096 * x, whose f32 is off by 2e-4 of x: more than what is compared.
"""

from typing import Any

import torch
from diffusers import EulerAncestralDiscreteScheduler, EulerDiscreteScheduler
from diffusers.schedulers import scheduling_euler_ancestral_discrete, scheduling_euler_discrete
from torch import Tensor


class Double:
    """torch, for which f32 is f64."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


scheduling_euler_discrete.torch = scheduling_euler_ancestral_discrete.torch = Double()


class Steps:
    """Steps in f64, between networks of the precision of the first latents."""

    def scale_model_input(self, sample: Tensor, timestep: Any) -> Tensor:
        """What the network sees."""
        seen = self.__dict__.setdefault("seen", sample.dtype)
        return super().scale_model_input(sample, timestep).to(seen)

    def step(self, output: Tensor, timestep: Any, sample: Tensor, **how: Any) -> Any:
        """The scheduler's own step, on f64."""
        return super().step(output.double(), timestep, sample.double(), **how)


Euler = type(EulerDiscreteScheduler.__name__, (Steps, EulerDiscreteScheduler), {})
EulerAncestral = type(EulerAncestralDiscreteScheduler.__name__, (Steps, EulerAncestralDiscreteScheduler), {})
