"""How is an exported family loaded and drawn with in Python?"""

import re
from functools import cached_property
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from tokenizers import Tokenizer
from torch import Tensor
from transformers import CLIPTextModel

from . import diffusion, ranker, student, tokenizer

STUDENT = "-lcm"
"""Ending of a student's name."""


class Family:
    """The shared parts of a family; U-Nets are loaded by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval()
        self._encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval()
        self._words = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))

    def unet_names(self) -> list[str]:
        """Returns the U-Nets' folders, narrowest first, each before its student."""
        names = (path.name for path in self.folder.glob("unet-*"))
        return sorted(names, key=lambda name: (int(re.sub(r"\D", "", name)), name))

    @staticmethod
    def is_student(name: str) -> bool:
        """Whether a U-Net draws in one to four steps, without guidance."""
        return name.endswith(STUDENT)

    def _unet(self, name: str) -> UNet2DConditionModel:
        return UNet2DConditionModel.from_pretrained(self.folder / name, torch_dtype=torch.float32).eval()

    def _states(self, captions: list[str]) -> Tensor:
        return diffusion.text_states(self._encoder, torch.tensor(tokenizer.ids(self._words, captions)))

    @cached_property
    def _ranker(self) -> ranker.Ranker:
        return ranker.load(self.folder / "image_encoder", self._encoder)

    def draw(self, name: str, captions: list[str], steps: int, guidance: float, seed: int) -> Tensor:
        """Returns pictures in [-1, 1], one per caption; a student's guidance is its own."""
        return self.decode(self.latents(name, captions, steps, guidance, seed))

    def latents(self, name: str, captions: list[str], steps: int, guidance: float, seed: int) -> Tensor:
        """Returns latents, one per caption; a student's guidance is its own."""
        text = self._states(captions)
        if self.is_student(name):
            return student.sample(self._unet(name), text, steps, seed)
        return diffusion.sample(self._unet(name), text, self._states([""]), steps, guidance, seed)

    def decode(self, latents: Tensor) -> Tensor:
        """Returns pictures in [-1, 1]."""
        return diffusion.decode(self._vae, latents)

    @torch.no_grad()
    def best(self, candidates: list[Tensor], captions: list[str]) -> Tensor:
        """Returns, of several latents for each caption, the one that suits it best in the ranker's eyes."""
        texts = self._ranker.embed_texts(torch.tensor(tokenizer.ids(self._words, captions)))
        likeness = torch.stack([(self._ranker.embed_latents(latents) * texts).sum(-1) for latents in candidates])
        return torch.stack(candidates)[likeness.argmax(0), torch.arange(len(captions))]
