"""Which networks do the Python engines run? diffusers' own, in f32, with tensors in and one tensor out."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from parts import Part
from torch import Tensor, nn
from transformers import CLIPTextModel


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


class Text(nn.Module):
    """A text encoder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.encoder = CLIPTextModel.from_pretrained(folder, dtype=torch.float32)

    def forward(self, ids: Tensor) -> Tensor:
        """The states that the U-Net is told."""
        return self.encoder(ids).last_hidden_state


def load(part: Part) -> nn.Module:
    """The module of a part, for inference only."""
    kinds = {"unet": Step, "decode": Decode, "text": Text}
    return kinds[part.kind](part.folder).eval().requires_grad_(False)


def tensors(part: Part) -> tuple[Tensor, ...]:
    """A part's examples as torch takes them, sharing their memory."""
    return tuple(torch.from_numpy(values) for values in part.examples.values())
