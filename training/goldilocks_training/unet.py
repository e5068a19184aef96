"""How does noise become a latent that fits the caption? Trains one U-Net of the family.

Every width sees the same number of samples in the same order from the same seed, or the comparison between sizes would mean
nothing: the budget is a sample count, not a time. What ships is the exponential moving average of the weights.
"""

import argparse
import math
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from . import diffusion, latents, runs, text_encoder, tokenizer

RATE = 1e-3
WARM_UP = 200
FLOOR = 0.02
EMPTY = 0.1
"""Share of captions replaced by the empty one, for guidance."""
EMA = 0.999
HEAD = 16
SNR_CAP = 5.0
"""Noise levels with more signal than this count less: little is left to learn there."""


def build(channels: int, context: int, side: int) -> UNet2DConditionModel:
    """Returns an untrained U-Net with attention on its two lower levels and in the middle."""
    widths = (channels, 2 * channels, 2 * channels)
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=widths,
        layers_per_block=2,
        norm_num_groups=4,
        cross_attention_dim=context,
        # diffusers reads this misnamed field as the number of heads.
        attention_head_dim=tuple(max(1, width // HEAD) for width in widths),
    )


class Average:
    """The exponential moving average of a model's weights."""

    def __init__(self, model: UNet2DConditionModel) -> None:
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: UNet2DConditionModel, step: int) -> None:
        decay = min(EMA, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), list(model.state_dict().values()), 1 - decay)


class Data:
    """Draws training batches; the order depends on the seed alone."""

    def __init__(self, options: argparse.Namespace, device: torch.device) -> None:
        self._latents, self._states = latents.load(options.work, device)
        encoder = text_encoder.load(options.work, device)
        empty = torch.tensor(tokenizer.ids(tokenizer.load(options.work), [""]), device=device)
        self.empty = diffusion.text_states(encoder, empty)
        self._seed, self._device = options.seed, device

    def __len__(self) -> int:
        return len(self._latents)

    @property
    def side(self) -> int:
        """Side of a latent."""
        return self._latents.shape[-1]

    def draw(self, step: int, batch: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns latents, text states, time steps and noise of one step."""
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        chosen = torch.randint(len(self), (batch,), generator=generator).to(self._device)
        dropped = (torch.rand(batch, generator=generator) < EMPTY).to(self._device)
        steps = torch.randint(diffusion.STEPS, (batch,), generator=generator).to(self._device)
        clean = self._latents[chosen].float()
        noise = torch.randn(clean.shape, generator=generator).to(self._device)
        states = torch.where(dropped.view(-1, 1, 1), self.empty, self._states[chosen].float())
        return clean, states, steps, noise


def v_losses(model: UNet2DConditionModel, alphas: Tensor, batch: tuple[Tensor, ...], autocast: bool) -> tuple[Tensor, Tensor]:
    """Returns the mean weighted loss and the mean plain v-loss of a batch."""
    clean, states, steps, noise = batch
    alpha = alphas[steps].view(-1, 1, 1, 1)
    noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
    target = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
    noisy = noisy.contiguous(memory_format=torch.channels_last)
    with torch.autocast(clean.device.type, torch.bfloat16, enabled=autocast):
        predicted = model(noisy, steps, states).sample
    losses = (predicted.float() - target).pow(2).mean((1, 2, 3))
    signal = alpha.flatten() / (1 - alpha.flatten()).clamp(min=1e-8)
    weight = torch.where(signal < SNR_CAP, 1.0, (SNR_CAP + 1) / (signal + 1))
    return (weight * losses).mean(), losses.mean()


def learning_rate(peak: float, step: int, steps: int) -> float:
    """Warm-up, then a cosine down to a floor."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return peak * min(1.0, (step + 1) / WARM_UP) * (FLOOR + (1 - FLOOR) * cosine)


def folder(work: Path, channels: int) -> Path:
    """Where a width's averaged weights lie, in diffusers' layout, refreshed with every checkpoint."""
    return work / f"unet_c{channels}" / "average"


def save_average(average: Average, model: UNet2DConditionModel, target: Path) -> None:
    copy = UNet2DConditionModel.from_config(model.config)
    copy.load_state_dict(average.weights)
    copy.half().save_pretrained(target)


def train(options: argparse.Namespace) -> None:
    device = runs.prepare(options)
    run = runs.Run(options.work, f"unet_c{options.channels}", options.report_every, options.save_every)
    data = Data(options, device)
    model = build(options.channels, data.empty.shape[-1], data.side)
    # Plain attention trains faster than the fused kernels at these short sequences, much faster in bf16 on a CPU.
    model.set_attn_processor(AttnProcessor())
    model.to(device, memory_format=torch.channels_last)
    average = Average(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, betas=(0.9, 0.99), weight_decay=0.01)
    alphas = diffusion.noise_schedule().alphas_cumprod.to(device)
    step, steps, recent = 0, options.samples // options.batch, []
    if state := run.resume():
        model.load_state_dict(state["model"])
        average.weights = state["average"]
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]

    def save() -> None:
        run.save(model=model.state_dict(), average=average.weights, optimizer=optimizer.state_dict(), step=step)
        save_average(average, model, folder(options.work, options.channels))

    run.begin()
    while step < steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(options.rate, step, steps)
        weighted, plain = v_losses(model, alphas, data.draw(step, options.batch), options.bf16)
        optimizer.zero_grad()
        weighted.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        average.update(model, step)
        recent.append(plain.detach())
        if run.due_report():
            run.report(step=step, samples=step * options.batch, v_loss=torch.stack(recent).mean().item())
            recent.clear()
        if run.due_save():
            save()
    save()
    if recent:
        run.report(event="trained", step=step, samples=step * options.batch, v_loss=torch.stack(recent).mean().item())


def main() -> None:
    parser = runs.arguments(__doc__)
    parser.add_argument("--channels", type=int, required=True, help="c in the widths c, 2c, 2c")
    parser.add_argument("--samples", type=int, default=104_000, help="training samples; equal for every width")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--bf16", action="store_true", help="autocast; pays from about c = 32")
    parser.add_argument("--report-every", type=float, default=30.0)
    parser.add_argument("--save-every", type=float, default=120.0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
