"""Where does a stage keep its log, its checkpoint and its clock?

Every stage that trains has a folder `<work>/<stage>/` with `log.jsonl` (one line of figures per report) and `checkpoint.pt`. A
stage that is started again goes on where the checkpoint stands; its budget counts the minutes of all its runs together. Where
machines are lent by the minute, `Run.deadline` stops every stage in time, and `Run.after_save` carries its files to safety.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch

from . import vocabulary


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Returns a parser with what every stage takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for logs, checkpoints and intermediate data")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--seed", type=int, default=0)
    vocabulary.add_option(parser)
    return parser


def prepare(options: argparse.Namespace) -> torch.device:
    """Applies threads and seed, returns the device."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    if options.device == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    return torch.device(options.device)


class OutOfTime(Exception):
    """The deadline came before the budget was spent; the checkpoint is saved."""


class Run:
    """One stage's log, checkpoint and clock."""

    deadline: ClassVar[float] = math.inf
    """Moment of the monotonic clock at which every stage saves and stops."""
    after_save: ClassVar[list[Callable[[], None]]] = []
    """Called whenever a checkpoint has been written."""

    def __init__(self, work: Path, stage: str, report_every: float = 20.0, save_every: float = 120.0) -> None:
        self.folder = work / stage
        self.folder.mkdir(parents=True, exist_ok=True)
        self.checkpoint = self.folder / "checkpoint.pt"
        self._earlier = 0.0
        self._start = time.monotonic()
        self._report_every, self._save_every = report_every, save_every
        self._reported = self._saved = 0.0

    def resume(self) -> dict[str, Any] | None:
        """Returns the state last saved, and sets the clock to it."""
        if not self.checkpoint.exists():
            return None
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=False)
        self._earlier = self._reported = self._saved = state["seconds"]
        return state

    def begin(self) -> None:
        """Starts the clock, once everything is set up."""
        self._start = time.monotonic()

    def seconds(self) -> float:
        """Time this stage has run, earlier runs included."""
        return self._earlier + time.monotonic() - self._start

    def due_report(self) -> bool:
        """Whether it is time to write a line of the log."""
        return self.seconds() - self._reported >= self._report_every

    def due_save(self) -> bool:
        """Whether it is time to save a checkpoint, be it the last before the deadline."""
        return self.seconds() - self._saved >= self._save_every or self.out_of_time()

    def out_of_time(self) -> bool:
        return time.monotonic() >= self.deadline

    def stop_in_time(self) -> None:
        """Ends the stage if the deadline has come; to be called when a checkpoint has just been written."""
        if self.out_of_time():
            raise OutOfTime(f"{self.folder.name} stops at its deadline and goes on when it is started again")

    def report(self, **figures: float | str) -> None:
        """Writes one line of figures to the log and the terminal."""
        self._reported = self.seconds()
        rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()}
        line = json.dumps({"seconds": round(self._reported, 1), **rounded})
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(line + "\n")
        print(line, flush=True)

    def save(self, **state: Any) -> None:
        """Replaces the checkpoint; an interruption leaves the old one whole."""
        self._saved = self.seconds()
        partial = self.checkpoint.with_suffix(".partial")
        torch.save({"seconds": self._saved, **state}, partial)
        partial.replace(self.checkpoint)
        for call in self.after_save:
            call()
