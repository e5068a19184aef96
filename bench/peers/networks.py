"""Which networks do the Python engines run? diffusers' own, in f32, with arrays in and one array out."""

from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn

import cases


@dataclass(frozen=True)
class Part:
    """A network at fixed shapes: `unet` takes sample, timesteps and states, `decode` takes latents."""

    kind: str
    folder: Path
    examples: dict[str, numpy.ndarray]

    def key(self, *versions: str) -> str:
        """A name for what is compiled from it, the same as long as weights, shapes and versions are."""
        weights = self.folder / "diffusion_pytorch_model.safetensors"
        shapes = str([values.shape for values in self.examples.values()])
        return cases.digest(self.kind, shapes, *versions, self.folder / "config.json", weights)

    def tensors(self) -> tuple[Tensor, ...]:
        """The examples as torch takes them, sharing their memory."""
        return tuple(torch.from_numpy(values) for values in self.examples.values())


class Step(nn.Module):
    """One evaluation of a U-Net."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32)

    def forward(self, sample: Tensor, timesteps: Tensor, states: Tensor) -> Tensor:
        """The prediction, of the sample's shape."""
        return self.unet(sample, timesteps, states, return_dict=False)[0]


class Decode(nn.Module):
    """The decoder of an autoencoder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.vae = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32)

    def forward(self, latents: Tensor) -> Tensor:
        """Pictures in [-1, 1]."""
        return self.vae.decode(latents, return_dict=False)[0]


def load(part: Part) -> nn.Module:
    """The module of a part, for inference only."""
    kinds = {"unet": Step, "decode": Decode}
    return kinds[part.kind](part.folder).eval().requires_grad_(False)
