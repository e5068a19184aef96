"""How fast is OpenVINO? Converted from diffusers, compiled for fixed shapes and for latency, in f32 or bf16."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy
import openvino
from parts import Part


class OpenVino:
    """OpenVINO's CPU plug-in with so many threads at one precision, `f32` or `bf16`."""

    def __init__(self, threads: int, cache: Path, precision: str) -> None:
        self.cache = cache / "openvino"
        self.core = openvino.Core()
        self.properties = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
        }

    def compile(self, part: Part) -> Callable[..., numpy.ndarray]:
        """A function from arrays to the network's output."""
        compiled = self.core.compile_model(convert(part, self.cache), "CPU", self.properties)
        request = compiled.create_infer_request()

        def forward(*arrays: numpy.ndarray) -> numpy.ndarray:
            # Neither side is copied: the output is valid until the next call.
            return request.infer(list(arrays), share_inputs=True, share_outputs=True)[0]

        return forward


def convert(part: Part, cache: Path) -> Path:
    """OpenVINO's own file of a part at its fixed shapes, made if it is not there."""
    folder = cache / part.key("openvino")
    file = folder / "model.xml"
    if not file.is_file():
        import networks
        import torch

        with torch.no_grad():
            model = openvino.convert_model(networks.load(part), example_input=networks.tensors(part))
        shapes = [list(values.shape) for values in part.examples.values()]
        model.reshape(dict(zip(model.inputs, shapes, strict=True)))
        # Both precisions may be at it at the same time.
        fresh = folder / f"unfinished-{os.getpid()}.xml"
        openvino.save_model(model, fresh, compress_to_fp16=False)
        fresh.with_suffix(".bin").rename(file.with_suffix(".bin"))
        fresh.rename(file)
    return file
