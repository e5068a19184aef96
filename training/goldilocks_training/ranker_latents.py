"""What does the ranker learn from? Latents of training scenes, each as the autoencoder sees it and as a U-Net guesses it.

A guess is what a U-Net of the family makes of the latent under noise: soft and wrong in the ways its drawings are. Noise stops
where the scene would still show through, so the caption stays true. Finished drawings are no material: they would be labelled by
what was asked for, not by what they show, and only the evaluator could tell, whom the ranker must not learn from.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from . import autoencoder, captions, diffusion, latents, runs, text_encoder, tokenizer, unet
from .pixels import to_tensor
from .scenes import Painter, Scene
from .split import TrainingScenes

SEED = 60_000
NOISIEST = 600
"""Timestep from which on a U-Net would invent more than it sees."""


class Guesser:
    """Latents to what U-Nets take them for under noise; the U-Nets take turns."""

    def __init__(self, work: Path, names: list[str], device: torch.device) -> None:
        folders = [unet.folder(work, name) for name in names]
        loaded = [UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32) for folder in folders]
        self._unets = [model.to(device).eval() for model in loaded]
        self._words, self._encoder = tokenizer.load(work), text_encoder.load(work, device)
        self._alphas = diffusion.noise_schedule().alphas_cumprod.to(device)
        self._turn = 0

    @torch.no_grad()
    def __call__(self, clean: Tensor, texts: list[str]) -> Tensor:
        model = self._unets[self._turn % len(self._unets)]
        self._turn += 1
        ids = torch.tensor(tokenizer.ids(self._words, texts), device=clean.device)
        steps = torch.randint(NOISIEST, (len(clean),), device=clean.device)
        alpha = self._alphas[steps].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * torch.randn_like(clean)
        velocity = model(noisy, steps, diffusion.text_states(self._encoder, ids)).sample
        return alpha.sqrt() * noisy - (1 - alpha).sqrt() * velocity


def folder(work: Path) -> Path:
    return work / "ranker_latents"


def make_shard(options: argparse.Namespace, number: int, device: torch.device) -> dict:
    """Returns latents and guesses of one shard, both f16, with their scenes."""
    torch.manual_seed(SEED + number)
    scenes, painter = TrainingScenes(SEED + number), Painter()
    model = autoencoder.load(options.work, device).to(memory_format=torch.channels_last)
    guess = Guesser(options.work, options.unets, device)
    drawn = [scenes.draw() for _ in range(options.size)]
    clean: list[Tensor] = []
    guesses: list[Tensor] = []
    for start in range(0, options.size, latents.BATCH):
        part = drawn[start : start + latents.BATCH]
        pictures = to_tensor((painter.paint(scene, scenes.rng) for scene in part), device)
        with torch.no_grad():
            clean.append(autoencoder.encode(model, pictures.contiguous(memory_format=torch.channels_last)).half().cpu())
        texts = [captions.caption(scene, scenes.rng, complete=True) for scene in part]
        guesses.append(guess(clean[-1].float().to(device), texts).half().cpu())
    return {"latents": torch.cat(clean), "guesses": torch.cat(guesses), "scenes": [asdict(scene) for scene in drawn]}


def load(work: Path, device: torch.device | str = "cpu") -> tuple[Tensor, list[Scene]]:
    """Returns latents and guesses of every finished shard (scenes, 2, channels, height, width), and the scenes."""
    shards = [torch.load(shard) for shard in sorted(folder(work).glob("*.pt"))]
    if not shards:
        raise FileNotFoundError(f"no shard in {folder(work)}: run the ranker_latents stage first")
    both = [torch.stack([shard["latents"], shard["guesses"]], 1) for shard in shards]
    return torch.cat(both).to(device), [Scene(**scene) for shard in shards for scene in shard["scenes"]]


def main() -> None:
    parser = runs.arguments(__doc__)
    parser.add_argument(
        "--unets", nargs="+", default=("unet_c8", "unet_c16", "unet_c32"), help="runs whose U-Nets guess"
    )
    parser.add_argument("--first", type=int, default=0, help="number of the first shard")
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--size", type=int, default=1024, help="scenes in a shard")
    options = parser.parse_args()
    device = runs.prepare(options)
    for number in range(options.first, options.first + options.shards):
        target = folder(options.work) / f"{number:04}.pt"
        if target.exists():
            continue
        start = time.monotonic()
        latents.save(make_shard(options, number, device), target)
        print(json.dumps({"shard": number, "seconds": round(time.monotonic() - start, 1)}), flush=True)


if __name__ == "__main__":
    main()
