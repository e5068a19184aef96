"""How do gradients become steps? By Muon for the weights that are matrices and AdamW for the rest, or by AdamW alone.

Muon (Jordan et al., 2024) replaces the momentum of a matrix by the nearest orthogonal one, found by Newton-Schulz iterations; a
convolution counts as a matrix of output channels by everything else. A step is scaled to the size of a typical AdamW step (Liu
et al., arXiv 2502.16982), so one learning rate serves both. Biases, norms and embeddings have no useful directions and stay with
AdamW. On a GPU the learning rate is a tensor, so that a step can be recorded as a CUDA graph. On the U-Nets here it needs about a quarter of AdamW's samples; `training/README.md` has the figures.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

NAMES = ("muon", "adamw")
MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic whose iteration pushes every singular value towards one."""
ITERATIONS = 5
ADAMW_SIZE = 0.2
"""Root mean square of a typical AdamW step, in units of the learning rate."""


def orthogonalise(matrices: Tensor) -> Tensor:
    """Returns the matrices (batch, rows, columns) with singular values near one."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    wide = matrices.mT if tall else matrices
    wide = wide / (wide.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = wide @ wide.mT
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide.mT if tall else wide


class Muon(torch.optim.Optimizer):
    """Muon for weights of two or more dimensions; equal shapes are orthogonalised together."""

    def __init__(self, weights: Iterable[nn.Parameter], weight_decay: float) -> None:
        super().__init__(weights, {"lr": 0.0, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape[len(weight), weight[0].numel()].append(weight)
            for shape, weights in by_shape.items():
                self._move(shape, weights, group["lr"], group["weight_decay"])

    def _move(
        self, shape: tuple[int, int], weights: list[nn.Parameter], rate: float | Tensor, weight_decay: float
    ) -> None:
        moves = orthogonalise(torch.stack([self._ahead(weight).reshape(shape) for weight in weights]))
        size = rate * ADAMW_SIZE * max(shape) ** 0.5
        if isinstance(size, Tensor):  # which `alpha` cannot be inside a recording
            moves, size = moves * size, 1.0
        for weight, move in zip(weights, moves):
            weight.mul_(1 - rate * weight_decay).sub_(move.reshape(weight.shape), alpha=size)

    def _ahead(self, weight: nn.Parameter) -> Tensor:
        """Updates a weight's momentum and returns it looked ahead by one step (Nesterov)."""
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
        return weight.grad.lerp(state["momentum"], MOMENTUM)


class Optimizer:
    """Every weight of a model under the optimizer that suits it; the learning rate is told at each step."""

    def __init__(
        self,
        name: str,
        model: nn.Module,
        weight_decay: float,
        betas: tuple[float, float],
        capturable: bool | None = None,
    ) -> None:
        """`capturable` keeps the learning rate on the device; unless told, so it is for models on a GPU."""
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
        matrices = [w for w in weights if name == "muon" and w.dim() >= 2 and id(w) not in tables]
        chosen = {id(weight) for weight in matrices}
        others = [weight for weight in weights if id(weight) not in chosen]
        self._weights = weights
        self.capturable = weights[0].is_cuda if capturable is None else capturable
        self._rate = torch.zeros((), device=weights[0].device)
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                others,
                lr=self._rate if self.capturable else 0.0,
                betas=betas,
                weight_decay=weight_decay,
                fused=True,
                capturable=self.capturable,
            )
        ]
        if matrices:
            self._parts.append(Muon(matrices, weight_decay))
        self.set_rate(0.0)

    def set_rate(self, rate: float) -> None:
        """Tells the learning rate of the steps to come."""
        self._rate.fill_(rate)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = self._rate if self.capturable else rate

    def descend(self, loss: Tensor, clip: float = 1.0) -> None:
        """Moves every weight against the gradient of the loss, whose norm is limited first."""
        for part in self._parts:
            part.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._weights, clip)
        for part in self._parts:
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self._parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for part, state in zip(self._parts, states, strict=True):
            part.load_state_dict(state)
            for group in part.param_groups:
                if "capturable" in group:
                    group["capturable"] = self.capturable
        self.set_rate(0.0)
