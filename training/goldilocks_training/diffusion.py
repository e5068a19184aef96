"""Which noise schedule do the U-Nets learn, and how are pictures drawn with it in Python?

v-prediction on Stable Diffusion's scaled-linear betas, rescaled to zero terminal signal-to-noise, so that sampling may start from
pure noise; trailing spacing. The Rust engine has its own samplers: this one serves checks and contact sheets.
"""

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

STEPS = 1000


def noise_schedule(prediction: str = "v_prediction") -> DDIMScheduler:
    """Returns the schedule; who predicts the noise learns nothing from pure noise, so that one keeps some signal."""
    return DDIMScheduler(
        num_train_timesteps=STEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        rescale_betas_zero_snr=prediction == "v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )


@torch.no_grad()
def sample(
    unet: UNet2DConditionModel,
    text: Tensor,
    empty: Tensor,
    steps: int,
    guidance: float,
    seed: int = 0,
    prediction: str = "v_prediction",
) -> Tensor:
    """Returns latents drawn by DDIM; `text` holds one state per picture, `empty` that of the empty caption."""
    schedule = noise_schedule(prediction)
    schedule.set_timesteps(steps)
    side = unet.config.sample_size
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(len(text), unet.config.in_channels, side, side, generator=generator).to(text.device)
    states = torch.cat([text, empty.expand_as(text)])
    for t in schedule.timesteps:
        told, free = unet(torch.cat([latents, latents]), t, states).sample.chunk(2)
        latents = schedule.step(free + guidance * (told - free), t, latents).prev_sample
    return latents


@torch.no_grad()
def text_states(encoder: CLIPTextModel, ids: Tensor) -> Tensor:
    return encoder(ids).last_hidden_state


@torch.no_grad()
def decode(model: AutoencoderKL, latents: Tensor, batch: int = 16) -> Tensor:
    return torch.cat([model.decode(part).sample for part in latents.split(batch)]).clamp(-1, 1)
