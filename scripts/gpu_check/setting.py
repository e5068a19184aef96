"""Where does the check run, with what, and until when? And how is our worker asked?"""

import json
import os
import select
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE / "repository"


class Late(Exception):
    """There is no time left for it."""


class Setting:
    """The device, the folders and the deadline of a check."""

    def __init__(self, device: str, work: Path, deadline: float) -> None:
        self.device = device
        self.is_cpu = device == "cpu"
        self.work = work
        self.deadline = deadline
        self.environment = os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(libraries())}

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def program(self, name: str) -> str:
        """One of the packed programs."""
        return str(self.work / "bin" / name)

    def worker(self, dtype: str) -> "Worker":
        """Our benchmark worker on the device."""
        return Worker([self.program("peer_worker"), "on", self.device, dtype], self)


class Worker:
    """A process that answers a JSON line for every JSON line, as bench/peers/README.md has it."""

    def __init__(self, command: list[str], setting: Setting) -> None:
        self.setting = setting
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=setting.environment, text=True, bufsize=1, **pipes)

    def ask(self, order: str, **arguments: Any) -> dict[str, Any]:
        """Gives an order and waits for the answer, but not beyond the deadline."""
        self.process.stdin.write(json.dumps({"do": order} | arguments) + "\n")
        # Answers are one line each, so that nothing is left in Python's buffer.
        ready, _, _ = select.select([self.process.stdout], [], [], max(1.0, self.setting.left()))
        if not ready:
            raise Late(f"{order} was not done in time")
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended with {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def seconds(self) -> float:
        """The median of as many runs as fit some two seconds, behind two that warm up."""
        self.ask("run", times=1)
        once = self.ask("run", times=1)["seconds"][0]
        times = max(1, min(30, round(2.0 / max(once, 1e-4))))
        return statistics.median(self.ask("run", times=times)["seconds"])

    def mebibytes(self) -> float | None:
        """The device's memory that the process holds; on a processor, its own."""
        if self.setting.is_cpu:
            return resident(self.process.pid)
        query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
        rows = [line.split(",") for line in said(*query).splitlines() if "," in line]
        own = [float(used) for pid, used in rows if pid.strip() == str(self.process.pid)]
        # In a container, processes have other numbers outside; nobody else should be on the device.
        return own[0] if own else used_by_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def resident(pid: int) -> float:
    """Mebibytes of a process in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def used_by_all() -> float | None:
    """Mebibytes in use on the first GPU."""
    text = said("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits")
    return float(text.splitlines()[0]) if text else None


def libraries() -> list[str]:
    """Where CUDA's libraries are: as the machine says, beside PyTorch, in their usual folder."""
    folders = [Path(folder) for folder in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder]
    for root in map(Path, sys.path):
        folders += sorted(root.glob("nvidia/cu13/lib")) + sorted(root.glob("nvidia/*/lib"))
    folders += [Path("/usr/local/cuda/lib64"), Path("/usr/local/nvidia/lib64"), Path("/usr/local/nvidia/lib")]
    return [str(folder) for folder in dict.fromkeys(folders) if folder.is_dir()]


def said(*command: str) -> str:
    """What a command prints, or nothing where it is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
