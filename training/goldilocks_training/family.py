"""How is an exported family loaded and drawn with in Python?"""

import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from tokenizers import Tokenizer
from torch import Tensor
from transformers import CLIPTextModel

from . import diffusion, tokenizer


class Family:
    """The shared parts of a family; U-Nets are loaded by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval()
        self._encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval()
        self._words = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))

    def unet_names(self) -> list[str]:
        """Returns the U-Nets' folders, narrowest first."""
        names = (path.name for path in self.folder.glob("unet-*"))
        return sorted(names, key=lambda name: int(re.sub(r"\D", "", name)))

    def unet(self, name: str) -> UNet2DConditionModel:
        return UNet2DConditionModel.from_pretrained(self.folder / name, torch_dtype=torch.float32).eval()

    def _states(self, captions: list[str]) -> Tensor:
        return diffusion.text_states(self._encoder, torch.tensor(tokenizer.ids(self._words, captions)))

    def draw(self, unet: UNet2DConditionModel, captions: list[str], steps: int, guidance: float, seed: int) -> Tensor:
        """Returns pictures in [-1, 1], one per caption."""
        latents = diffusion.sample(unet, self._states(captions), self._states([""]), steps, guidance, seed)
        return diffusion.decode(self._vae, latents)
