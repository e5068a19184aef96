"""Where do the tiny models' weights come from? Seeded noise of natural size, and one fitted layer.

A random U-Net predicts nothing, and guided sampling with it leaves every range or amplifies rounding. So the
latents are made easy to see in the U-Net's first convolution, its last group norm is made nearly linear, and
its last convolution is fitted by ridge regression to predict the noise (or velocity) of random smooth latents:
the rest stays random, and trajectories stay tame.
"""

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import interpolate, unfold
from transformers import CLIPTextModel

RIDGE = 1e-4
FIT_ROWS = 192
# Offset of opposite sign for the two channels of each group of the last norm: it dominates the group's
# deviation, so that the norm does not hide how large the latents have grown.
LAST_OFFSET = 3.0
# How much of what a residual or attention block of the U-Net computes is added to its input.
BLOCK_GAIN = 0.6
# Deviation added to the central taps of the U-Net's first convolution.
CENTRE_GAIN = 2.0


def randomize(module: Module, generator: torch.Generator) -> None:
    """Fills every parameter: variance one over the fan-in, norms near the identity; rounded to f16."""
    for name, parameter in sorted(module.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim == 1 and name.endswith("weight"):
            value = 1 + 0.2 * noise
        elif parameter.ndim == 1:
            value = 0.1 * noise
        elif "embedding.weight" in name:
            value = 0.5 * noise
        else:
            fan_in = parameter[0].numel()
            # Sharper attention than noise would give, else every query sees the same mean.
            gain = 2.0 if any(part in name for part in ("to_q", "to_k", "q_proj", "k_proj")) else 1.0
            value = gain * noise / fan_in**0.5
        set_half(parameter, value)


def set_half(parameter: Tensor, value: Tensor) -> None:
    """Sets `parameter` to `value` as f16 can hold it."""
    with torch.no_grad():
        parameter.copy_(value.half().float())


@torch.no_grad()
def fit_vae(vae: AutoencoderKL, generator: torch.Generator) -> None:
    """Scales the last layer of the decoder so that pixels spread over most of [-1, 1]."""
    latents = torch.randn(4, 4, 8, 8, generator=generator) / vae.config.scaling_factor
    pixels = vae.decode(latents).sample
    last = vae.decoder.conv_out
    set_half(last.weight, last.weight * 0.45 / pixels.std())
    set_half(last.bias, last.bias * 0.45)


@torch.no_grad()
def fit_unet(
    unet: UNet2DConditionModel,
    encoder: CLIPTextModel,
    scheduler: DDIMScheduler,
    generator: torch.Generator,
) -> None:
    """Fits the last convolution to the target of the scheduler's prediction type."""
    centre = unet.conv_in.weight
    centre[:, :, 1, 1] += CENTRE_GAIN * torch.randn(centre.shape[:2], generator=generator)
    set_half(centre, centre)
    for name, parameter in unet.named_parameters():
        if name.endswith(("conv2.weight", "proj_out.weight")):
            set_half(parameter, BLOCK_GAIN * parameter)
    offset = unet.up_blocks[-1].resnets[-1].conv_shortcut.bias
    set_half(offset, offset + LAST_OFFSET * (1 - 2 * (torch.arange(len(offset)) % 2)))

    shape = (FIT_ROWS, 4, 8, 8)
    smooth = interpolate(torch.randn(FIT_ROWS, 4, 3, 3, generator=generator), size=8, mode="bilinear")
    clean = smooth + 0.3 * torch.randn(shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    timesteps = torch.randint(0, 1000, (FIT_ROWS,), generator=generator)
    text = encoder.config
    ids = torch.randint(text.vocab_size, (FIT_ROWS, text.max_position_embeddings), generator=generator)
    noisy = scheduler.add_noise(clean, noise, timesteps)
    velocity = scheduler.config.prediction_type == "v_prediction"
    target = scheduler.get_velocity(clean, noise, timesteps) if velocity else noise

    seen: list[Tensor] = []
    hook = unet.conv_out.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    unet(noisy, timesteps, encoder_hidden_states=encoder(ids).last_hidden_state)
    hook.remove()

    columns = unfold(seen[0], 3, padding=1).transpose(1, 2).flatten(0, 1).double()
    columns = torch.cat([columns, torch.ones(len(columns), 1)], dim=1)
    wanted = target.permute(0, 2, 3, 1).flatten(0, 2).double()
    gram = columns.T @ columns
    gram += RIDGE * len(columns) * torch.eye(len(gram))
    solution = torch.linalg.solve(gram, columns.T @ wanted)
    set_half(unet.conv_out.weight, solution[:-1].T.reshape(unet.conv_out.weight.shape))
    set_half(unet.conv_out.bias, solution[-1])
