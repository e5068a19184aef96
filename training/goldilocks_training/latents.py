"""What do the U-Nets train on? Latents of training pictures and the text states of their captions, computed once and kept.

Each shard is made from its own seed, so several processes can fill disjoint ranges side by side, and one that was interrupted
goes on with the first shard that is missing.
"""

import json
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from . import autoencoder, captions, diffusion, runs, text_encoder, tokenizer
from .pixels import to_tensor
from .scenes import Painter
from .split import TrainingScenes

SHARD = 2048
SEED = 40_000
BATCH = 32


def folder(work: Path) -> Path:
    return work / "latents"


@torch.no_grad()
def encode(model: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Returns the pictures' latents, f16."""
    with torch.autocast(pictures.device.type, torch.bfloat16):
        latent = autoencoder.encode(model, pictures.contiguous(memory_format=torch.channels_last))
    return latent.half().cpu().contiguous()


def path(work: Path, number: int) -> Path:
    return folder(work) / f"{number:04}.pt"


def save(shard: dict[str, Tensor], target: Path) -> None:
    """Writes a shard; an interruption leaves none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(shard, target.with_suffix(".partial"))
    target.with_suffix(".partial").replace(target)


@torch.no_grad()
def make_shard(work: Path, number: int, size: int, device: torch.device) -> dict[str, Tensor]:
    """Returns latents and text states of one shard, both f16."""
    scenes, painter = TrainingScenes(SEED + number), Painter()
    model = autoencoder.load(work, device).to(memory_format=torch.channels_last)
    words, encoder = tokenizer.load(work), text_encoder.load(work, device)
    parts: list[Tensor] = []
    states: list[Tensor] = []
    for start in range(0, size, BATCH):
        drawn = [scenes.draw() for _ in range(min(BATCH, size - start))]
        texts = [captions.caption(scene, scenes.rng) for scene in drawn]
        ids = torch.tensor(tokenizer.ids(words, texts), device=device)
        states.append(diffusion.text_states(encoder, ids).half().cpu())
        pictures = to_tensor((painter.paint(scene, scenes.rng) for scene in drawn), device)
        parts.append(encode(model, pictures))
    return {"latents": torch.cat(parts), "states": torch.cat(states)}


def load(work: Path, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Returns latents and text states of every finished shard."""
    shards = [torch.load(shard) for shard in sorted(folder(work).glob("*.pt"))]
    if not shards:
        raise FileNotFoundError(f"no shard in {folder(work)}: run the latents stage first")
    joined = {name: torch.cat([shard[name] for shard in shards]) for name in ("latents", "states")}
    return joined["latents"].to(device), joined["states"].to(device)


def main() -> None:
    parser = runs.arguments(__doc__)
    parser.add_argument("--first", type=int, default=0, help="number of the first shard")
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--size", type=int, default=SHARD, help="pictures in a shard")
    options = parser.parse_args()
    device = runs.prepare(options)
    for number in range(options.first, options.first + options.shards):
        if path(options.work, number).exists():
            continue
        start = time.monotonic()
        shard = make_shard(options.work, number, options.size, device)
        save(shard, path(options.work, number))
        print(json.dumps({"shard": number, "seconds": round(time.monotonic() - start, 1)}), flush=True)


if __name__ == "__main__":
    main()
