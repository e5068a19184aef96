"""How does noise become a latent that fits the caption? Trains one U-Net of the family.

Every width sees the same number of samples in the same order from the same seed, or the comparison between sizes would mean
nothing: the budget is a sample count, not a time. What ships is the exponential moving average of the weights.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from . import diffusion, graph, latents, optimizer, runs, text_encoder, tokenizer
from .objective import PREDICTIONS, WEIGHTINGS, Curriculum, Objective

SAMPLES = 128_000
RATE = 1e-2
WARM_UP = 100
FLOOR = 0.02
EMPTY = 0.1
"""Share of captions replaced by the empty one, for guidance."""
EMA = 0.999
HEAD = 16
HELD_OUT = 1024
"""Latents that no step draws."""


def build(channels: int, context: int, latent: torch.Size) -> UNet2DConditionModel:
    """Returns an untrained U-Net with attention on its two lower levels and in the middle."""
    widths = (channels, 2 * channels, 2 * channels)
    return UNet2DConditionModel(
        sample_size=latent[-1],
        in_channels=latent[0],
        out_channels=latent[0],
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

    def __init__(self, model: UNet2DConditionModel, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: UNet2DConditionModel, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), list(model.state_dict().values()), 1 - decay)

    def load(self, weights: dict[str, Tensor]) -> None:
        """Takes over averaged weights, from whatever device."""
        self.weights = {name: weights[name].to(own.device) for name, own in self.weights.items()}

    def model(self, model: UNet2DConditionModel) -> UNet2DConditionModel:
        """Returns a copy of the model with the averaged weights."""
        copy = UNet2DConditionModel.from_config(model.config)
        copy.load_state_dict(self.weights)
        return copy


class Data:
    """Draws training batches; the order depends on the seed alone (and on the kind of device). The last latents are held out."""

    def __init__(self, options: argparse.Namespace, device: torch.device) -> None:
        self._latents, self._states = latents.load(options.work, device)
        encoder = text_encoder.load(options.work, device)
        empty = torch.tensor(tokenizer.ids(tokenizer.load(options.work), [""]), device=device)
        self.empty = diffusion.text_states(encoder, empty)
        self._seed, self._device = options.seed, device
        self._held_out = min(HELD_OUT, len(self._latents) // 8)

    def __len__(self) -> int:
        return len(self._latents) - self._held_out

    @property
    def shape(self) -> torch.Size:
        """Channels, height and width of a latent."""
        return self._latents.shape[1:]

    def draw(self, step: int, batch: int, dropped: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns latents, text states (some of the empty caption, if dropped), timesteps and noise of one step."""
        generator = torch.Generator(self._device).manual_seed(self._seed * 1_000_003 + step)
        random = {"generator": generator, "device": self._device}
        chosen = torch.randint(len(self), (batch,), **random)
        empty = torch.rand(batch, **random) < EMPTY * dropped
        steps = torch.randint(diffusion.STEPS, (batch,), **random)
        clean = self._latents[chosen].float()
        noise = torch.randn(clean.shape, **random)
        states = torch.where(empty.view(-1, 1, 1), self.empty, self._states[chosen].float())
        return clean, states, steps, noise

    def held_out(self, batch: int = 64) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yields what no step draws, always with the same noise, timesteps spread evenly."""
        generator = torch.Generator().manual_seed(self._seed)
        steps = (torch.arange(self._held_out) * diffusion.STEPS // self._held_out).to(self._device)
        first = len(self)
        for part in torch.arange(self._held_out).split(batch):
            clean, states = self._latents[first + part].float(), self._states[first + part].float()
            noise = torch.randn(clean.shape, generator=generator).to(self._device)
            yield clean, states, steps[part], noise


@torch.no_grad()
def held_out_loss(model: UNet2DConditionModel, objective: Objective, data: Data) -> float:
    """Returns the plain loss on the latents that were never drawn."""
    model.set_attn_processor(AttnProcessor())
    losses = [objective.losses(model, batch, autocast=False)[1] for batch in data.held_out()]
    return torch.stack(losses).mean().item()


def learning_rate(peak: float, step: int, steps: int, warm_up: int = WARM_UP, begun: int = 0) -> float:
    """Warm-up from where the optimizer began, and a cosine down to a floor."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return peak * min(1.0, (step - begun + 1) / warm_up) * (FLOOR + (1 - FLOOR) * cosine)


def folder(work: Path, name: str) -> Path:
    """Where a run's averaged weights lie, in diffusers' layout, refreshed with every checkpoint."""
    return work / name / "average"


def read_progress(work: Path, name: str) -> dict[str, int] | None:
    """Returns how far a run has got: `step` of `steps`."""
    path = work / name / "progress.json"
    return json.loads(path.read_text()) if path.exists() else None


def write_progress(work: Path, name: str, step: int, steps: int) -> None:
    (work / name / "progress.json").write_text(json.dumps({"step": step, "steps": steps}) + "\n")


class Trainer:
    """One U-Net on its way. Where only its averaged weights were kept, it goes on from those with a new optimizer."""

    def __init__(self, options: argparse.Namespace, data: Data | None = None) -> None:
        device = runs.prepare(options)
        self.options, self.name = options, options.name or f"unet_c{options.channels}"
        self.run = runs.Run(options.work, self.name, options.report_every, options.save_every)
        self.data = data or Data(options, device)
        self.model = build(options.channels, self.data.empty.shape[-1], self.data.shape)
        if device.type == "cpu":
            # Plain attention trains faster than the fused kernels at these short sequences, much faster in bf16.
            self.model.set_attn_processor(AttnProcessor())
        self.model.to(device, memory_format=torch.channels_last)
        self.averages = [Average(self.model, decay) for decay in options.ema]
        self.mover = optimizer.Optimizer(options.optimizer, self.model, weight_decay=0.01, betas=(0.9, 0.99))
        self.objective = Objective.new(options.prediction, options.weighting, device)
        self.curriculum = Curriculum(options.clusters, options.patience)
        self.optimize = graph.Step(lambda *batch: self.objective.losses(self.model, batch, options.bf16), self.mover)
        self.step, self.begun, self.steps = 0, 0, options.samples // options.batch
        if state := self.run.resume():
            self._load(state)
        elif progress := read_progress(options.work, self.name):
            self._restart(progress["step"])

    def _load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.mover.load_state_dict(state["optimizer"])
        self.curriculum.load_state_dict(state["curriculum"])
        for average, weights in zip(self.averages, state["averages"], strict=True):
            average.load(weights)
        self.step, self.begun = state["step"], state.get("begun", 0)

    def _restart(self, step: int) -> None:
        kept = UNet2DConditionModel.from_pretrained(folder(self.options.work, self.name), torch_dtype=torch.float32)
        self.model.load_state_dict(kept.state_dict())
        self.averages = [Average(self.model, decay) for decay in self.options.ema]
        self.step = self.begun = step

    def save(self) -> None:
        """Writes the averaged weights and the checkpoint."""
        self.averages[0].model(self.model).half().save_pretrained(folder(self.options.work, self.name))
        write_progress(self.options.work, self.name, self.step, self.steps)
        self.run.save(
            model=self.model.state_dict(),
            averages=[average.weights for average in self.averages],
            optimizer=self.mover.state_dict(),
            curriculum=self.curriculum.state_dict(),
            step=self.step,
            begun=self.begun,
        )

    def advance(self) -> Tensor:
        """Takes one step; returns its plain loss."""
        clean, states, steps, noise = self.data.draw(self.step, self.options.batch)
        batch = clean, states, self.curriculum.timesteps(steps), noise
        plain = self.optimize(batch, learning_rate(self.options.rate, self.step, self.steps, begun=self.begun))
        self.step += 1
        for average in self.averages:
            average.update(self.model, self.step)
        if self.curriculum.stage < self.curriculum.clusters:  # reading the loss makes a GPU wait
            self.curriculum.observe(plain.item())
        return plain

    def train(self) -> None:
        """Trains to the end of the budget."""
        recent: list[Tensor] = []
        self.run.begin()
        while self.step < self.steps:
            recent.append(self.advance())
            if self.run.due_report():
                self.report(loss=torch.stack(recent).mean().item())
                recent.clear()
            if self.run.due_save():
                self.save()
                self.run.stop_in_time()
        self.save()
        for average in self.averages:
            loss = held_out_loss(average.model(self.model).to(self.data.empty.device), self.objective, self.data)
            self.report(event="trained", ema=average.decay, held_out_loss=loss)

    def report(self, **figures: float | str) -> None:
        self.run.report(step=self.step, samples=self.step * self.options.batch, stage=self.curriculum.stage, **figures)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Returns a parser with the options of a trainer."""
    parser = runs.arguments(description)
    parser.add_argument("--name", help="of the run's folder; unet_c<channels> unless told")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="training samples; equal for every width")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--optimizer", choices=optimizer.NAMES, default="muon")
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--prediction", choices=PREDICTIONS, default="v_prediction")
    parser.add_argument("--weighting", choices=WEIGHTINGS, default="capped", help="how much noise levels count")
    parser.add_argument("--clusters", type=int, default=1, help="of timesteps, for a curriculum from easy to hard")
    parser.add_argument(
        "--patience", type=int, default=200, help="steps without progress before the next cluster opens"
    )
    parser.add_argument("--ema", type=float, nargs="+", default=(EMA,), help="decays of averages; the first ships")
    parser.add_argument("--bf16", action="store_true", help="autocast; pays from about c = 32")
    parser.add_argument("--report-every", type=float, default=30.0)
    parser.add_argument("--save-every", type=float, default=120.0)
    return parser


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--channels", type=int, required=True, help="c in the widths c, 2c, 2c")
    Trainer(parser.parse_args()).train()


if __name__ == "__main__":
    main()
