#!/usr/bin/env python3
"""How are the tiny models of tests/golden made, and checked? One folder per shape, in diffusers layout.

`python scripts/golden/models.py` writes them all, `--only NAME` one; `--record` leaves the models as they are
and writes what is computed from them, and `--check` computes it again and compares.
"""

import argparse
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from record import Plan, check_golden, write_golden
from safetensors.torch import save_file
from shapes import SHAPES, Shape
from tokens import write_json, write_tokenizer
from transformers import CLIPTextConfig, CLIPTextModel

from weights import fit_unet, fit_vae, randomize

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def write_model(folder: Path, shape: Shape) -> None:
    """Writes every file of a model folder but the goldens."""
    generator = torch.Generator().manual_seed(shape.seed)
    text = shape.text | write_tokenizer(folder / "tokenizer", shape, shape.text["max_position_embeddings"])
    encoder = CLIPTextModel(CLIPTextConfig(**text)).eval()
    vae = AutoencoderKL.from_config(shape.vae).eval()
    unet = UNet2DConditionModel.from_config(shape.unet).eval()
    for module in (encoder, vae, unet):
        randomize(module, generator)
    fit_vae(vae, generator)
    fit_unet(unet, encoder, DDIMScheduler.from_config(shape.scheduler), generator)

    write_json(folder / "model_index.json", model_index(shape))
    for part, config in (("text_encoder", text), ("vae", shape.vae), ("unet", shape.unet)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        write_json(folder / part / "config.json", config)
    (folder / "scheduler").mkdir(exist_ok=True)
    write_json(folder / "scheduler" / "scheduler_config.json", shape.scheduler)
    save(folder / "text_encoder" / "model.safetensors", text_tensors(encoder, shape))
    save(folder / "vae" / "diffusion_pytorch_model.safetensors", vae_tensors(vae, shape))
    save(folder / "unet" / "diffusion_pytorch_model.safetensors", unet.state_dict())


def model_index(shape: Shape) -> dict[str, object]:
    """`model_index.json` of a Stable Diffusion folder without a safety checker."""
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.15.0",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", shape.scheduler["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def text_tensors(encoder: CLIPTextModel, shape: Shape) -> dict[str, torch.Tensor]:
    """The text encoder's tensors under the names of transformers 4 or 5."""
    tensors = encoder.state_dict()
    if not shape.old_text_names:
        return tensors
    tensors = {f"text_model.{name}": tensor for name, tensor in tensors.items()}
    positions = torch.arange(shape.text["max_position_embeddings"])[None]
    return tensors | {"text_model.embeddings.position_ids": positions}


def vae_tensors(vae: AutoencoderKL, shape: Shape) -> dict[str, torch.Tensor]:
    """The autoencoder's tensors, its attention under the old or the new names."""
    tensors = vae.state_dict()
    if not shape.old_attention_names:
        return tensors
    renamed = {}
    for name, tensor in tensors.items():
        for new, old in OLD_ATTENTION.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        renamed[name] = tensor
    return renamed


def save(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Writes floating-point tensors as f16; all of them hold f16 values already."""
    halves = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous() for name, tensor in tensors.items()
    }
    save_file(halves, path, metadata={"format": "pt"})


def main() -> int:
    """Writes or checks the chosen models."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [shape.name for shape in SHAPES]
    parser.add_argument("--only", choices=names, action="append", help="leave out the others")
    parser.add_argument("--record", action="store_true", help="keep the models, write the goldens")
    parser.add_argument("--check", action="store_true", help="recompute and compare, write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    faults = []
    for shape in SHAPES:
        if arguments.only and shape.name not in arguments.only:
            continue
        folder = GOLDEN / shape.name
        if arguments.check:
            faults += check_golden(folder)
            continue
        if not arguments.record:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_model(folder, shape)
        plan = Plan(seed=shape.seed, guidance=shape.guidance, other_sizes=shape.other_sizes)
        write_golden(folder, plan)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
