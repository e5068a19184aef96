"""How fast is PyTorch on this device, one way of it? Prints a JSON line for every case.

    python3 torch_peer.py eager|graph|compile|compile-graph DEVICE CASES.json FOLDER

diffusers' own U-Net in bf16, channels-last, from arrays in the machine's memory to arrays in its memory, as ours is
timed. `graph` replays the eager evaluation as one CUDA graph; `compile-graph` is `torch.compile` with
`mode="reduce-overhead"`.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks
import torch
from safetensors.torch import load_file

Forward = Callable[..., torch.Tensor]
NAMES = ("sample", "timesteps", "states")


def main() -> None:
    """Measures every case; a fault is a line too."""
    way, device, file = sys.argv[1], torch.device(sys.argv[2]), Path(sys.argv[3])
    loaded: dict[str, torch.nn.Module] = {}
    for case in json.loads(file.read_text()):
        line = {"way": way, "name": case["name"], "title": case["title"]}
        try:
            if case["unet"] not in loaded:
                loaded.clear()
                module = networks.Step(Path(case["unet"])).eval().requires_grad_(False)
                loaded[case["unet"]] = module.to(device, torch.bfloat16, memory_format=torch.channels_last)
            line |= measured(way, device, loaded[case["unet"]], case)
        except Exception as fault:
            line["fault"] = f"{type(fault).__name__}: {fault}".split("\n", 1)[0]
        print(json.dumps(line), flush=True)


def measured(way: str, device: torch.device, module: torch.nn.Module, case: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds of one case, and the device's memory."""
    inputs = load_file(case["inputs"])
    arrays = tuple(inputs[name] for name in NAMES)
    start = time.perf_counter()
    with torch.no_grad():
        forward = forward_of(way, device, module, arrays)
        run(forward, device, arrays)
        ready = time.perf_counter() - start
        once = min(run(forward, device, arrays) for _ in range(2))
        runs = [run(forward, device, arrays) for _ in range(max(1, min(30, round(2.0 / once))))]
    memory = torch.cuda.max_memory_reserved(device) / (1 << 20) if device.type == "cuda" else None
    return {"ms": 1000 * statistics.median(runs), "ready_after_seconds": ready, "mebibytes": memory}


def run(forward: Forward, device: torch.device, arrays: tuple[torch.Tensor, ...]) -> float:
    """Seconds from memory to memory."""
    start = time.perf_counter()
    forward(*on_device(device, arrays)).float().cpu()
    return time.perf_counter() - start


def on_device(device: torch.device, arrays: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """Inputs in bf16, but for the timesteps, which it has no place for."""
    sample, timesteps, states = (values.to(device) for values in arrays)
    sample = sample.to(torch.bfloat16, memory_format=torch.channels_last)
    return [sample, timesteps, states.to(torch.bfloat16)]


def forward_of(way: str, device: torch.device, module: torch.nn.Module, arrays: tuple[torch.Tensor, ...]) -> Forward:
    """The module on one way."""
    match way:
        case "eager":
            return module
        case "compile":
            return torch.compile(module, dynamic=False, fullgraph=True)
        case "compile-graph":
            return torch.compile(module, dynamic=False, fullgraph=True, mode="reduce-overhead")
        case "graph":
            return captured(module, on_device(device, arrays))
    raise ValueError(f"there is no way {way!r}")


def captured(module: torch.nn.Module, examples: list[torch.Tensor]) -> Forward:
    """One evaluation as a CUDA graph, whose inputs are copied into place."""
    warm = torch.cuda.Stream()
    warm.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(warm):
        for _ in range(3):
            module(*examples)
    torch.cuda.current_stream().wait_stream(warm)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = module(*examples)

    def forward(*inputs: torch.Tensor) -> torch.Tensor:
        for place, values in zip(examples, inputs, strict=True):
            place.copy_(values)
        graph.replay()
        return output

    return forward


if __name__ == "__main__":
    main()
