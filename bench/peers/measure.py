"""How are engines timed beside one another? In many short turns, round-robin, each round in another order.

A turn is one untimed run, unless runs are long, and then some timed ones, whose median is the turn's figure. So
whatever slows the machine for a while slows the neighbours of a round alike, and the ratio within a round is more
telling than the times.
"""

import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
from cases import Case
from engines import REFERENCE, Engine, rival
from safetensors.numpy import load_file

TURN_SECONDS = 0.08
MOST_RUNS = 20
# A run this long warms its caches by itself.
LONG_SECONDS = 1.0


@dataclass(frozen=True)
class Pace:
    """How long a case is measured: rounds go on for `seconds`, within their limits."""

    seconds: float
    least_rounds: int
    most_rounds: int


@dataclass(frozen=True)
class Turn:
    """The runs of one turn."""

    untimed: int
    timed: int

    @staticmethod
    def of(seconds: float) -> "Turn":
        """The turn of an engine whose runs take so long."""
        timed = max(1, min(MOST_RUNS, round(TURN_SECONDS / seconds)))
        return Turn(0 if seconds > LONG_SECONDS else 1, timed)


@dataclass
class Timing:
    """What came of one engine in one case: the seconds of every run, a list for each round."""

    rounds: list[list[float]] = field(default_factory=list)
    turn: Turn = Turn(untimed=1, timed=1)
    # Largest difference from the reference over the reference's largest value; none without a reference.
    error: float | None = None

    def figures(self) -> list[float]:
        """The median of every round's turn."""
        return [statistics.median(turn) for turn in self.rounds]


@dataclass
class Row:
    """What came of one case at one number of threads."""

    case: Case
    threads: int
    gflop: float | None = None
    timings: dict[str, Timing] = field(default_factory=dict)
    # Rounds of two engines by the peer's name: [ours, peer] turn figures of the same round.
    paired: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    # What the reference computed, once it has.
    reference: dict[str, numpy.ndarray] | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything raw."""
        timings = {
            name: {"error": timing.error, "rounds": [[round(s, 7) for s in turn] for turn in timing.rounds]}
            for name, timing in self.timings.items()
        }
        return {
            "case": self.case.name,
            "title": self.case.title,
            "threads": self.threads,
            "gflop": self.gflop,
            "engines": timings,
            "paired": self.paired,
        }


def measure(row: Row, engines: list[Engine], pace: Pace) -> None:
    """Runs the rounds of loaded engines and adds them to `row`."""
    newcomers = [engine for engine in engines if engine.name not in row.timings]
    # The first run is slow in every engine; the second one says how many fit a turn.
    seconds = {engine.name: engine.ask("run", times=1)["seconds"][0] for engine in newcomers}
    verify(row, newcomers)
    for engine in newcomers:
        if seconds[engine.name] < LONG_SECONDS:
            seconds[engine.name] = engine.ask("run", times=1)["seconds"][0]
        row.timings[engine.name].turn = Turn.of(seconds[engine.name])
    start = time.monotonic()
    for index in range(pace.most_rounds):
        if index >= pace.least_rounds and time.monotonic() - start > pace.seconds:
            break
        at = index % len(engines)
        one_round(row, engines[at:] + engines[:at])


def one_round(row: Row, engines: list[Engine]) -> None:
    """Gives every engine its turn."""
    figures = {}
    for engine in engines:
        timing = row.timings[engine.name]
        runs = engine.ask("run", times=timing.turn.untimed + timing.turn.timed)["seconds"]
        timing.rounds.append(runs[timing.turn.untimed :])
        figures[engine.name] = statistics.median(timing.rounds[-1])
    for name, peer in figures.items():
        ours = rival(name, figures)
        if ours in figures and name != ours:
            row.paired.setdefault(name, []).append((figures[ours], peer))


def verify(row: Row, engines: list[Engine]) -> None:
    """Holds every engine's output against the reference's, now or of an earlier call."""
    found = {engine.name: outputs(engine) for engine in engines}
    row.reference = found.get(REFERENCE, row.reference)
    for name, values in found.items():
        row.timings[name] = Timing(error=None if row.reference is None else error(values, row.reference))


def outputs(engine: Engine) -> dict[str, numpy.ndarray]:
    """What the engine's last run computed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "output.safetensors"
        engine.ask("output", path=str(path))
        return load_file(path)


def error(found: dict[str, numpy.ndarray], expected: dict[str, numpy.ndarray]) -> float:
    """The largest relative error. Pixels are levels: one apart is rounding, more counts."""
    if "error" in found:
        # An engine that takes no tensors holds itself against torch.
        return float(found["error"][0])
    worst = 0.0
    for name, values in expected.items():
        apart = numpy.abs(found[name].reshape(-1) - values.reshape(-1)).max()
        if name == "pixels":
            apart = max(apart - 1, 0)
        worst = max(worst, float(apart / numpy.abs(values).max()))
    return worst
