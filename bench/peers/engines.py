"""How is an engine asked? Worker processes that answer a JSON line for every JSON line.

A worker that it is not the turn of is stopped (SIGSTOP), so that no thread of it spins beside another's turn.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
OURS = "goldilocks"
OURS_BF16 = "goldilocks-bf16"
# In the order of the table's columns.
F32 = (OURS, "candle", "torch", "torch-compile-f32", "onnxruntime", "openvino-f32")
BF16 = ("torch-compile-bf16", "openvino-bf16")
# Weights in f16, sums in f32. It knows networks of Stable Diffusion's own sizes only, which are the large cases.
F16 = ("stable-diffusion.cpp",)
ENGINES = (*F32, OURS_BF16, *BF16, *F16)
LARGE_ONLY = F16
REFERENCE = "torch"
# Ours and candle are one program with several backends.
BACKENDS = {OURS: "native", OURS_BF16: "native-bf16", "candle": "candle"}


def rival(name: str, there: Collection[str]) -> str:
    """Which of ours an engine is held against: the one in its precision, if it takes part."""
    return OURS_BF16 if name in BF16 and OURS_BF16 in there else OURS


class EngineFault(Exception):
    """An engine answered that it cannot, or ended."""


def build(cargo: list[str], target: str) -> Path:
    """Builds a program of ours by a Cargo command, in release, and returns where it was put."""
    command = ["cargo", *cargo, "--release", "--locked", "--message-format=json"]
    output = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True).stdout
    messages = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    found = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == target]
    return Path(found[-1])


class Engine:
    """One worker process."""

    def __init__(self, name: str, threads: int, cache: Path, program: Path) -> None:
        self.name = name
        count = {key: str(threads) for key in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        if name in BACKENDS:
            command = [program, BACKENDS[name], str(threads)]
        else:
            command = [sys.executable, HERE / "worker.py", name, "--threads", str(threads), "--cache", cache]
        with (cache / f"{name}.log").open("w") as log:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
            self.process = subprocess.Popen(command, env=os.environ | count, text=True, bufsize=1, **pipes)

    def send(self, order: str, **arguments: Any) -> None:
        """Wakes the worker and gives it an order."""
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(json.dumps({"do": order} | arguments) + "\n")

    def receive(self) -> dict[str, Any]:
        """Waits for the answer and stops the worker."""
        line = self.process.stdout.readline()
        if not line:
            raise EngineFault(f"{self.name} ended with {self.process.wait()}; its log is in the cache folder")
        self.process.send_signal(signal.SIGSTOP)
        answer = json.loads(line)
        if "error" in answer:
            raise EngineFault(f"{self.name}: {answer['error']}")
        return answer

    def ask(self, order: str, **arguments: Any) -> dict[str, Any]:
        """Gives an order and waits for the answer."""
        self.send(order, **arguments)
        return self.receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the worker, which a stopped process would not do by itself."""
        self.process.kill()
        self.process.wait()
