"""What is measured? The rows of the table, with their weights and their inputs.

Weights are the default family's, read from models.toml, and a network of the shape of Stable Diffusion 1.5 with
random numbers. Inputs are random, from a fixed seed, except for the text states of the whole picture.
"""

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy
import sd15
from safetensors.numpy import save_file

BATCHES = (1, 2, 8)
TOKENS = 32
STEPS = 20
GUIDANCE = 3.0
PROMPT = "three pineapples on a beach"
SEED = 20261122


@dataclass(frozen=True)
class Picture:
    """How a whole picture is drawn by an engine that knows the way."""

    models: str
    model: str
    prompt: str
    steps: int
    guidance: float


@dataclass(frozen=True)
class Case:
    """One row of the table; paths are absolute, inputs a safetensors file."""

    name: str
    title: str
    kind: str
    inputs: str
    unet: str | None = None
    vae: str | None = None
    picture: Picture | None = None
    # Too large for all engines to hold at once: they are measured two by two.
    large: bool = False

    def to_json(self) -> dict[str, Any]:
        """The case as the workers read it."""
        return asdict(self)


@dataclass(frozen=True)
class Family:
    """The default family of models.toml."""

    models: Path
    folder: Path
    unets: dict[str, Path]

    @staticmethod
    def read(models: Path) -> "Family":
        """The first family of the file, its U-Nets by model name, smallest first; students cost what their teachers do."""
        family = tomllib.loads(models.read_text())["family"][0]
        folder = models.parent / family["path"]
        measured = (model for model in family["model"] if not model.get("distilled"))
        unets = {model["id"]: folder / model["unet"] for model in measured}
        return Family(models, folder, unets)


def all_cases(models: Path, cache: Path, with_sd15: bool) -> list[Case]:
    """Every row, with its inputs written below `cache`."""
    family = Family.read(models)
    folder = cache / "inputs"
    folder.mkdir(parents=True, exist_ok=True)
    cases = [
        unet_case(name, f"U-Net {name}, batch {rows}", unet, folder, (rows, 4, 16, 16), (TOKENS, 128))
        for name, unet in family.unets.items()
        for rows in BATCHES
    ]
    cases += [decode_case(family, folder), picture_case(family, folder)]
    if with_sd15:
        unet = sd15.folder(cache)
        title = "U-Net of Stable Diffusion 1.5's shape, 64x64 latents"
        cases.append(unet_case("sd15", title, unet, folder, (1, 4, 64, 64), (77, 768), large=True))
    return cases


def unet_case(
    name: str, title: str, unet: Path, folder: Path, shape: tuple[int, ...], text: tuple[int, int], large: bool = False
) -> Case:
    """One evaluation of a U-Net, every row at its own timestep."""
    random = numpy.random.default_rng(SEED)
    rows = shape[0]
    inputs = {
        "sample": random.standard_normal(shape, numpy.float32),
        "timesteps": numpy.linspace(981, 21, rows, dtype=numpy.float32).round(),
        "states": random.standard_normal((rows, *text), numpy.float32),
    }
    name = f"unet-{name}-b{rows}"
    return Case(name, title, "unet", written(folder, name, inputs), unet=str(unet), large=large)


def decode_case(family: Family, folder: Path) -> Case:
    """Latents to pixels."""
    random = numpy.random.default_rng(SEED)
    inputs = {"latents": random.standard_normal((1, 4, 16, 16), numpy.float32)}
    path = written(folder, "decode", inputs)
    return Case("decode", "VAE decode to 128x128, batch 1", "decode", path, vae=str(family.folder / "vae"))


def picture_case(family: Family, folder: Path) -> Case:
    """Noise and text states to pixels with the family's largest model."""
    model, unet = list(family.unets.items())[-1]
    random = numpy.random.default_rng(SEED)
    inputs = {
        "noise": random.standard_normal((1, 4, 16, 16), numpy.float32),
        "states": text_states(family.folder, ["", PROMPT]),
        **ddim(family.folder, STEPS),
    }
    return Case(
        "picture",
        f"whole picture, {model}, {STEPS} DDIM steps, guidance {GUIDANCE:g}, 128x128",
        "picture",
        written(folder, "picture", inputs),
        unet=str(unet),
        vae=str(family.folder / "vae"),
        picture=Picture(str(family.models), model, PROMPT, STEPS, GUIDANCE),
    )


def text_states(folder: Path, prompts: list[str]) -> numpy.ndarray:
    """What the U-Net is told of each prompt, [prompts, tokens, width]."""
    import networks
    import torch

    ids, _ = text_ids(folder, prompts)
    encoder = networks.Text(folder / "text_encoder").eval()
    with torch.inference_mode():
        return encoder(torch.from_numpy(ids)).numpy()


def text_ids(folder: Path, prompts: list[str]) -> tuple[numpy.ndarray, int]:
    """The token ids of each prompt, padded to the context, and the width of the states that come of them."""
    from transformers import AutoTokenizer, CLIPTextConfig

    config = CLIPTextConfig.from_pretrained(folder / "text_encoder")
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    options = {"padding": "max_length", "truncation": True, "max_length": config.max_position_embeddings}
    return tokenizer(prompts, return_tensors="np", **options).input_ids.astype(numpy.int64), config.hidden_size


def ddim(folder: Path, steps: int) -> dict[str, numpy.ndarray]:
    """diffusers' DDIM without noise as x' = a x + b v, v the network's prediction of the velocity."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
    assert scheduler.config.prediction_type == "v_prediction", "written for velocities"
    scheduler.set_timesteps(steps)
    stride = scheduler.config.num_train_timesteps // steps
    at = scheduler.timesteps.numpy()
    signal = scheduler.alphas_cumprod.double().numpy()
    last = float(scheduler.final_alpha_cumprod)
    here = signal[at]
    there = numpy.array([signal[t - stride] if t >= stride else last for t in at])
    (alpha, sigma), (alpha_to, sigma_to) = ((numpy.sqrt(s), numpy.sqrt(1 - s)) for s in (here, there))
    coefficients = {"a": alpha_to * alpha + sigma_to * sigma, "b": sigma_to * alpha - alpha_to * sigma}
    return {name: values.astype(numpy.float32) for name, values in {"timesteps": at, **coefficients}.items()}


def written(folder: Path, name: str, inputs: dict[str, numpy.ndarray]) -> str:
    """Writes the inputs of a case and returns the file's path."""
    path = folder / f"{name}.safetensors"
    save_file({key: numpy.ascontiguousarray(values) for key, values in inputs.items()}, path)
    return str(path)
