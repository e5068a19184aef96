"""Steps 2 and 3: the U-Nets. Encodes what they train on, measures how fast every width trains, fixes one number of samples for all
of them, and trains them in an order that spans the range early. With `--finish`, students and reference follow."""

import argparse
import gc
import json
import math
import shutil
import time
from pathlib import Path

import torch

from .. import autoencoder, diffusion, latents, reference, runs, student, text_encoder, unet
from ..pixels import normalized
from . import session
from .feed import Feed

ORDER = (16, 64, 32, 8, 48)
SAFETY = 0.85
"""Share of the time for U-Nets that the plan fills: validation, recordings and restarts take the rest."""
STUDENT_COST = 2.2
"""Time of a student's sample in ordinary ones: a guided teacher's and a target's forward come on top."""
BASE_BATCH = 32
"""The batch that `unet.RATE` was found at."""
CHUNK = 512
"""Pictures encoded at once."""
RESERVE = 15.0


def arguments() -> argparse.ArgumentParser:
    parser = session.arguments(__doc__)
    parser.add_argument("--shards", type=int, default=150, help="of latents")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--widths", type=int, nargs="+", default=ORDER, help="channels, in the order of training")
    parser.add_argument("--unet-seconds", type=float, default=700, help="time for all U-Nets in all steps together")
    parser.add_argument("--student-seconds", type=float, default=110, help="time for all students together")
    parser.add_argument("--probe-seconds", type=float, default=6, help="of the throughput test, for each width")
    parser.add_argument(
        "--rate-powers", type=float, nargs="+", default=(0.0, 0.25, 0.5),
        help="the learning rate grows with this power of the batch (0.5: square root); of several, a trial chooses",
    )  # fmt: skip
    parser.add_argument("--trial-steps", type=int, default=300, help="of each trial of a learning rate")
    parser.add_argument("--teachers", type=int, nargs="+", default=(16, 32), help="widths that get a student")
    parser.add_argument("--finish", action="store_true", help="students and reference, too")
    parser.add_argument("--finish-seconds", type=float, default=60, help="kept for the reference")
    parser.add_argument("--reference", type=int, default=1024, help="pictures in each reference set")
    return parser


@torch.no_grad()
def encode_missing(step: session.Session, feed: Feed, missing: list[int], device: torch.device) -> None:
    """Fills the latents' shards that are not there, as the painters deliver them."""
    work = step.options.work
    model = autoencoder.load(work, device).to(memory_format=torch.channels_last)
    encoder = text_encoder.load(work, device)
    for _ in missing:
        shard = feed.take(device)
        parts = [latents.encode(model, normalized(part)) for part in shard.pictures.split(CHUNK)]
        states = diffusion.text_states(encoder, shard.ids[:, 0]).half().cpu()
        latents.save({"latents": torch.cat(parts), "states": states}, latents.path(work, shard.number))
    step.say("encoded", shards=len(missing))


def trainer(
    step: session.Session, data: unet.Data, channels: int, name: str, samples: int, rate: float
) -> unet.Trainer:
    options = step.options
    parser = unet.arguments(None)
    parser.add_argument("--channels", type=int, default=channels)
    told = ["--name", name, "--samples", samples, "--batch", options.batch, "--rate", rate, "--bf16"]
    told += ["--report-every", 10, "--save-every", options.save_every]
    return unet.Trainer(parser.parse_args(step.stage_arguments(*told)), data)


def forget(work: Path, name: str) -> None:
    """Frees a trial's memory on the device and its folder."""
    shutil.rmtree(work / name, ignore_errors=True)
    release()


def release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def throughput(step: session.Session, data: unet.Data, channels: int) -> float:
    """Returns the samples a second that a width trains at."""
    options, name = step.options, f"trial_c{channels}"
    trial = trainer(step, data, channels, name, 10**9, 1e-5)
    for _ in range(6):
        trial.advance().item()
    start, steps = time.monotonic(), 0
    while time.monotonic() - start < options.probe_seconds:
        losses = [trial.advance() for _ in range(4)]
        losses[-1].item()
        steps += len(losses)
    speed = steps * options.batch / (time.monotonic() - start)
    del trial
    forget(options.work, name)
    return speed


def scaled(power: float, batch: int) -> float:
    return unet.RATE * (batch / BASE_BATCH) ** power


def best_power(step: session.Session, data: unet.Data) -> tuple[float, dict[str, float]]:
    """Returns the power that a short run of the first width ends best with, and every power's held-out loss."""
    options, losses = step.options, {}
    if len(options.rate_powers) == 1:
        return options.rate_powers[0], losses
    for power in options.rate_powers:
        name = "trial_rate"
        trial = trainer(
            step, data, options.widths[0], name, options.trial_steps * options.batch, scaled(power, options.batch)
        )
        while trial.step < trial.steps:
            trial.advance()
        # The weights themselves: so short a run's average lags behind.
        loss = unet.held_out_loss(trial.model, trial.objective, data)
        losses[str(power)] = loss if math.isfinite(loss) else 1e9
        del trial
        forget(options.work, name)
    return float(min(losses, key=losses.__getitem__)), losses


def make_plan(step: session.Session, data: unet.Data) -> dict:
    """Measures, and fixes the samples that every width gets; done once, then read back."""
    options, path = step.options, step.options.work / "plan.json"
    if path.exists():
        return json.loads(path.read_text())
    speeds = {channels: throughput(step, data, channels) for channels in options.widths}
    power, losses = best_power(step, data)
    samples = SAFETY * options.unet_seconds / sum(1 / speed for speed in speeds.values())
    students = options.student_seconds / STUDENT_COST / sum(1 / speeds[width] for width in options.teachers)
    plan = {
        "batch": options.batch,
        "samples": max(1, int(samples / options.batch)) * options.batch,
        "student_samples": max(1, int(students / options.batch)) * options.batch,
        "rate": scaled(power, options.batch),
        "rate_power": power,
        "rate_trial_losses": losses,
        "samples_per_second": {str(channels): round(speed) for channels, speed in speeds.items()},
    }
    path.write_text(json.dumps(plan, indent=1) + "\n")
    step.keep()
    return plan


def finished(work: Path, name: str) -> bool:
    progress = unet.read_progress(work, name)
    return bool(progress and progress["step"] >= progress["steps"])


def train_widths(step: session.Session, data: unet.Data, plan: dict) -> None:
    for channels in step.options.widths:
        if not finished(step.options.work, f"unet_c{channels}"):
            step.say("begins", channels=channels)
            trainer(step, data, channels, f"unet_c{channels}", plan["samples"], plan["rate"]).train()
            release()


def distill(step: session.Session, data: unet.Data, plan: dict) -> None:
    """Trains a student of every teacher that is finished."""
    options = step.options
    for channels in options.teachers:
        teacher, name = f"unet_c{channels}", f"unet_c{channels}_lcm"
        if not finished(options.work, teacher) or finished(options.work, name):
            continue
        told = [
            "--teacher",
            teacher,
            "--name",
            name,
            "--samples",
            plan["student_samples"],
            "--batch",
            plan["batch"],
            "--bf16",
        ]
        told += ["--report-every", 10, "--save-every", options.save_every]
        step.say("begins", student=channels)
        student.Distillation(student.arguments().parse_args(step.stage_arguments(*told)), data).train()
        release()


def train_all(step: session.Session, data: unet.Data, plan: dict) -> bool:
    """Trains what is missing; returns whether everything is there."""
    options = step.options
    stages = [(train_widths, [f"unet_c{width}" for width in options.widths], RESERVE)]
    if options.finish:
        stages = [(*stages[0][:2], options.finish_seconds + options.student_seconds)]
        stages += [(distill, [f"unet_c{width}_lcm" for width in options.teachers], options.finish_seconds)]
    for train, _, kept in stages:
        step.reserve(kept)
        try:
            train(step, data, plan)
        except runs.OutOfTime as stopped:
            step.say(str(stopped))
    return all(finished(options.work, name) for _, names, _ in stages for name in names)


def main() -> None:
    options = arguments().parse_args()
    step = session.Session(options)
    missing = [number for number in range(options.shards) if not latents.path(options.work, number).exists()]
    feed = (
        Feed(options.work, latents.SEED, options.shard, missing, options.workers, held_out=False) if missing else None
    )
    device = step.device()
    if feed:
        encode_missing(step, feed, missing, device)
        feed.close()
    data = unet.Data(options, device)
    plan = make_plan(step, data)
    step.say("plan", **plan)
    complete = train_all(step, data, plan)
    if options.finish:
        figures = reference.write(options.work, options.reference, device)
        step.say("reference", **figures)
    session.finish(step, complete)


if __name__ == "__main__":
    main()
