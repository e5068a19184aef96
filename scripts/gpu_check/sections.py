"""What is checked? Each section takes the setting and adds to what was found."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cases
import parity as goldens
import server as serving
from cases import Case
from setting import HERE, REPOSITORY, Late, Setting, said

BATCHES = (1, 2, 4, 8, 16, 32, 64)
# A rehearsal on a processor.
FEW_BATCHES = (1, 2)
TEXTS = {"emoji": (32, 128), "sd15": (77, 768)}
LATENTS = {"emoji": (4, 16, 16), "sd15": (4, 64, 64)}


def machine(setting: Setting, found: dict[str, Any]) -> None:
    """What the check runs on."""
    import torch

    found["machine"] = {
        "gpu": said("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "libraries": setting.environment["LD_LIBRARY_PATH"],
    }
    models = write_models(setting, "f32")
    doctor = [setting.program("goldilocks"), "doctor", "--config", models, "--state-dir", setting.work / "state"]
    doctor += ["--listen", "127.0.0.1:0"]
    answer = subprocess.run(doctor, env=setting.environment, capture_output=True, text=True, check=False)
    found["doctor"] = answer.stdout + answer.stderr


def parity(setting: Setting, found: dict[str, Any]) -> None:
    """Networks and whole trajectories against what diffusers computed on a processor in f32."""
    found["parity"] = []
    for dtype in ("f32", "bf16"):
        for row in goldens.networks(setting, dtype):
            found["parity"].append(row)
        for row in goldens.trajectories(setting, dtype):
            found["parity"].append(row)
    worse = [row["name"] + " " + row["dtype"] for row in found["parity"] if not row["error"] < row["tolerance"]]
    if worse:
        raise AssertionError(f"beyond the tolerance: {', '.join(worse)}")


def peak(setting: Setting, found: dict[str, Any]) -> None:
    """The largest matrix products."""
    found["peak"] = {}
    for dtype in ("bf16", "f32"):
        with setting.worker(dtype) as worker:
            found["peak"][dtype] = worker.ask("peak")


def steps(setting: Setting, found: dict[str, Any]) -> None:
    """One evaluation of every U-Net in bf16, by width and batch."""
    measure_steps(setting, found, "bf16")


def steps_f32(setting: Setting, found: dict[str, Any]) -> None:
    """The same in f32."""
    measure_steps(setting, found, "f32")


def torch(setting: Setting, found: dict[str, Any]) -> None:
    """PyTorch on the same inputs: eager, compiled, as CUDA graphs; a process for each way, for their faults' sake."""
    found["torch"] = []
    batches, names = ((1,), ("emoji-c32",)) if setting.is_cpu else ((1, 8, 64), ("sd15", "emoji-c32"))
    chosen = [unet_case(setting, name, rows) for rows in batches for name in names]
    file = setting.work / "cases.json"
    file.write_text(json.dumps([case.to_json() for case in chosen]))
    for way in ("eager", "graph", "compile", "compile-graph"):
        limit = min(150.0, setting.left() - 60)
        if limit < 20:
            raise Late(f"no time for {way} and what comes after it")
        command = [sys.executable, HERE / "torch_peer.py", way, setting.device, file, setting.work]
        lines = until(command, setting, limit)
        found["torch"] += lines or [{"way": way, "fault": "it gave no figure"}]


def until(command: list[Any], setting: Setting, limit: float) -> list[dict[str, Any]]:
    """The JSON lines that a process prints until its time is over."""
    try:
        answer = subprocess.run(command, env=setting.environment, stdout=subprocess.PIPE, timeout=limit, check=False)
        text = answer.stdout
    except subprocess.TimeoutExpired as late:
        text = late.stdout or b""
    return [json.loads(line) for line in text.decode().splitlines() if line.startswith("{")]


def pictures(setting: Setting, found: dict[str, Any]) -> None:
    """From noise and text states to pixels, as the server draws them."""
    found["pictures"] = []
    (setting.work / "inputs").mkdir(exist_ok=True)
    family = cases.Family.read(REPOSITORY / "models.toml")
    picture = cases.picture_case(family, setting.work / "inputs")
    for model, unet in family.unets.items():
        title = f"{model}, {cases.STEPS} DDIM steps, guidance {cases.GUIDANCE:g}, 128x128"
        case = replace(picture, title=title, unet=str(unet), picture=replace(picture.picture, model=model))
        found["pictures"].append(timed(setting, case, "bf16"))
    found["pictures"].append(timed(setting, cases.decode_case(family, setting.work / "inputs"), "bf16"))


def server(setting: Setting, found: dict[str, Any]) -> None:
    """Pictures a second with ever more clients at once, which share evaluations."""
    found["server"] = serving.throughput(setting, write_models(setting, "bf16"))


def measure_steps(setting: Setting, found: dict[str, Any], dtype: str) -> None:
    """Adds the rows of one precision; larger batches until one takes long."""
    rows = found.setdefault("steps", [])
    batches = FEW_BATCHES if setting.is_cpu else BATCHES
    for name in ("sd15", *cases.Family.read(REPOSITORY / "models.toml").unets):
        with setting.worker(dtype) as worker:
            for batch in batches:
                if setting.left() < 30:
                    raise Late(f"{name} at batch {batch} and what comes after it")
                case = unet_case(setting, name, batch)
                rows.append(timed_by(worker, case, dtype))


def timed(setting: Setting, case: Case, dtype: str) -> dict[str, Any]:
    """One case in a worker of its own."""
    with setting.worker(dtype) as worker:
        return timed_by(worker, case, dtype)


def timed_by(worker: Any, case: Case, dtype: str) -> dict[str, Any]:
    """Milliseconds, operations and memory of one case."""
    gflop = worker.ask("load", case=case.to_json())["gflop"]
    seconds = worker.seconds()
    row = {"name": case.name, "title": case.title, "dtype": dtype, "ms": 1000 * seconds, "gflop": gflop}
    row["mebibytes"] = worker.mebibytes()
    print(json.dumps(row), flush=True)
    return row


def unet_case(setting: Setting, name: str, rows: int) -> Case:
    """One evaluation of a U-Net of the family, or of Stable Diffusion 1.5's shape."""
    folder = setting.work / "inputs"
    folder.mkdir(exist_ok=True)
    kind = "sd15" if name == "sd15" else "emoji"
    unet = sd15(setting) if kind == "sd15" else cases.Family.read(REPOSITORY / "models.toml").unets[name]
    return cases.unet_case(name, f"{name}, batch {rows}", unet, folder, (rows, *LATENTS[kind]), TEXTS[kind])


def sd15(setting: Setting) -> Path:
    """The shape of Stable Diffusion 1.5 with random numbers, which are drawn on the device."""
    import torch
    from sd15 import folder

    with torch.device(setting.device):
        return folder(setting.work)


def write_models(setting: Setting, dtype: str) -> Path:
    """models.toml with every model on the device, in a precision."""
    lines = []
    for line in (REPOSITORY / "models.toml").read_text().splitlines():
        if line.split("=")[0].strip() in ("device", "dtype"):
            continue
        lines.append(line)
        if line.strip() == "[[family.model]]":
            lines += [f'device = "{setting.device}"', f'dtype = "{dtype}"']
    # Its paths are relative to it.
    path = REPOSITORY / f"models-{dtype}.toml"
    path.write_text("\n".join(lines) + "\n")
    return path
