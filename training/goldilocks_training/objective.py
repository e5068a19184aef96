"""What is a U-Net asked for, at which noise levels, and how much does each count?

The choices of the literature, as options: predict v or the noise; count noise levels alike or by their signal-to-noise ratio; see
all of them from the start or the easy ones first.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from . import diffusion

PREDICTIONS = ("v_prediction", "epsilon")
WEIGHTINGS = ("capped", "min-snr", "none")
SNR_CAP = 5.0
"""Signal-to-noise ratio from which on a noise level counts less: little is left to learn there."""
SMOOTHING = 0.05
"""Weight of the newest loss in the running mean that the curriculum watches."""


@dataclass(frozen=True)
class Objective:
    """The regression a U-Net is trained on."""

    prediction: str
    weighting: str
    alphas: Tensor
    """Cumulated alphas of every training timestep."""

    @classmethod
    def new(cls, prediction: str, weighting: str, device: torch.device) -> "Objective":
        return cls(prediction, weighting, diffusion.noise_schedule(prediction).alphas_cumprod.to(device))

    def losses(self, model: nn.Module, batch: tuple[Tensor, ...], autocast: bool) -> tuple[Tensor, Tensor]:
        """Returns the mean weighted and the mean plain loss of latents, text states, timesteps and noise."""
        clean, states, steps, noise = batch
        alpha = self.alphas[steps].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        target = noise if self.prediction == "epsilon" else alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
        with torch.autocast(clean.device.type, torch.bfloat16, enabled=autocast):
            predicted = model(noisy, steps, states).sample
        plain = (predicted.float() - target).pow(2).mean((1, 2, 3))
        return (self._weights(alpha.flatten()) * plain).mean(), plain.mean()

    def _weights(self, alpha: Tensor) -> Tensor:
        """Weights of noise levels; `min-snr` is equation 6 of Hang et al., arXiv 2303.09556, for either prediction."""
        signal = alpha / (1 - alpha).clamp(min=1e-8)
        if self.weighting == "none":
            return torch.ones_like(signal)
        if self.weighting == "min-snr":
            reference = signal if self.prediction == "epsilon" else signal + 1
            return signal.clamp(max=SNR_CAP) / reference.clamp(min=1e-8)
        return torch.where(signal < SNR_CAP, 1.0, (SNR_CAP + 1) / (signal + 1))


@dataclass
class Curriculum:
    """Easy noise levels first (Kim et al., arXiv 2403.10348): timesteps fall into clusters, the noisiest, easiest one comes first,
    and the next joins when the loss has not improved for `patience` steps. One cluster means no curriculum."""

    clusters: int = 1
    patience: int = 200
    stage: int = 1
    _mean: float | None = field(default=None, init=False)
    _best: float = field(default=float("inf"), init=False)
    _waited: int = field(default=0, init=False)

    def timesteps(self, uniform: Tensor) -> Tensor:
        """Turns timesteps drawn from all into timesteps of the open clusters."""
        first = diffusion.STEPS - self.stage * diffusion.STEPS // self.clusters
        return first + uniform * (diffusion.STEPS - first) // diffusion.STEPS

    def observe(self, loss: float) -> None:
        """Takes note of a step's loss; opens the next cluster when it has stopped falling."""
        if self.stage == self.clusters:
            return
        self._mean = loss if self._mean is None else self._mean + SMOOTHING * (loss - self._mean)
        self._waited = 0 if self._mean < self._best else self._waited + 1
        self._best = min(self._best, self._mean)
        if self._waited >= self.patience:
            self.stage, self._mean, self._best, self._waited = self.stage + 1, None, float("inf"), 0

    def state_dict(self) -> dict[str, Any]:
        return vars(self).copy()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
