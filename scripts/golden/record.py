"""What does diffusers compute from a model folder? Its networks' outputs and whole guided trajectories.

Everything is computed in f32, on one thread, from the folder's f16 weights upcast to f32. The tensors and
`golden.json` are described in README.md beside this file.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import numpy
import torch
import transformers
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    LCMScheduler,
    StableDiffusionPipeline,
)
from diffusers.schedulers import scheduling_ddpm, scheduling_euler_ancestral_discrete, scheduling_lcm
from double import Euler, EulerAncestral
from noise import gaussian
from safetensors.torch import load_file, save_file
from torch import Tensor

# The samplers by goldilocks' name; all read the folder's own scheduler_config.json.
SAMPLERS = {
    "ddim": DDIMScheduler,
    "dpmpp_2m": DPMSolverMultistepScheduler,
    "euler": Euler,
    "euler_ancestral": EulerAncestral,
    "ddpm": DDPMScheduler,
    "lcm": LCMScheduler,
}
STOCHASTIC = [scheduling_ddpm, scheduling_euler_ancestral_discrete, scheduling_lcm]
# Beyond so many steps a network that is no consistency model, as none here is, amplifies rounding.
MOST_STEPS = {"lcm": 8}
# Keys of an effective scheduler configuration that say what was computed.
TELLING = [
    "algorithm_type",
    "beta_end",
    "beta_schedule",
    "beta_start",
    "clip_sample",
    "euler_at_final",
    "final_sigmas_type",
    "interpolation_type",
    "lower_order_final",
    "num_train_timesteps",
    "original_inference_steps",
    "prediction_type",
    "rescale_betas_zero_snr",
    "set_alpha_to_one",
    "solver_order",
    "solver_type",
    "steps_offset",
    "timestep_scaling",
    "timestep_spacing",
    "variance_type",
]
# How far f32 may be from f64, relative L2: a trajectory that amplifies rounding more tests nothing.
ROUNDING = 2e-5
# Prompts whose token ids are recorded: case, digits, punctuation, accents, scripts, spaces, length.
PROMPTS = [
    "a red cat on grass",
    "",
    "A Photo of THREE Birds",
    "2 cats, 15 dogs & one (large) house; 100%?",
    "don't stop: it's the cat's mat, we'll see - they've gone",
    "caf\u00e9 na\u00efve \u00dcber stra\u00dfe \u6771\u4eac \U0001f431 \u00bd\u00b2",
    "e\u0301 decomposed, and \u0130stanbul",
    "  spaces\tand\nnew   lines  ",
    "hello world!",
    "wow!!! a cat! ...",
    "a photo of a cat on the mat near the river, " * 12,
]


@dataclass(frozen=True)
class Plan:
    """What to record of a folder."""

    seed: int
    guidance: float
    prompt: str = PROMPTS[0]
    negative_prompt: str = ""
    steps: list[int] = field(default_factory=lambda: [1, 4, 8, 20])
    # Step count whose pixels are recorded for every sampler.
    pixels_at: int = 8
    # Step count whose latents are recorded after every step.
    path_at: int = 4
    other_sizes: dict[str, tuple[int, int]] = field(default_factory=dict)


def load(folder: Path, unet: str = "unet") -> StableDiffusionPipeline:
    """The folder as diffusers' pipeline in f32, with the U-Net in the subfolder `unet`."""
    parts = {}
    if unet != "unet":
        parts["unet"] = diffusers.UNet2DConditionModel.from_pretrained(
            folder, subfolder=unet, torch_dtype=torch.float32
        )
    pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, safety_checker=None, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tokenize(pipeline: StableDiffusionPipeline, prompts: list[str]) -> Tensor:
    """Token ids as the pipeline makes them: padded and cut to the context, [prompts, context]."""
    tokenizer = pipeline.tokenizer
    return tokenizer(
        prompts,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids


@torch.no_grad()
def record_networks(pipeline: StableDiffusionPipeline, plan: Plan) -> dict[str, Tensor]:
    """Inputs and outputs of the text encoder, the U-Net and the decoder."""
    generator = torch.Generator().manual_seed(1000 + plan.seed)
    ids = tokenize(pipeline, [plan.prompt, plan.negative_prompt])
    states = pipeline.text_encoder(ids).last_hidden_state
    tensors = {"text.ids": ids, "text.states": states}
    side = pipeline.unet.config.sample_size
    rows = {"square": (side, side)} | plan.other_sizes
    for name, (height, width) in rows.items():
        sample = torch.randn(3, 4, height, width, generator=generator)
        timesteps = torch.tensor([1, 421, 999])
        context = states[[0, 1, 0]]
        output = pipeline.unet(sample, timesteps, encoder_hidden_states=context).sample
        tensors |= {f"unet.{name}.sample": sample, f"unet.{name}.output": output}
    tensors |= {"unet.timesteps": timesteps, "unet.states": context}
    # The decoder's input: latents of unit variance divided by the scaling factor.
    latents = torch.randn(1, 4, side, side, generator=generator) / pipeline.vae.config.scaling_factor
    pixels = pipeline.vae.decode(latents).sample
    return tensors | {"vae.input": latents, "vae.output": pixels}


@torch.no_grad()
def record_trajectories(
    pipeline: StableDiffusionPipeline,
    plan: Plan,
    dtype: torch.dtype = torch.float32,
    samplers: Sequence[str] = tuple(SAMPLERS),
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Whole guided trajectories of the samplers, and which scheduler and timesteps made each."""
    side = pipeline.unet.config.sample_size
    generator = torch.Generator().manual_seed(2000 + plan.seed)
    noise = torch.randn(1, 4, side, side, generator=generator).to(dtype)
    tensors, facts = {"trajectory.latents": noise}, {}
    stored = pipeline.scheduler.config
    for sampler in samplers:
        kind = SAMPLERS[sampler]
        pipeline.scheduler = kind.from_config(stored)
        effective = {key: pipeline.scheduler.config[key] for key in TELLING if key in pipeline.scheduler.config}
        facts[sampler] = {"class": kind.__name__, "config": effective, "timesteps": {}}
        for steps in [steps for steps in plan.steps if steps <= MOST_STEPS.get(sampler, steps)]:
            path = run(pipeline, plan, noise, steps)
            facts[sampler]["timesteps"][str(steps)] = pipeline.scheduler.timesteps.tolist()
            name = f"trajectory.{sampler}.{steps}"
            tensors[f"{name}.latents"] = path[-1]
            if steps == plan.path_at:
                tensors[f"{name}.path"] = torch.stack(path)
            if steps == plan.pixels_at:
                tensors[f"{name}.pixels"] = pixels_of(pipeline, path[-1])
    return tensors, facts


def run(pipeline: StableDiffusionPipeline, plan: Plan, noise: Tensor, steps: int) -> list[Tensor]:
    """The latents after every step, as the network would see them."""
    path: list[Tensor] = []

    def draw(shape: Sequence[int], *_: Any, dtype: torch.dtype, **__: Any) -> Tensor:
        # What is drawn within step k, counted from 1, is draw k of the seed.
        numbers = gaussian(plan.seed, len(path) + 1, math.prod(shape))
        return torch.tensor(numbers, dtype=dtype).reshape(shape)

    for module in STOCHASTIC:
        module.randn_tensor = draw

    def keep(_pipeline: Any, _step: int, timestep: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
        # The Euler schedulers divide what the network sees; the last level is left as it is.
        path.append(pipeline.scheduler.scale_model_input(state["latents"], timestep).clone())
        return {}

    pipeline(
        plan.prompt,
        negative_prompt=plan.negative_prompt,
        num_inference_steps=steps,
        guidance_scale=plan.guidance,
        height=noise.shape[2] * pipeline.vae_scale_factor,
        width=noise.shape[3] * pipeline.vae_scale_factor,
        latents=noise.clone(),
        output_type="latent",
        callback_on_step_end=keep,
    )
    return path


def pixels_of(pipeline: StableDiffusionPipeline, latents: Tensor) -> Tensor:
    """The decoded picture as diffusers stores it: u8, height x width x 3."""
    decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    picture = pipeline.image_processor.postprocess(decoded, output_type="pil")[0]
    return torch.from_numpy(numpy.array(picture))


def record(folder: Path, plan: Plan) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Every tensor and the description of a folder's goldens."""
    pipeline = load(folder)
    tensors = record_networks(pipeline, plan)
    trajectories, samplers = record_trajectories(pipeline, plan)
    tensors |= trajectories
    description = asdict(plan) | {
        "made_by": "scripts/golden/models.py",
        "versions": versions(),
        "samplers": samplers,
        "token_ids": dict(zip(PROMPTS, tokenize(pipeline, PROMPTS).tolist())),
        "tensors": {name: list(tensor.shape) for name, tensor in sorted(tensors.items())},
    }
    return {name: tensor.contiguous() for name, tensor in tensors.items()}, description


def versions() -> dict[str, str]:
    """The libraries that computed the numbers."""
    libraries = (diffusers, transformers, torch, numpy)
    return {library.__name__: library.__version__ for library in libraries}


def tame(folder: Path, plan: Plan, tensors: dict[str, Tensor]) -> list[str]:
    """What makes a golden useless: non-finite numbers, amplified rounding, pixels without contrast."""
    pipeline = load(folder)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.double()
    exact = record_trajectories(pipeline, plan, torch.float64)[0]
    faults = []
    for name, tensor in tensors.items():
        values = tensor.double()
        if not values.isfinite().all():
            faults.append(f"{folder.name}: {name} is not finite")
        elif name.endswith(".pixels") and values.std() < 10:
            faults.append(f"{folder.name}: {name} is flat (deviation {values.std():.1f})")
        elif name in exact and tensor.is_floating_point():
            apart = (values - exact[name]).norm() / exact[name].norm()
            if apart > ROUNDING:
                faults.append(f"{folder.name}: {name} is {apart:.1e} from f64, want <= {ROUNDING}")
    return faults


def write_golden(folder: Path, plan: Plan) -> None:
    """Writes `golden.safetensors` and `golden.json`; raises if the numbers are not tame."""
    tensors, description = record(folder, plan)
    faults = tame(folder, plan, tensors)
    if faults:
        raise ValueError("; ".join(faults))
    write_files(folder, tensors, description)


def check_golden(folder: Path) -> list[str]:
    """Recomputes a folder's goldens and says where the files on disk differ."""
    stored = read_description(folder)
    plan = Plan(**{key: stored[key] for key in Plan.__dataclass_fields__})
    tensors, description = record(folder, plan)
    return tame(folder, plan, tensors) + differences(folder, tensors, description)


def write_files(folder: Path, tensors: dict[str, Tensor], description: dict[str, Any]) -> None:
    """Writes the tensors and their description, one line per key: readable in a diff."""
    save_file(tensors, folder / "golden.safetensors")
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(description.items())]
    (folder / "golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_description(folder: Path) -> dict[str, Any]:
    """The stored `golden.json`."""
    return json.loads((folder / "golden.json").read_text(encoding="utf-8"))


def differences(folder: Path, tensors: dict[str, Tensor], description: dict[str, Any]) -> list[str]:
    """Where the files on disk differ from what was computed again; library versions may."""
    stored, faults = read_description(folder), []
    for key, value in json.loads(json.dumps(description)).items():
        if key != "versions" and value != stored.get(key):
            faults.append(f"{folder.name}: golden.json disagrees on {key}")
    on_disk = load_file(folder / "golden.safetensors")
    for name, tensor in tensors.items():
        if name not in on_disk or on_disk[name].shape != tensor.shape:
            faults.append(f"{folder.name}: {name} is missing or of another shape")
            continue
        apart = (tensor.double() - on_disk[name].double()).abs().max()
        limit = 1.0 if tensor.dtype == torch.uint8 else 1e-5 * tensor.double().abs().max()
        if apart > limit:
            faults.append(f"{folder.name}: {name} is {apart:.2e} apart, want <= {limit:.2e}")
    return faults
