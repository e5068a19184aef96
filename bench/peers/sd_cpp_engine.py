"""How fast is stable-diffusion.cpp? One evaluation of the U-Net, as often as a picture has steps.

It takes no tensors: a prompt and a seed go in, pixels come out. So a picture is drawn whose steps all stand at one
noise level, where Euler's method moves nothing, but for the last one, whose prediction it adds GAIN times. The seconds
are those that it counts itself, of one step after another, without text encoder and decoder. A decoder that shows
three of the latents' channels as they are, to a level in 255, says whether it computed what torch does.
"""

import math
from pathlib import Path
from typing import Any

import numpy
import sd15
import stable_diffusion_cpp

TEXT_ENCODER = Path("text_encoder/model.safetensors")
# Before the names of a text encoder; transformers leaves it out since version 5.
PREFIX = "text_model."
DECODER = Path("decoder.safetensors")
SEED = 20261122
TIMESTEP = 200
GAIN = 4.0
PIXELS = 512
# Pixels of one latent.
DOWNSCALE = 8
# Of the decoder; every decoder of this layout bounds its latents.
BOUND = 3.0
SLOPE = 0.15


class StableDiffusionCpp:
    """stable-diffusion.cpp with so many threads, weights as the file has them."""

    def __init__(self, threads: int, cache: Path) -> None:
        self.threads = threads
        self.cache = cache / "stable-diffusion.cpp"

    def job(self, case: dict[str, Any]) -> "Picture":
        """The case of Stable Diffusion's shape; it knows no other networks."""
        unet = Path(case["unet"])
        prepare(self.cache, unet)
        model = stable_diffusion_cpp.StableDiffusion(
            model_path=str(self.cache),
            taesd_path=str(self.cache / DECODER),
            vae_decode_only=True,
            n_threads=self.threads,
            # torch's numbers for a seed.
            rng_type="cpu",
            sampler_rng_type="cpu",
            verbose=False,
        )
        return Picture(model, expectation(self.cache, unet))


class Picture:
    """Draws a picture of some steps, and keeps what it took."""

    def __init__(self, model: stable_diffusion_cpp.StableDiffusion, expected: numpy.ndarray) -> None:
        self.model = model
        self.expected = expected
        self.error = math.nan

    def run(self, times: int) -> list[float]:
        """Seconds of so many steps, behind one that finds its memory."""
        ends = []

        def told(step: int, _steps: int, mean: float) -> None:
            """Of all steps so far."""
            if step > 0:
                ends.append(mean * step)

        sigma = sigma_of(TIMESTEP)
        picture = self.model.generate_image(
            "",
            width=PIXELS,
            height=PIXELS,
            cfg_scale=1.0,
            sample_method="euler",
            sample_steps=times + 1,
            sigmas=",".join([f"{sigma:.9g}"] * (times + 1) + [f"{sigma + GAIN:.9g}"]),
            seed=SEED,
            progress_callback=told,
        )[0]
        self.error = difference(numpy.asarray(picture), self.expected)
        return numpy.diff(ends).tolist()

    def outputs(self) -> dict[str, numpy.ndarray]:
        """Not what it computed, but how far that is from torch's."""
        return {"error": numpy.array([self.error], numpy.float32)}


def sigma_of(timestep: int) -> float:
    """Noise over signal at a timestep of Stable Diffusion, whose betas are linear in their roots."""
    betas = numpy.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    signal = numpy.cumprod(1 - betas)[timestep]
    return float(numpy.sqrt((1 - signal) / signal))


def shown(latents: numpy.ndarray) -> numpy.ndarray:
    """What the decoder makes of latents, in [0, 1]."""
    return 0.5 + SLOPE * BOUND * numpy.tanh(latents / BOUND)


def difference(pixels: numpy.ndarray, expected: numpy.ndarray) -> float:
    """The largest difference of what is shown over its largest value."""
    # The middle of every latent's pixels; a picture may have an alpha channel.
    middle = slice(DOWNSCALE // 2, None, DOWNSCALE)
    levels = pixels[middle, middle, :3].astype(numpy.float64) / 255
    centered = shown(expected) - 0.5
    return float(numpy.abs(levels - 0.5 - centered).max() / numpy.abs(centered).max())


def prepare(cache: Path, unet: Path) -> None:
    """Makes a folder in diffusers' layout of the U-Net, a text encoder of random numbers and the decoder."""
    import torch
    from safetensors.torch import save_file
    from transformers import CLIPTextConfig, CLIPTextModel

    if (cache / DECODER).is_file():
        return
    (cache / TEXT_ENCODER).parent.mkdir(parents=True, exist_ok=True)
    if not (cache / "unet").exists():
        (cache / "unet").symlink_to(unet, target_is_directory=True)
    torch.manual_seed(SEED)
    encoder = CLIPTextModel(CLIPTextConfig(**sd15.TEXT)).half()
    save_file({PREFIX + name.removeprefix(PREFIX): v for name, v in encoder.state_dict().items()}, cache / TEXT_ENCODER)
    save_file(decoder(), cache / DECODER)


def decoder() -> dict[str, Any]:
    """A tiny decoder in the layout of TAESD whose every layer passes on what it gets."""
    import torch

    width = 64
    pass_on = torch.zeros(width, width, 3, 3)
    pass_on[range(width), range(width), 1, 1] = 1
    first, last = torch.zeros(width, 4, 3, 3), torch.zeros(3, width, 3, 3)
    for channel in range(3):
        # What is negative goes a way of its own, past the rectifiers.
        first[channel, channel, 1, 1], first[channel + 3, channel, 1, 1] = 1, -1
        last[channel, channel, 1, 1], last[channel, channel + 3, 1, 1] = SLOPE, -SLOPE
    layers = {"0.weight": first, "0.bias": torch.zeros(width), "18.weight": last, "18.bias": torch.full((3,), 0.5)}
    layers |= {f"{index}.weight": pass_on for index in (6, 11, 16)}
    for block in (2, 3, 4, 7, 8, 9, 12, 13, 14, 17):
        for conv in (0, 2, 4):
            layers[f"{block}.conv.{conv}.weight"] = torch.zeros(width, width, 3, 3)
            layers[f"{block}.conv.{conv}.bias"] = torch.zeros(width)
    return {f"decoder.layers.{name}": values.half().clone() for name, values in layers.items()}


def expectation(cache: Path, unet: Path) -> numpy.ndarray:
    """What torch computes in f32, [height, width, 3], made if it is not there."""
    file = cache / "expected.npy"
    if not file.is_file():
        import networks
        import torch
        from safetensors.torch import load_file
        from transformers import CLIPTextConfig, CLIPTextModel

        encoder = CLIPTextModel(CLIPTextConfig(**sd15.TEXT)).eval()
        weights = load_file(cache / TEXT_ENCODER)
        own = {name: weights[PREFIX + name.removeprefix(PREFIX)] for name in encoder.state_dict()}
        encoder.load_state_dict(own)
        ids = torch.tensor([[49406] + [49407] * 76])
        side, sigma = PIXELS // DOWNSCALE, sigma_of(TIMESTEP)
        noise = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(SEED))
        with torch.inference_mode():
            states = encoder(ids).last_hidden_state
            latents = sigma * noise
            scaled = latents / math.sqrt(sigma**2 + 1)
            predicted = networks.Step(unet).eval()(scaled, torch.tensor([float(TIMESTEP)]), states)
        numpy.save(file, (latents + GAIN * predicted)[0, :3].permute(1, 2, 0).numpy())
    return numpy.load(file)
