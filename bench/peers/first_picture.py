"""How does a peer draw one picture, from nothing? The shortest program for each, as its users would write it.

    python first_picture.py torch|onnxruntime|openvino --family FOLDER --unet NAME --inputs FILE --output FILE ..

ONNX Runtime and OpenVINO read networks that were exported beforehand and run without torch and diffusers.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy
from PIL import Image
from safetensors.numpy import load_file

Network = Callable[..., numpy.ndarray]


def main() -> None:
    """Draws and writes the picture as a whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=("torch", "onnxruntime", "openvino"))
    parser.add_argument("--family", type=Path, required=True)
    parser.add_argument("--unet", required=True, help="subfolder of the U-Net")
    parser.add_argument("--inputs", type=Path, required=True, help="initial noise and the steps' coefficients")
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--guidance", type=float, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--text-file", type=Path)
    parser.add_argument("--unet-file", type=Path)
    parser.add_argument("--decode-file", type=Path)
    parser.add_argument("--model-cache", type=Path, help="OpenVINO's own cache of compiled models")
    args = parser.parse_args()
    inputs = load_file(args.inputs)
    picture = of_torch(args, inputs) if args.engine == "torch" else of_exported(args, inputs)
    fresh = args.output.with_suffix(".part")
    picture.save(fresh, format="png")
    fresh.replace(args.output)


def of_torch(args: argparse.Namespace, inputs: dict[str, numpy.ndarray]) -> Image.Image:
    """diffusers' own pipeline."""
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

    torch.set_num_threads(args.threads)
    single = {"torch_dtype": torch.float32}
    unet = UNet2DConditionModel.from_pretrained(args.family, subfolder=args.unet, **single)
    pipeline = StableDiffusionPipeline.from_pretrained(args.family, unet=unet, safety_checker=None, **single)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.from_numpy(inputs["latents"])
    steps = len(inputs["timesteps"])
    drawn = pipeline(args.prompt, num_inference_steps=steps, guidance_scale=args.guidance, latents=noise)
    return drawn.images[0]


def of_exported(args: argparse.Namespace, inputs: dict[str, numpy.ndarray]) -> Image.Image:
    """Three exported networks and the loop around them, guided DDIM steps x' = a x + b v."""
    from tokenizers import Tokenizer

    load = openvino_loader(args) if args.engine == "openvino" else onnx_loader(args)
    tokenizer = Tokenizer.from_file(str(args.family / "tokenizer/tokenizer.json"))
    ids = [encoded.ids for encoded in tokenizer.encode_batch(["", args.prompt])]
    states = load(args.text_file)(numpy.array(ids, numpy.int64)).copy()
    unet = load(args.unet_file)
    latents, guidance = inputs["latents"], numpy.float32(args.guidance)
    for timestep, a, b in zip(inputs["timesteps"], inputs["a"], inputs["b"], strict=True):
        both = unet(numpy.repeat(latents, 2, axis=0), numpy.repeat(timestep, 2), states)
        unconditional, conditional = both[:1], both[1:]
        latents = a * latents + b * (unconditional + guidance * (conditional - unconditional))
    scale = json.loads((args.family / "vae/config.json").read_text())["scaling_factor"]
    pixels = load(args.decode_file)(latents / numpy.float32(scale))[0]
    levels = numpy.rint(numpy.clip(pixels / 2 + 0.5, 0, 1) * 255)
    return Image.fromarray(levels.astype(numpy.uint8).transpose(1, 2, 0))


def onnx_loader(args: argparse.Namespace) -> Callable[[Path], Network]:
    """Loads with ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads

    def load(file: Path) -> Network:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        names = [entry.name for entry in session.get_inputs()]
        return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))[0]

    return load


def openvino_loader(args: argparse.Namespace) -> Callable[[Path], Network]:
    """Loads with OpenVINO in f32, from its own cache if it has one."""
    import openvino

    core = openvino.Core()
    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": args.threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    if args.model_cache:
        properties["CACHE_DIR"] = str(args.model_cache)

    def load(file: Path) -> Network:
        request = core.compile_model(file, "CPU", properties).create_infer_request()
        return lambda *arrays: request.infer(list(arrays), share_inputs=True, share_outputs=True)[0]

    return load


if __name__ == "__main__":
    main()
