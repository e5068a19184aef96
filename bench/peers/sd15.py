"""What is a network of the shape of Stable Diffusion 1.5? Its U-Net, with random weights, as a diffusers folder."""

from pathlib import Path

CONFIG = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 768,
    "norm_num_groups": 32,
}
# Its text encoder.
TEXT = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
}
SEED = 15


def folder(cache: Path) -> Path:
    """The folder below `cache`, made if it is not there: 1.7 GB in f16."""
    path = cache / "sd15-unet"
    if not (path / "config.json").is_file():
        make(path)
    return path


def make(path: Path) -> None:
    """Draws the weights and writes them."""
    import torch
    from diffusers import UNet2DConditionModel

    torch.manual_seed(SEED)
    unet = UNet2DConditionModel(**CONFIG).half()
    unet.save_pretrained(path)
