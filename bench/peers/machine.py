"""On what was it measured? The machine, the versions and the commit."""

import datetime
import importlib.util
import os
import platform
import resource
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from engines import REPOSITORY

PACKAGES = ("torch", "diffusers", "onnxruntime", "openvino", "stable-diffusion-cpp-python", "numpy")
# Where it is not the package's own name.
MODULES = {"stable-diffusion-cpp-python": "stable_diffusion_cpp"}
LSCPU = ("Model name", "CPU(s)", "Thread(s) per core", "L2 cache", "L3 cache", "Hypervisor vendor")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


class Company:
    """What else the machine did since this was made."""

    def __init__(self) -> None:
        self.before = self.now()

    def share(self) -> float:
        """The share of all processors' time that other programs, or other guests of the host, have taken."""
        (start, busy_before, own_before), (end, busy, own) = self.before, self.now()
        others = (busy - busy_before) - (own - own_before)
        return max(0.0, others / (end - start) / os.cpu_count())

    @staticmethod
    def now() -> tuple[float, float, float]:
        """Seconds by the clock, of all processors' work, and of this program's with its ended children."""
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = ticks
        busy = (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")
        usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return time.monotonic(), busy, sum(usage.ru_utime + usage.ru_stime for usage in usages)


def describe(company: Company) -> dict[str, Any]:
    """Everything that a reader needs to compare his own run. All workers have ended."""
    lines = (line.split(":", 1) for line in said("lscpu").splitlines() if ":" in line)
    cpu = {key.strip(): value.strip() for key, value in lines}
    flags = cpu.get("Flags", "").split()
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": said("git", "rev-parse", "--short", "HEAD"),
        "changed_files": said("git", "status", "--porcelain", "--untracked-files=no").splitlines(),
        "cpu": {key: cpu[key] for key in LSCPU if key in cpu},
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "others_share": company.share(),
        "kernel": platform.release(),
        "rustc": said("rustc", "--version"),
        "python": platform.python_version(),
        "packages": versions() | {"candle-core": candle_version()},
    }


def versions() -> dict[str, str]:
    """Of the packages that are there: not every run needs them all."""
    return {name: metadata.version(name) for name in PACKAGES if importlib.util.find_spec(MODULES.get(name, name))}


def candle_version() -> str:
    """The version in Cargo.lock."""
    text = (REPOSITORY / "Cargo.lock").read_text()
    return text.split('name = "candle-core"\nversion = "', 1)[1].split('"', 1)[0]


def said(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()
