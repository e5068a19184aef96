"""How does a picture become a 16 x 16 x 4 latent and back? Trains diffusers' `AutoencoderKL` from nothing, on one core.

From scratch such an autoencoder spends its first minutes near the mean picture. A linear PCA of 8 x 8 patches is at 24 dB at
once, so the warm-up regresses the encoder onto the PCA latent while the decoder learns to read it; then both train jointly.
Random crops are cheap; the last share of the budget sees whole pictures. With `--start` it goes on from another autoencoder
instead, whole pictures only. At the end the latents' mean and spread are folded
into `quant_conv` and `post_quant_conv`, so that every channel has unit variance and `scaling_factor` is 1.

`--decoder-only` goes on with a frozen autoencoder without touching its latents, so that U-Nets can train on them meanwhile.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from . import graph, optimizer, runs, scenes
from .pixels import to_tensor

FACTOR = 8
CHANNELS = 4
CROP = 64
WARM_UP = 0.06
"""Share of the budget spent on the PCA latent."""
WHOLE = 0.88
"""Share of the budget after which whole pictures replace crops."""
RATE = 1.2e-3
BLUR = 0.02
"""Noise on the latents that the decoder learns to bear."""
SILENT = -20.0
"""Log-variance written at the end: latents are deterministic."""
VALIDATION_SEED = 900_001


def build(widths: tuple[int, ...]) -> AutoencoderKL:
    """Returns an untrained autoencoder with one layer per block."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=scenes.SIDE,
        scaling_factor=1.0,
    )


def encode(model: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Returns the deterministic latent."""
    return model.encode(pictures).latent_dist.mean


@dataclass(frozen=True, eq=False)
class PatchBasis:
    """The first principal components of 8 x 8 patches, scaled to unit variance on average."""

    mean: Tensor
    axes: Tensor

    @classmethod
    def fit(cls, pictures: Tensor) -> "PatchBasis":
        patches = functional.unfold(pictures, FACTOR, stride=FACTOR).permute(0, 2, 1).flatten(0, 1)
        mean = patches.mean(0)
        centred = patches - mean
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        axes = vectors[:, -CHANNELS:].flip(1)
        return cls(mean, axes / values[-CHANNELS:].mean().sqrt())

    def latent(self, pictures: Tensor) -> Tensor:
        patches = functional.unfold(pictures, FACTOR, stride=FACTOR).permute(0, 2, 1) - self.mean
        side = pictures.shape[-1] // FACTOR
        return (patches @ self.axes).permute(0, 2, 1).reshape(len(pictures), CHANNELS, side, side)


class Batches:
    """Endless crops (two of each picture) or whole pictures."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._stream = scenes.stream(scenes.Painter(), seed)
        self._rng = np.random.default_rng(seed)
        self._device = device

    def whole(self, count: int) -> Tensor:
        return to_tensor((next(self._stream)[1] for _ in range(count)), self._device)

    def crops(self, count: int) -> Tensor:
        return to_tensor(
            (crop for _ in range(count // 2) for crop in self._two_crops(next(self._stream)[1])), self._device
        )

    def _two_crops(self, picture: np.ndarray) -> list[np.ndarray]:
        corners = self._rng.integers(0, scenes.SIDE - CROP + 1, (2, 2))
        return [picture[y : y + CROP, x : x + CROP] for y, x in corners]


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """Absolute and squared error, and the error of the gradients, which keeps edges sharp."""
    error = output - target
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[:, :, 1:] - error[:, :, :-1]).abs().mean()
    return error.abs().mean() + 4 * error.pow(2).mean() + 0.3 * edges


@torch.no_grad()
def psnr(model: AutoencoderKL, pictures: Tensor) -> float:
    """Mean peak signal-to-noise ratio of reconstructions, in dB."""
    output = model.decode(encode(model, pictures)).sample.clamp(-1, 1)
    return (10 * torch.log10(4 / (output - pictures).pow(2).mean((1, 2, 3)))).mean().item()


def rate(peak: float, share: float, step: int, constant: float) -> float:
    """Learning rate: short warm-up, constant for a share of the budget, then down to 2%."""
    joint = max(0.0, (share - constant) / (1 - constant))
    return peak * min(1.0, (step + 1) / 60) * max(0.02, 1 - joint)


def train(options: argparse.Namespace, batches: "Batches | None" = None) -> AutoencoderKL:
    """Trains to the end of the budget on endless pictures, from where the checkpoint stands."""
    device = runs.prepare(options)
    run = runs.Run(options.work, options.stage, options.report_every, options.save_every)
    begun = options.start is not None
    model = AutoencoderKL.from_pretrained(options.start, torch_dtype=torch.float32) if begun else build(options.widths)
    model.to(device, memory_format=torch.channels_last)
    if options.decoder_only:
        model.encoder.requires_grad_(False)
        model.quant_conv.requires_grad_(False)
    mover = optimizer.Optimizer("muon", model, weight_decay=1e-3, betas=(0.9, 0.98))
    step = 0
    if state := run.resume():
        model.load_state_dict(state["model"])
        mover.load_state_dict(state["optimizer"])
        step = state["step"]
    batches = batches or Batches(options.seed + step + 1, device)
    validation = Batches(VALIDATION_SEED, device).whole(options.validation)
    basis = PatchBasis.fit(Batches(VALIDATION_SEED + 1, device).whole(200))
    descend = {
        known: graph.Step(lambda pictures, known=known: (train_loss(model, known, pictures),), mover)
        for known in (basis, None)
    }
    run.begin()
    while (share := run.seconds() / (60 * options.minutes)) < 1:
        whole = begun or share >= WHOLE
        pictures = batches.whole(max(1, options.batch // 4)) if whole else batches.crops(options.batch)
        warming = share < WARM_UP and not begun
        descend[basis if warming else None]((pictures,), rate(options.rate, share, step, 0 if begun else WARM_UP))
        step += 1
        if run.due_report():
            run.report(step=step, psnr=psnr(model, validation))
        if run.due_save():
            run.save(model=model.state_dict(), optimizer=mover.state_dict(), step=step)
            run.stop_in_time()
    run.save(model=model.state_dict(), optimizer=mover.state_dict(), step=step)
    run.report(step=step, psnr=psnr(model, validation), event="trained")
    return model


def train_loss(model: AutoencoderKL, basis: PatchBasis | None, pictures: Tensor) -> Tensor:
    """Returns the loss of one batch; with a basis, encoder and decoder each learn from the PCA latent."""
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    with torch.autocast(pictures.device.type, torch.bfloat16):
        latent = encode(model, pictures)
    latent = latent.float()
    if basis:
        target = basis.latent(pictures)
        read, regularizer = target, functional.mse_loss(latent, target)
    else:
        read, regularizer = latent, 2e-3 * latent.pow(2).mean()
    with torch.autocast(pictures.device.type, torch.bfloat16):
        output = model.decode(read + BLUR * torch.randn_like(read)).sample
    return reconstruction_loss(output.float(), pictures) + regularizer


@torch.no_grad()
def standardise(model: AutoencoderKL, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Folds the latents' mean and deviation into the convolutions beside them; returns both."""
    latents = torch.cat([encode(model, part) for part in pictures.split(32)])
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    into, out = model.quant_conv, model.post_quant_conv
    into.weight[:CHANNELS] /= deviation.view(-1, 1, 1, 1)
    into.bias[:CHANNELS] = (into.bias[:CHANNELS] - mean) / deviation
    into.weight[CHANNELS:] = 0
    into.bias[CHANNELS:] = SILENT
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= deviation.view(1, -1, 1, 1)
    return mean, deviation


def frozen(work: Path) -> Path:
    """Where the finished autoencoder lies, in diffusers' layout: with the later decoder, once there is one."""
    later = work / "decoder" / "frozen"
    return later if later.exists() else work / "autoencoder" / "frozen"


def freeze(model: AutoencoderKL, options: argparse.Namespace) -> None:
    """Standardises the latents, unless they are fixed already, and writes the model down for good, in f16."""
    model = model.float().eval()
    device = next(model.parameters()).device
    run = runs.Run(options.work, options.stage)
    if not options.decoder_only:
        mean, deviation = standardise(model, Batches(VALIDATION_SEED + 2, device).whole(options.statistics))
        run.report(event="standardised", mean=str(mean.tolist()), deviation=str(deviation.tolist()))
    model = model.half().float()
    run.report(event="frozen", psnr=psnr(model, Batches(VALIDATION_SEED, device).whole(options.validation)))
    model.half().save_pretrained(run.folder / "frozen")


def load(work: Path, device: torch.device | str = "cpu") -> AutoencoderKL:
    """Returns the frozen autoencoder, ready for use in f32."""
    return AutoencoderKL.from_pretrained(frozen(work), torch_dtype=torch.float32).to(device).eval()


def arguments() -> argparse.ArgumentParser:
    parser = runs.arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=64)
    parser.add_argument("--batch", type=int, default=16, help="64-pixel crops in a step; a whole picture counts four")
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--widths", type=int, nargs="+", default=(16, 32, 64, 128))
    parser.add_argument("--validation", type=int, default=32, help="pictures behind each PSNR")
    parser.add_argument("--statistics", type=int, default=1024, help="pictures behind the latents' mean and deviation")
    parser.add_argument("--report-every", type=float, default=20.0)
    parser.add_argument("--start", type=Path, help="folder of an autoencoder to go on from")
    parser.add_argument("--decoder-only", action="store_true", help="leave the latents as they are; needs --start")
    parser.add_argument("--save-every", type=float, default=120.0)
    return parser


def main() -> None:
    parser = arguments()
    options = parser.parse_args()
    if options.decoder_only and not options.start:
        parser.error("--decoder-only needs --start: a decoder alone has no latents to learn from")
    options.stage = "decoder" if options.decoder_only else "autoencoder"
    freeze(train(options), options)


if __name__ == "__main__":
    main()
