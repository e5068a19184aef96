"""How fast is ONNX Runtime? Exported from diffusers at fixed shapes, every optimization on."""

from collections.abc import Callable
from pathlib import Path

import numpy
import onnxruntime
from parts import Part

OUTPUT = "output"


class OnnxRuntime:
    """ONNX Runtime's CPU provider with so many threads inside an operator."""

    def __init__(self, threads: int, cache: Path) -> None:
        self.cache = cache / "onnx"
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        self.options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL

    def compile(self, part: Part) -> Callable[..., numpy.ndarray]:
        """A function from arrays to the network's output."""
        file = export(part, self.cache)
        session = onnxruntime.InferenceSession(file, self.options, providers=["CPUExecutionProvider"])
        names = [entry.name for entry in session.get_inputs()]

        def forward(*arrays: numpy.ndarray) -> numpy.ndarray:
            return session.run([OUTPUT], dict(zip(names, arrays, strict=True)))[0]

        return forward


def export(part: Part, cache: Path) -> Path:
    """The ONNX file of a part, made if it is not there."""
    folder = cache / part.key("onnxscript")
    file = folder / "model.onnx"
    if not file.is_file():
        import networks
        import torch

        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / "unfinished.onnx"
        names = {"input_names": list(part.examples), "output_names": [OUTPUT]}
        program = torch.onnx.export(networks.load(part), networks.tensors(part), dynamo=True, verbose=False, **names)
        program.save(fresh, external_data=part.is_large)
        fresh.rename(file)
    return file
