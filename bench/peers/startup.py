"""How long from process start to the first picture, and in how much memory? goldilocks beside its peers.

    python bench/peers/startup.py [--runs N] [--threads N] [--cache FOLDER]

Each run starts every contender anew, one after the other, and waits for the picture's file. Writes STARTUP.md and
startup.json beside this file, or into --output. See README.md.
"""

import argparse
import base64
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import machine
import numpy
import onnx_engine
import openvino_engine
from cases import GUIDANCE, PROMPT, SEED, Family, ddim, text_ids
from engines import HERE, REPOSITORY, build
from parts import Part
from PIL import Image
from report import about, digits, spread, table, threads_of
from safetensors.numpy import save_file

STEPS = 8
# How often a starting process is looked at; the figures are no finer.
LOOK_SECONDS = 0.002
PATIENCE_SECONDS = 120
MIB = 1024


@dataclass(frozen=True)
class Sample:
    """One start: seconds to the picture, and KiB of memory at most and when the picture was there."""

    seconds: float
    peak_kib: int
    resident_kib: int


@dataclass(frozen=True)
class Setting:
    """What is drawn, from where, and with how many threads."""

    family: Family
    model: str
    threads: int
    cache: Path
    inputs: Path

    @property
    def unet(self) -> Path:
        """The folder of the U-Net."""
        return self.family.unets[self.model]


def prepare(models: Path, cache: Path, threads: int) -> Setting:
    """Writes the initial noise and the coefficients of the steps."""
    family = Family.read(models)
    noise = numpy.random.default_rng(SEED).standard_normal((1, 4, 16, 16), numpy.float32)
    inputs = cache / "inputs/startup.safetensors"
    inputs.parent.mkdir(parents=True, exist_ok=True)
    save_file({"latents": noise, **ddim(family.folder, STEPS)}, inputs)
    return Setting(family, list(family.unets)[-1], threads, cache, inputs)


def exported(setting: Setting, export: Callable[[Part, Path], Path], cache: Path) -> list[str]:
    """Exports the three networks that a picture needs; returns the flags that name them."""
    random = numpy.random.default_rng(SEED)
    ids, width = text_ids(setting.family.folder, ["", PROMPT])
    shape = (2, 4, 16, 16)
    step = {
        "sample": random.standard_normal(shape, numpy.float32),
        "timesteps": numpy.full(2, 500, numpy.float32),
        "states": random.standard_normal((*ids.shape, width), numpy.float32),
    }
    parts = {
        "text": Part("text", setting.family.folder / "text_encoder", {"ids": ids}),
        "unet": Part("unet", setting.unet, step),
        "decode": Part("decode", setting.family.folder / "vae", {"latents": step["sample"][:1]}),
    }
    return [word for name, part in parts.items() for word in (f"--{name}-file", str(export(part, cache)))]


def contenders(setting: Setting) -> dict[str, Callable[[Path], Sample]]:
    """Every way to a picture: a function that starts it and waits for the file."""
    program = build(["build", "--bin", "goldilocks"], "goldilocks")
    ours = ["generate", PROMPT, "--dtype", "f32", "--config", setting.family.models, "--model", setting.model]
    ours += ["--steps", STEPS, "--guidance", GUIDANCE, "--latents", setting.inputs, "--output"]
    script = [sys.executable, HERE / "first_picture.py"]
    common = ["--family", setting.family.folder, "--unet", setting.unet.name, "--inputs", setting.inputs]
    common += ["--prompt", PROMPT, "--guidance", GUIDANCE, "--threads", setting.threads]
    onnx = [*common, *exported(setting, onnx_engine.export, setting.cache / "onnx")]
    openvino = [*common, *exported(setting, openvino_engine.convert, setting.cache / "openvino")]
    model_cache = setting.cache / "openvino-compiled"
    start = partial(first_picture, setting.threads)
    return {
        "goldilocks generate": partial(start, [program, *ours]),
        "goldilocks serve, first reply": partial(first_reply, setting, program),
        "torch with diffusers": partial(start, [*script, "torch", *common, "--output"]),
        "ONNX Runtime": partial(start, [*script, "onnxruntime", *onnx, "--output"]),
        "OpenVINO f32": partial(start, [*script, "openvino", *openvino, "--output"]),
        "OpenVINO f32, with its model cache": partial(
            start, [*script, "openvino", *openvino, "--model-cache", model_cache, "--output"]
        ),
    }


def environment(threads: int) -> dict[str, str]:
    """The threads, for those that read them there."""
    return os.environ | {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}


def first_picture(threads: int, command: list[object], picture: Path) -> Sample:
    """Starts a program that writes `picture` and ends."""
    start = time.perf_counter()
    words = [str(word) for word in (*command, picture)]
    process = subprocess.Popen(words, env=environment(threads), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    memory = (0, 0)
    while not picture.exists():
        if process.poll() is not None and not picture.exists():
            sys.exit(f"{words[0]} ended without a picture: {process.stderr.read().decode()}")
        memory = memory_of(process.pid) or memory
        time.sleep(LOOK_SECONDS)
    seconds = time.perf_counter() - start
    memory = memory_of(process.pid) or memory
    process.communicate()
    return Sample(seconds, *memory)


def first_reply(setting: Setting, program: Path, picture: Path) -> Sample:
    """Starts the server, asks as soon as it is ready and stops it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    state = picture.parent / "state"
    words = ["serve", "--config", setting.family.models, "--listen", address, "--state-dir", state]
    command = [str(word) for word in (program, *words)]
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment(setting.threads), stderr=subprocess.DEVNULL)
    try:
        while not is_ready(address):
            if process.poll() is not None or time.perf_counter() - start > PATIENCE_SECONDS:
                sys.exit("the server did not become ready")
            time.sleep(LOOK_SECONDS)
        picture.write_bytes(ask(address, setting.model))
        return Sample(time.perf_counter() - start, *memory_of(process.pid))
    finally:
        process.terminate()
        process.wait()


def is_ready(address: str) -> bool:
    """Whether the server would take a request."""
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def ask(address: str, model: str) -> bytes:
    """The PNG of one request with the plan pinned."""
    body = {"prompt": PROMPT, "model": model, "num_inference_steps": STEPS, "guidance_scale": GUIDANCE}
    url, kind = f"http://{address}/v1/images/generations", {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body | {"sampler": "ddim"}).encode(), kind)
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as reply:
        return base64.b64decode(json.load(reply)["data"][0]["b64_json"])


def memory_of(pid: int) -> tuple[int, int] | None:
    """Highest and present resident memory in KiB; none once the process has ended."""
    with contextlib.suppress(OSError, KeyError):
        lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        status = dict(lines)
        return int(status["VmHWM"].split()[0]), int(status["VmRSS"].split()[0])
    return None


def check(pictures: dict[str, Path]) -> None:
    """Fails unless everybody who started from the same noise drew the same picture, within one level."""
    drawn = {name: numpy.asarray(Image.open(path), numpy.int16) for name, path in pictures.items()}
    expected = drawn["torch with diffusers"]
    for name, levels in drawn.items():
        if "serve" not in name and numpy.abs(levels - expected).max() > 1:
            sys.exit(f"{name} drew another picture than torch")


def render(samples: dict[str, list[Sample]], setting: Setting, described: dict[str, Any], command: str) -> str:
    """The whole of STARTUP.md."""
    cells = []
    for name, found in samples.items():
        seconds = [sample.seconds for sample in found]
        peak = statistics.median(sample.peak_kib for sample in found) / MIB
        resident = statistics.median(sample.resident_kib for sample in found) / MIB
        time_cell = f"{digits(statistics.median(seconds))} ({digits(spread(seconds))})"
        cells.append([name, time_cell, f"{peak:.0f}", f"{resident:.0f}"])
    head = ["", "seconds to the first picture", "peak MiB", "MiB when it was there"]
    runs = len(next(iter(samples.values())))
    note = (
        f"{setting.model}, {STEPS} DDIM steps, guidance {GUIDANCE:g}, 128x128, PNG written; "
        f"{threads_of(setting.threads)}. Medians of {runs} runs (interquartile range), files in the page cache. "
        "The peers' exports are made beforehand. The server loads every model of the family and times it before it "
        "is ready."
    )
    lines = ["# Start and memory", "", f"`{command}`", "", *about(described, {}), "", note, ""]
    return "\n".join([*lines, *table(head, cells), ""])


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/goldilocks/peers")
    parser.add_argument("--models", type=Path, default=REPOSITORY / "models.toml")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of STARTUP.md and startup.json")
    args = parser.parse_args()
    setting = prepare(args.models.resolve(), args.cache.resolve(), args.threads)
    ways = contenders(setting)
    folder = setting.cache / "startup"
    folder.mkdir(exist_ok=True)
    pictures = {name: folder / f"{index}.png" for index, name in enumerate(ways)}
    company = machine.Company()
    samples: dict[str, list[Sample]] = {name: [] for name in ways}
    # The first round fills the page cache and OpenVINO's own, and is not counted.
    for index in range(1 + args.runs):
        for name, way in ways.items():
            pictures[name].unlink(missing_ok=True)
            sample = way(pictures[name])
            if index > 0:
                samples[name].append(sample)
    check(pictures)

    described = machine.describe(company)
    text = render(samples, setting, described, " ".join(["python bench/peers/startup.py", *sys.argv[1:]]))
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "STARTUP.md").write_text(text)
    raw = {name: [vars(sample) for sample in found] for name, found in samples.items()}
    (args.output / "startup.json").write_text(json.dumps({"machine": described, "samples": raw}))
    print(text)


if __name__ == "__main__":
    main()
