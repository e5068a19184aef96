"""Does the device compute what diffusers computed on a processor in f32? The goldens of tests/golden, on the way of
the engine's own tests: every U-Net with a timestep for each row, every decoder, and whole guided trajectories."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
from safetensors.numpy import load_file, save_file
from setting import REPOSITORY, Setting

GOLDENS = ("sd1", "sd2", "bk-base", "bk-small", "bk-tiny")
SIZES = ("square", "wide", "odd")
TIMESTEPS = (1.0, 421.0, 999.0)
SAMPLERS = ("ddim", "dpmpp_2m", "euler_ancestral")
STEPS = 8
# Largest difference over largest value; of trajectories, relative L2.
TOLERANCES = {"f32": 1e-3, "bf16": 3e-2}
# Guidance of 7.5 multiplies what the two halves differ by, and eight steps add up.
TRAJECTORY_TOLERANCES = {"f32": 1e-3, "bf16": 1e-1}


def networks(setting: Setting, dtype: str) -> Iterator[dict[str, Any]]:
    """U-Nets and decoders."""
    with setting.worker(dtype) as worker:
        for model in GOLDENS:
            folder = REPOSITORY / "tests/golden" / model
            tensors = load_file(folder / "golden.safetensors")
            for size in SIZES:
                inputs = {
                    "sample": tensors[f"unet.{size}.sample"],
                    "timesteps": numpy.array(TIMESTEPS, numpy.float32),
                    "states": tensors["unet.states"],
                }
                case = {"kind": "unet", "unet": str(folder / "unet")}
                found = computed(worker, setting, case, inputs)
                yield told(f"U-Net {model} {size}", dtype, worst(found, tensors[f"unet.{size}.output"]), TOLERANCES)
            case = {"kind": "decode", "vae": str(folder / "vae")}
            found = computed(worker, setting, case, {"latents": tensors["vae.input"]})
            yield told(f"decoder {model}", dtype, worst(found, tensors["vae.output"]), TOLERANCES)


def trajectories(setting: Setting, dtype: str) -> Iterator[dict[str, Any]]:
    """Whole guided pictures through the program itself."""
    for model in GOLDENS:
        folder = REPOSITORY / "tests/golden" / model
        tensors = load_file(folder / "golden.safetensors")
        for sampler in SAMPLERS:
            expected = tensors[f"trajectory.{sampler}.{STEPS}.latents"]
            found = drawn(setting, folder, dtype, sampler, tensors["trajectory.latents"])
            apart = numpy.linalg.norm((found - expected).ravel()) / numpy.linalg.norm(expected.ravel())
            yield told(f"trajectory {model} {sampler} {STEPS}", dtype, float(apart), TRAJECTORY_TOLERANCES)


def drawn(setting: Setting, folder: Path, dtype: str, sampler: str, noise: numpy.ndarray) -> numpy.ndarray:
    """The latents at the end of a picture."""
    facts = json.loads((folder / "golden.json").read_text())
    models, start, end = (setting.work / name for name in ("golden.toml", "noise.safetensors", "latents.safetensors"))
    side = 8 * noise.shape[-1]
    models.write_text(
        f'[[family]]\nid = "golden"\npath = "{folder}"\nsizes = ["{side}x{side}"]\n\n'
        f'[[family.model]]\nid = "{folder.name}"\nunet = "unet"\ndtype = "{dtype}"\n'
    )
    save_file({"latents": numpy.ascontiguousarray(noise)}, start)
    flags = {
        "--config": models,
        "--model": folder.name,
        "--device": setting.device,
        "--steps": STEPS,
        "--sampler": sampler,
        "--guidance": facts["guidance"],
        "--negative-prompt": facts["negative_prompt"],
        "--seed": facts["seed"],
        "--latents": start,
        "--output-latents": end,
        "--output": setting.work / "golden.png",
    }
    words = [str(word) for flag in flags.items() for word in flag]
    command = [setting.program("goldilocks"), "generate", facts["prompt"], *words]
    answer = subprocess.run(command, env=setting.environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise RuntimeError(answer.stderr.strip())
    return load_file(end)["latents"]


def computed(worker: Any, setting: Setting, case: dict[str, Any], inputs: dict[str, numpy.ndarray]) -> numpy.ndarray:
    """What the worker makes of the inputs."""
    given, output = setting.work / "given.safetensors", setting.work / "output.safetensors"
    save_file({name: numpy.ascontiguousarray(values) for name, values in inputs.items()}, given)
    worker.ask("load", case=case | {"inputs": str(given)})
    worker.ask("run", times=1)
    worker.ask("output", path=str(output))
    return load_file(output)["output"]


def worst(found: numpy.ndarray, expected: numpy.ndarray) -> float:
    """The largest difference over the largest value."""
    expected = expected.ravel()
    return float(numpy.abs(found.ravel() - expected).max() / numpy.abs(expected).max())


def told(name: str, dtype: str, error: float, tolerances: dict[str, float]) -> dict[str, Any]:
    """A row of the report."""
    print(f"{name} {dtype}: {error:.1e}", flush=True)
    return {"name": name, "dtype": dtype, "error": error, "tolerance": tolerances[dtype]}
