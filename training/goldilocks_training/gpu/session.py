"""What do all steps have in common? A deadline of their own, the working folder filled from the last step's pieces, and pieces of
what has been done so far whenever a checkpoint is written."""

import argparse
import json
import os
import time
from pathlib import Path

import torch

from .. import runs
from . import pieces

CUT_OFF = 3
"""Exit status of a step that stopped at its deadline with work left."""


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Returns a parser with what every step takes."""
    parser = runs.arguments(description)
    parser.set_defaults(device="cuda")
    parser.add_argument("--pieces", type=Path, required=True, help="folder of the last step's pieces")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pieces of this step")
    parser.add_argument("--deadline-seconds", type=float, default=530, help="the step ends by itself after so long")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1), help="processes that paint")
    parser.add_argument("--shard", type=int, default=2048, help="pictures in a shard")
    parser.add_argument("--save-every", type=float, default=45.0, help="seconds between checkpoints")
    return parser


class Session:
    """One step's clock and safety copies."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self._end = time.monotonic() + options.deadline_seconds
        options.work.mkdir(parents=True, exist_ok=True)
        print(f"{pieces.unpack(options.pieces, options.work)} files from {options.pieces}", flush=True)
        runs.Run.after_save.append(self.keep)

    def keep(self) -> None:
        pieces.pack(self.options.work, self.options.out)

    def left(self) -> float:
        """Seconds to the deadline."""
        return self._end - time.monotonic()

    def reserve(self, seconds: float) -> None:
        """Lets stages stop so long before the deadline."""
        runs.Run.deadline = self._end - seconds

    def device(self) -> torch.device:
        """Returns the device; to be called when the feeds have been made."""
        return runs.prepare(self.options)

    def stage_arguments(self, *more: object) -> list[str]:
        """Returns a stage's command line."""
        options = self.options
        common = [
            "--work",
            options.work,
            "--device",
            options.device,
            "--threads",
            options.threads,
            "--seed",
            options.seed,
        ]
        return [str(word) for word in (*common, *more)]

    def say(self, event: str, **figures: object) -> None:
        print(json.dumps({"event": event, "left": round(self.left(), 1), **figures}), flush=True)


def finish(session: Session, complete: bool) -> None:
    """Writes the last pieces and ends the process; its status says whether work is left."""
    session.keep()
    session.say("complete" if complete else "stopped with work left")
    raise SystemExit(0 if complete else CUT_OFF)
