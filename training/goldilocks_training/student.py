"""How does a U-Net learn to draw in one to four steps? By consistency distillation from its own average.

The student (Song et al., arXiv 2303.01469; in latents with guidance baked in: LCM, Luo et al., arXiv 2310.04378) learns to name the
same clean latent anywhere on a trajectory of the guided teacher: at each point of the grid that diffusers' `LCMScheduler` samples
on, its answer is pulled towards what its own average answers one grid point further, where the teacher has led. With
`--teacher-steps` and `--eta` above their defaults the teacher takes several smaller, stochastic steps between two points (SCott,
Liu et al., arXiv 2403.01505, without the discriminator).
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import LCMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from . import diffusion, graph, optimizer, runs, unet

GRID = 50
"""Points of the grid; diffusers calls them `original_inference_steps`."""
STRIDE = diffusion.STEPS // GRID
RATE = 3e-3
WARM_UP = 50
EMA = 0.98
HUBER = 0.03
"""Distance, per value, from which the loss turns from a square into an absolute value."""


def schedule() -> LCMScheduler:
    """Returns the sampler of a student."""
    return LCMScheduler.from_config(diffusion.noise_schedule().config, original_inference_steps=GRID)


@torch.no_grad()
def sample(model: UNet2DConditionModel, text: Tensor, steps: int, seed: int = 0) -> Tensor:
    """Returns latents drawn by multistep consistency sampling; `text` holds one state per picture."""
    lcm = schedule()
    lcm.set_timesteps(steps)
    generator = torch.Generator().manual_seed(seed)
    side = model.config.sample_size
    latents = torch.randn(len(text), model.config.in_channels, side, side, generator=generator)
    for t in lcm.timesteps:
        latents = lcm.step(model(latents, t, text).sample, t, latents, generator=generator).prev_sample
    return latents


class Noise:
    """The noise levels; index 0 is the clean latent, index i the training timestep i - 1."""

    def __init__(self, device: torch.device) -> None:
        alphas = diffusion.noise_schedule().alphas_cumprod
        self._alphas = torch.cat([torch.ones(1), alphas]).to(device)

    def at(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the weights of the clean latent and of the noise."""
        alpha = self._alphas[index].view(-1, 1, 1, 1)
        return alpha.sqrt(), (1 - alpha).sqrt()

    def parts(self, x: Tensor, v: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Splits a noisy latent into the clean latent and the noise that `v` stands for."""
        signal, noise = self.at(index)
        return signal * x - noise * v, noise * x + signal * v

    def deviation(self, index: Tensor, later: Tensor, eta: float) -> Tensor:
        """Fresh noise of a DDIM step (arXiv 2010.02502, equation 16), none where it ends at the clean latent."""
        signal, noise = self.at(index)
        next_signal, next_noise = self.at(later)
        kept = (signal / next_signal).clamp(max=1)
        return eta * next_noise / noise * (1 - kept.square()).clamp(min=0).sqrt()


@dataclass(frozen=True)
class Teacher:
    """Leads a noisy latent along its guided trajectory."""

    model: UNet2DConditionModel
    empty: Tensor
    guidance: float
    steps: int
    eta: float
    autocast: bool

    @torch.no_grad()
    def lead(self, x: Tensor, index: Tensor, states: Tensor, noise: Noise) -> Tensor:
        """Returns the latent one grid point closer to the picture."""
        both = torch.cat([states, self.empty.expand_as(states)])
        for i in range(self.steps):
            later = index - (STRIDE * (i + 1) // self.steps - STRIDE * i // self.steps)
            with torch.autocast(x.device.type, torch.bfloat16, enabled=self.autocast):
                told, free = self.model(x.repeat(2, 1, 1, 1), (index - 1).repeat(2), both).sample.float().chunk(2)
            clean, direction = noise.parts(x, free + self.guidance * (told - free), index)
            signal, remaining = noise.at(later)
            fresh = noise.deviation(index, later, self.eta)
            x = signal * clean + (remaining.square() - fresh.square()).clamp(min=0).sqrt() * direction
            x, index = x + fresh * torch.randn_like(x), later
        return x


def distance(answer: Tensor, target: Tensor) -> Tensor:
    """Pseudo-Huber loss of each row (Song and Dhariwal, arXiv 2310.14189)."""
    return ((answer - target).square() + HUBER**2).sqrt().mean((1, 2, 3)) - HUBER


class Distillation:
    """One student on its way."""

    def __init__(self, options: argparse.Namespace, data: unet.Data | None = None) -> None:
        device = runs.prepare(options)
        self.options = options
        self.run = runs.Run(options.work, options.name, options.report_every, options.save_every)
        self.data, self.noise = data or unet.Data(options, device), Noise(device)
        teacher = self._load(unet.folder(options.work, options.teacher), device)
        self.teacher = Teacher(
            teacher.requires_grad_(False),
            self.data.empty,
            options.guidance,
            options.teacher_steps,
            options.eta,
            options.bf16,
        )
        self.student = self._load(unet.folder(options.work, options.teacher), device)
        self.target = self._load(unet.folder(options.work, options.teacher), device).requires_grad_(False)
        self.average = unet.Average(self.student, EMA)
        self.mover = optimizer.Optimizer("muon", self.student, weight_decay=0.0, betas=(0.9, 0.99))
        self.optimize = graph.Step(lambda *batch: (self.loss(*batch),), self.mover)
        self.step, self.steps = 0, options.samples // options.batch
        if state := self.run.resume():
            self.student.load_state_dict(state["model"])
            self.average.load(state["average"])
            self.mover.load_state_dict(state["optimizer"])
            self.step = state["step"]

    @staticmethod
    def _load(source: Path, device: torch.device) -> UNet2DConditionModel:
        model = UNet2DConditionModel.from_pretrained(source, torch_dtype=torch.float32)
        if device.type == "cpu":
            model.set_attn_processor(AttnProcessor())
        return model.to(device, memory_format=torch.channels_last)

    def loss(self, clean: Tensor, states: Tensor, steps: Tensor, fresh: Tensor) -> Tensor:
        """Returns how far the student's answers are from its average's one grid point further."""
        index = (steps // STRIDE + 1) * STRIDE
        signal, noise = self.noise.at(index)
        x = signal * clean + noise * fresh
        closer, later = self.teacher.lead(x, index, states, self.noise), index - STRIDE
        with torch.no_grad():
            self.target.load_state_dict(self.average.weights)
            answer = self._answer(self.target, closer, later.clamp(min=1), states)
            target = torch.where((later == 0).view(-1, 1, 1, 1), closer, answer)
        return distance(self._answer(self.student, x, index, states), target).mean()

    def _answer(self, model: UNet2DConditionModel, x: Tensor, index: Tensor, states: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.options.bf16):
            v = model(x.contiguous(memory_format=torch.channels_last), index - 1, states).sample.float()
        return self.noise.parts(x, v, index)[0]

    def save(self) -> None:
        average = self.average.model(self.student).half()
        average.save_pretrained(unet.folder(self.options.work, self.options.name))
        unet.write_progress(self.options.work, self.options.name, self.step, self.steps)
        self.run.save(
            model=self.student.state_dict(),
            average=self.average.weights,
            optimizer=self.mover.state_dict(),
            step=self.step,
        )

    def train(self) -> None:
        """Trains to the end of the budget."""
        recent: list[Tensor] = []
        self.run.begin()
        while self.step < self.steps:
            batch = self.data.draw(self.step, self.options.batch, dropped=False)
            loss = self.optimize(batch, unet.learning_rate(self.options.rate, self.step, self.steps, WARM_UP))
            self.step += 1
            self.average.update(self.student, self.step)
            recent.append(loss)
            if self.run.due_report():
                self.report(recent)
                recent.clear()
            if self.run.due_save():
                self.save()
                self.run.stop_in_time()
        self.save()
        self.report(recent, event="trained")

    def report(self, losses: list[Tensor], **more: str) -> None:
        loss = {"loss": torch.stack(losses).mean().item()} if losses else {}
        self.run.report(step=self.step, samples=self.step * self.options.batch, **loss, **more)


def arguments() -> argparse.ArgumentParser:
    parser = runs.arguments(__doc__)
    parser.add_argument("--teacher", required=True, help="name of the teacher's run, such as unet_c32")
    parser.add_argument("--name", required=True, help="of the student's run, such as unet_c32_lcm")
    parser.add_argument("--samples", type=int, default=16_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--guidance", type=float, default=3.0, help="guidance scale that is baked in")
    parser.add_argument(
        "--teacher-steps", type=int, default=1, help="the teacher's steps from one grid point to the next"
    )
    parser.add_argument(
        "--eta", type=float, default=0.0, help="share of fresh noise in the teacher's steps; 0 is LCM's"
    )
    parser.add_argument("--bf16", action="store_true", help="autocast; pays from about c = 32")
    parser.add_argument("--report-every", type=float, default=30.0)
    parser.add_argument("--save-every", type=float, default=120.0)
    return parser


def main() -> None:
    Distillation(arguments().parse_args()).train()


if __name__ == "__main__":
    main()
