#!/usr/bin/env python3
"""How well do transformers' two halves of the default family's CLIP pair say that latents suit prompts?

`python scripts/golden/ranker.py` writes tests/golden/ranker; `--check` recomputes and compares. Only the numbers are
stored: the weights stay in weights/emoji, named by their digests.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from family import digest
from record import differences, versions, write_files
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

ROOT = Path(__file__).resolve().parents[2]
FAMILY = ROOT / "weights" / "emoji"
GOLDEN = ROOT / "tests" / "golden" / "ranker"
# The first one is what two of the latents were drawn for; the last one is too long.
PROMPTS = [
    "a red heart on grass",
    "three pineapples on a beach",
    "",
    "a photo of a cat on the mat near the river, " * 12,
]
SEED = 11


def drawn(name: str) -> Tensor:
    """A latent that diffusers drew for the first prompt, as family.py recorded it."""
    return load_file(ROOT / "tests" / "golden" / "emoji" / "golden.safetensors")[name]


def latents() -> Tensor:
    """Two drawings, one of them rough, and noise: weak, plain and strong."""
    noise = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(SEED))
    scales = torch.tensor([0.1, 1.0, 3.0]).view(-1, 1, 1, 1)
    return torch.cat([drawn("unet-c32.ddim.8.latents"), drawn("unet-c8.ddim.4.latents"), noise * scales])


@torch.no_grad()
def record() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The cosine of every prompt (rows) and every latent (columns), and what it was computed from."""
    text = CLIPTextModel.from_pretrained(FAMILY / "text_encoder", dtype=torch.float32).eval()
    picture = CLIPVisionModelWithProjection.from_pretrained(FAMILY / "image_encoder", dtype=torch.float32).eval()
    projection = load_file(FAMILY / "image_encoder" / "model.safetensors")["text_projection.weight"].float()
    words = CLIPTokenizer.from_pretrained(FAMILY / "tokenizer")
    padded = {"padding": "max_length", "max_length": words.model_max_length, "truncation": True}
    ids = words(PROMPTS, return_tensors="pt", **padded).input_ids
    told = functional.normalize(text(ids).pooler_output @ projection.T, dim=-1)
    seen = functional.normalize(picture(pixel_values=latents()).image_embeds, dim=-1)
    tensors = {"text.ids": ids, "latents": latents(), "similarities": told @ seen.T}
    weights = [FAMILY / part / "model.safetensors" for part in ("image_encoder", "text_encoder")]
    description = {
        "digests": {str(file.relative_to(FAMILY)): digest(file) for file in weights},
        "made_by": "scripts/golden/ranker.py",
        "prompts": PROMPTS,
        "tensors": {name: list(tensor.shape) for name, tensor in sorted(tensors.items())},
        "versions": versions(),
    }
    return {name: tensor.contiguous() for name, tensor in tensors.items()}, description


def main() -> int:
    """Writes or checks the golden."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="recompute and compare, write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tensors, description = record()
    if arguments.check:
        faults = differences(GOLDEN, tensors, description)
        print("\n".join(faults) or f"{GOLDEN.name}: as recorded")
        return 1 if faults else 0
    GOLDEN.mkdir(parents=True, exist_ok=True)
    write_files(GOLDEN, tensors, description)
    return 0


if __name__ == "__main__":
    sys.exit(main())
