"""How long does an engine in Python take? One process for each engine: answers a JSON line for every JSON line.

    python worker.py NAME --threads N --cache FOLDER

The lines are those of README.md. Times run from arrays in memory to arrays in memory.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy
from parts import Part
from safetensors.numpy import load_file, save_file

Arrays = dict[str, numpy.ndarray]


class Engine(Protocol):
    """Makes networks ready to run."""

    def compile(self, part: Part) -> Callable[..., numpy.ndarray]:
        """A function from arrays to the network's output."""


def engine_of(name: str, threads: int, cache: Path) -> Engine:
    """Imports and starts the engine that is called `name`, and no other."""
    match name:
        case "torch":
            from torch_engine import Torch

            return Torch(threads)
        case "torch-compile-f32" | "torch-compile-bf16":
            from torch_engine import Compiled

            return Compiled(threads, cache, name.removeprefix("torch-compile-"))
        case "onnxruntime":
            from onnx_engine import OnnxRuntime

            return OnnxRuntime(threads, cache)
        case "openvino-f32" | "openvino-bf16":
            from openvino_engine import OpenVino

            return OpenVino(threads, cache, name.removeprefix("openvino-"))
        case "stable-diffusion.cpp":
            from sd_cpp_engine import StableDiffusionCpp

            return StableDiffusionCpp(threads, cache)
    raise ValueError(f"no engine is called {name!r}")


class Job:
    """Computes a case and counts the seconds."""

    def __init__(self, compute: Callable[[], Arrays]) -> None:
        self.compute = compute
        self.computed: Arrays = {}

    def run(self, times: int) -> list[float]:
        """Computes it so many times."""
        seconds = []
        for _ in range(times):
            start = time.perf_counter()
            self.computed = self.compute()
            seconds.append(time.perf_counter() - start)
        return seconds

    def outputs(self) -> Arrays:
        """What the last run computed."""
        return self.computed


def job_of(engine: Engine, case: dict[str, Any]) -> Job:
    """What computes the case: an engine's own, where it takes no tensors."""
    return engine.job(case) if hasattr(engine, "job") else Job(compute_of(engine, case))


def compute_of(engine: Engine, case: dict[str, Any]) -> Callable[[], Arrays]:
    """A function that computes the case once."""
    inputs = load_file(case["inputs"])
    match case["kind"]:
        case "unet":
            names = ("sample", "timesteps", "states")
            part = Part("unet", Path(case["unet"]), {name: inputs[name] for name in names})
        case "decode":
            part = Part("decode", Path(case["vae"]), {"latents": inputs["latents"]})
        case "picture":
            return picture_of(engine, case, inputs)
    forward, arrays = engine.compile(part), list(part.examples.values())
    return lambda: {"output": forward(*arrays)}


def picture_of(engine: Engine, case: dict[str, Any], inputs: Arrays) -> Callable[[], Arrays]:
    """Noise to pixels: guided DDIM steps x' = a x + b v, both halves in one batch, then the decoder."""
    noise, states = inputs["noise"], inputs["states"]
    guidance = numpy.float32(case["picture"]["guidance"])
    steps = list(zip(inputs["timesteps"], inputs["a"], inputs["b"], strict=True))
    times = [numpy.repeat(timestep, 2) for timestep, _, _ in steps]
    examples = {"sample": numpy.repeat(noise, 2, axis=0), "timesteps": times[0], "states": states}
    unet = engine.compile(Part("unet", Path(case["unet"]), examples))
    decode = engine.compile(Part("decode", Path(case["vae"]), {"latents": noise}))
    scale = json.loads((Path(case["vae"]) / "config.json").read_text())["scaling_factor"]

    def draw() -> Arrays:
        latents = noise
        for time_of_both, (_, a, b) in zip(times, steps, strict=True):
            unconditional, conditional = unet(numpy.repeat(latents, 2, axis=0), time_of_both, states)
            latents = a * latents + b * (unconditional + guidance * (conditional - unconditional))
        pixels = decode(latents / numpy.float32(scale))
        levels = numpy.rint(numpy.clip(pixels / 2 + 0.5, 0, 1) * 255)
        return {"latents": latents, "pixels": levels}

    return draw


class Worker:
    """One engine and the case it has loaded."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.job: Job | None = None

    def load(self, order: dict[str, Any]) -> dict[str, Any]:
        """Drops the last case and loads this one."""
        self.job = None
        self.job = job_of(self.engine, order["case"])
        return {}

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Computes the case so many times."""
        return {"seconds": self.job.run(order["times"])}

    def output(self, order: dict[str, Any]) -> dict[str, Any]:
        """Writes what the last run computed."""
        values = {name: numpy.ascontiguousarray(array, numpy.float32) for name, array in self.job.outputs().items()}
        save_file(values, order["path"])
        return {}

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carries out one order; a fault becomes an answer."""
        try:
            return {"load": self.load, "run": self.run, "output": self.output}[order["do"]](order)
        except Exception as fault:
            return {"error": f"{type(fault).__name__}: {fault}"}


def main() -> None:
    """Answers until the orders end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    args = parser.parse_args()
    # Libraries that print must not print into the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(engine_of(args.engine, args.threads, args.cache))
    for line in sys.stdin:
        print(json.dumps(worker.obey(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
