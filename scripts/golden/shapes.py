"""What do the tiny models look like? Their configuration files, shaped like public ones.

Each dictionary is written to disk as it stands here: keys that the public file leaves out are left out here
too, so that a reader's defaults are tested along with its code.
"""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

DOWN = ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"]
UP = ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]


@dataclass(frozen=True)
class Shape:
    """One model folder: its configuration files and how its files name their tensors."""

    name: str
    seed: int
    guidance: float
    unet: Json
    vae: Json
    text: Json
    scheduler: Json
    pad_token: str
    # Also write tokenizer.json, the fast tokenizer that newer folders carry.
    fast_tokenizer: bool = False
    # Name the autoencoder's attention query/key/value/proj_attn, as files from before diffusers 0.17 do.
    old_attention_names: bool = False
    # Put `text_model.` before the text encoder's tensors and add `position_ids`, as transformers 4 did.
    old_text_names: bool = False
    # Latents (height, width) beside the square one; the second is no multiple of the U-Net's downscale.
    other_sizes: dict[str, tuple[int, int]] = field(default_factory=lambda: {"wide": (8, 16), "odd": (8, 12)})


def unet(**changes: Any) -> Json:
    """`unet/config.json` with the keys that SD 1.x files have, and `changes`."""
    return {
        "_class_name": "UNet2DConditionModel",
        # From before 0.9 diffusers would take the sample size for a mistake and correct it to 64.
        "_diffusers_version": "0.15.0",
        "act_fn": "silu",
        "attention_head_dim": 2,
        "block_out_channels": [8, 8, 16, 16],
        "center_input_sample": False,
        "cross_attention_dim": 24,
        "down_block_types": DOWN,
        "downsample_padding": 1,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": 4,
        "layers_per_block": 2,
        "mid_block_scale_factor": 1,
        "norm_eps": 1e-05,
        "norm_num_groups": 4,
        "out_channels": 4,
        "sample_size": 8,
        "up_block_types": UP,
    } | changes


def vae(channels: list[int], layers: int, **changes: Any) -> Json:
    """`vae/config.json` with the keys that SD 1.x files have (no scaling factor), and `changes`."""
    return {
        "_class_name": "AutoencoderKL",
        "_diffusers_version": "0.6.0",
        "act_fn": "silu",
        "block_out_channels": channels,
        "down_block_types": ["DownEncoderBlock2D"] * len(channels),
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": layers,
        "norm_num_groups": 4,
        "out_channels": 3,
        "sample_size": 64,
        "up_block_types": ["UpDecoderBlock2D"] * len(channels),
    } | changes


def text(width: int, context: int, **changes: Any) -> Json:
    """`text_encoder/config.json`; the tokenizer's maker fills in sizes and ids of the vocabulary."""
    return {
        "architectures": ["CLIPTextModel"],
        "attention_dropout": 0.0,
        "hidden_act": "quick_gelu",
        "hidden_size": width,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": 2 * width,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": context,
        "model_type": "clip_text_model",
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
    } | changes


def schedule(kind: str, **changes: Any) -> Json:
    """`scheduler/scheduler_config.json` with the keys that SD 1.x files have, and `changes`."""
    return {
        "_class_name": kind,
        "_diffusers_version": "0.6.0",
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "clip_sample": False,
        "num_train_timesteps": 1000,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "trained_betas": None,
    } | changes


def block_removed(name: str, seed: int, scheduler: Json, **changes: Any) -> Shape:
    """A BK-SDM model (arXiv 2305.15798): an SD 1.4 U-Net with one layer per block and blocks missing."""
    newer = {
        "block_out_channels": [8, 8, 12, 8],
        "class_embed_type": None,
        "dual_cross_attention": False,
        "layers_per_block": 1,
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "num_class_embeds": None,
        "only_cross_attention": False,
        "resnet_time_scale_shift": "default",
        "time_cond_proj_dim": None,
        "time_embedding_type": "positional",
        "upcast_attention": False,
        "use_linear_projection": False,
    }
    return Shape(
        name=name,
        seed=seed,
        guidance=7.5,
        unet=unet(**(newer | {"cross_attention_dim": 16} | changes)),
        vae=vae([8, 8, 8, 8], 1, scaling_factor=0.18215),
        text=text(16, 16),
        scheduler=scheduler,
        pad_token="<|endoftext|>",
    )


SHAPES = [
    Shape(
        name="sd1",
        seed=1,
        guidance=7.5,
        unet=unet(),
        vae=vae([8, 8, 8, 16], 2),
        text=text(24, 77),
        scheduler=schedule("DDIMScheduler", prediction_type="epsilon", timestep_spacing="leading"),
        pad_token="<|endoftext|>",
        old_attention_names=True,
        old_text_names=True,
    ),
    Shape(
        name="sd2",
        seed=2,
        guidance=5.0,
        unet=unet(
            attention_head_dim=[1, 2, 4, 2],
            cross_attention_dim=16,
            dual_cross_attention=False,
            only_cross_attention=False,
            upcast_attention=True,
            use_linear_projection=True,
        ),
        vae=vae([8, 8, 8, 16], 1, scaling_factor=0.18215),
        text=text(16, 16, hidden_act="gelu", num_hidden_layers=3, projection_dim=8),
        scheduler=schedule(
            "DDIMScheduler",
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
        ),
        pad_token="!",
        fast_tokenizer=True,
    ),
    block_removed(
        "bk-base",
        3,
        schedule("DDIMScheduler", prediction_type="epsilon", timestep_spacing="leading"),
    ),
    # The one model with linspace spacing and a last alpha of one.
    block_removed(
        "bk-small",
        4,
        schedule(
            "DDIMScheduler",
            prediction_type="epsilon",
            set_alpha_to_one=True,
            timestep_spacing="linspace",
        ),
        mid_block_type=None,
    ),
    # The file of SD 1.4, 1.5 and BK-SDM as published: PNDM's, and silent about prediction type and spacing,
    # so that each sampler of diffusers falls back on its own default (DDIM leading, DPM-Solver++ linspace).
    block_removed(
        "bk-tiny",
        5,
        schedule("PNDMScheduler", skip_prk_steps=True),
        block_out_channels=[8, 8, 12],
        down_block_types=DOWN[:3],
        mid_block_type=None,
        up_block_types=UP[1:],
    ),
]
