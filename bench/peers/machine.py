"""On what was it measured? The machine, the versions and the commit."""

import datetime
import platform
import subprocess
from importlib import metadata
from typing import Any

from engines import REPOSITORY

PACKAGES = ("torch", "diffusers", "onnxruntime", "openvino", "numpy")
LSCPU = ("Model name", "CPU(s)", "Thread(s) per core", "L2 cache", "L3 cache", "Hypervisor vendor")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def describe() -> dict[str, Any]:
    """Everything that a reader needs to compare his own run."""
    lines = (line.split(":", 1) for line in said("lscpu").splitlines() if ":" in line)
    cpu = {key.strip(): value.strip() for key, value in lines}
    flags = cpu.get("Flags", "").split()
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": said("git", "rev-parse", "--short", "HEAD"),
        "changed_files": said("git", "status", "--porcelain", "--untracked-files=no").splitlines(),
        "cpu": {key: cpu[key] for key in LSCPU if key in cpu},
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "kernel": platform.release(),
        "rustc": said("rustc", "--version"),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES} | {"candle-core": candle_version()},
    }


def candle_version() -> str:
    """The version in Cargo.lock."""
    text = (REPOSITORY / "Cargo.lock").read_text()
    return text.split('name = "candle-core"\nversion = "', 1)[1].split('"', 1)[0]


def said(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()
