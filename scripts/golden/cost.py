"""Makes tests/golden/cost.json: parameters and operations of networks as diffusers and transformers build them.

The networks live on torch's meta device, so that nothing is computed; torch's own counter sees every
operator that runs. `linear` is what remains of the matrix products after those of the attention.

Run from the root of the repository, with torch, diffusers and transformers installed:
python scripts/golden/cost.py
"""

import json

import diffusers
import torch
import transformers
from diffusers.models.attention_processor import AttnProcessor
from torch.utils.flop_counter import FlopCounterMode

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
CROSS_UP, PLAIN_UP = "CrossAttnUpBlock2D", "UpBlock2D"


def unet(channels, attends, context, **more):
    return {
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": channels,
        "down_block_types": [CROSS if a else PLAIN for a in attends],
        "up_block_types": [CROSS_UP if a else PLAIN_UP for a in reversed(attends)],
        "cross_attention_dim": context,
        **more,
    }


def sd(c, context, **more):
    return unet([c, 2 * c, 4 * c, 4 * c], [True, True, True, False], context, attention_head_dim=8, **more)


# name, config, latent height, latent width, tokens
UNETS = [
    ("table 1, c = 64", sd(64, 1024), 64, 64, 77),
    ("table 1, c = 320", sd(320, 1024), 64, 64, 77),
    ("SD 1.5", sd(320, 768), 64, 64, 77),
    ("SD 2.1", sd(320, 1024, use_linear_projection=True) | {"attention_head_dim": [5, 10, 20, 20]}, 96, 96, 77),
    ("BK-SDM small", sd(320, 768, layers_per_block=1, mid_block_type=None), 64, 64, 77),
    (
        "BK-SDM tiny",
        unet([320, 640, 1280], [True] * 3, 768, layers_per_block=1, mid_block_type=None, attention_head_dim=8),
        64,
        64,
        77,
    ),
    (
        "emoji, c = 16",
        unet([16, 32, 64], [False, True, True], 128, norm_num_groups=8, attention_head_dim=4),
        16,
        16,
        32,
    ),
    (
        "odd sides, layers for each level",
        unet(
            [32, 64, 64],
            [True, True, False],
            64,
            layers_per_block=[1, 2, 1],
            transformer_layers_per_block=[1, 2, 1],
            attention_head_dim=4,
        ),
        9,
        14,
        5,
    ),
    (
        "padding on the far side",
        unet([32, 64], [True, True], 64, downsample_padding=0, attention_head_dim=4),
        16,
        8,
        77,
    ),
]

# name, config, latent height, latent width
VAES = [
    ("SD", {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "latent_channels": 4}, 64, 64),
    (
        "emoji, no attention",
        {
            "block_out_channels": [16, 32, 64, 128],
            "layers_per_block": 1,
            "latent_channels": 4,
            "norm_num_groups": 8,
            "mid_block_add_attention": False,
        },
        16,
        16,
    ),
    (
        "no post-quant",
        {"block_out_channels": [32, 64], "latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False},
        6,
        10,
    ),
]

TEXT_ENCODERS = [
    ("SD 1.x", (49408, 768, 3072, 12, 12, 77)),
    ("SD 2.x", (49408, 1024, 4096, 23, 16, 77)),
    ("emoji", (768, 128, 512, 3, 4, 32)),
]

# name, config, width of the text states whose projection is counted too
IMAGE_ENCODERS = [
    ("CLIP ViT-L/14 over pixels", (3, 224, 14, 1024, 4096, 24, 16, 768), 768),
    ("emoji", (4, 16, 2, 96, 384, 3, 4, 128), 128),
]


def counted(module, run):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    by_operator = {str(op): flops for op, flops in counter.get_flop_counts()["Global"].items()}
    conv = sum(flops for op, flops in by_operator.items() if "conv" in op)
    products = sum(flops for op, flops in by_operator.items() if "bmm" in op)
    return {
        "parameters": sum(p.numel() for p in module.parameters()),
        "conv": conv,
        "linear": sum(by_operator.values()) - conv - products,
        "attention": products,
    }


def unet_row(name, config, height, width, tokens):
    with torch.device("meta"):
        network = diffusers.UNet2DConditionModel(sample_size=64, **config)
        network.set_attn_processor(AttnProcessor())
        sample = torch.zeros(1, 4, height, width)
        context = torch.zeros(1, tokens, config["cross_attention_dim"])
        time = torch.zeros(1)
        cost = counted(network, lambda: network(sample, time, context))
    return {"name": name, "config": config, "height": height, "width": width, "tokens": tokens, **cost}


def vae_row(name, config, height, width):
    n_levels = len(config["block_out_channels"])
    blocks = {
        "down_block_types": ["DownEncoderBlock2D"] * n_levels,
        "up_block_types": ["UpDecoderBlock2D"] * n_levels,
    }
    with torch.device("meta"):
        network = diffusers.AutoencoderKL(in_channels=3, out_channels=3, **blocks, **config)
        if config.get("mid_block_add_attention", True):
            network.set_attn_processor(AttnProcessor())
        decoder = torch.nn.ModuleList([m for m in (network.decoder, network.post_quant_conv) if m is not None])
        latents = torch.zeros(1, config["latent_channels"], height, width)
        cost = counted(decoder, lambda: network.decode(latents))
    return {
        "name": name,
        "config": {"in_channels": 3, "out_channels": 3, **config},
        "height": height,
        "width": width,
        **cost,
    }


def text_row(name, sizes):
    keys = (
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "max_position_embeddings",
    )
    config = dict(zip(keys, sizes))
    with torch.device("meta"):
        network = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(**config, bos_token_id=0, eos_token_id=1, attn_implementation="eager")
        )
        tokens = torch.zeros(1, sizes[-1], dtype=torch.long)
        cost = counted(network, lambda: network(tokens))
    return {"name": name, "config": config, **cost}


def vision_row(name, sizes, text_width):
    keys = (
        "num_channels",
        "image_size",
        "patch_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "projection_dim",
    )
    config = dict(zip(keys, sizes))
    with torch.device("meta"):
        picture = transformers.CLIPVisionModelWithProjection(
            transformers.CLIPVisionConfig(**config, attn_implementation="eager")
        )
        text = torch.nn.Linear(text_width, config["projection_dim"], bias=False)
        seen = torch.zeros(1, config["num_channels"], config["image_size"], config["image_size"])
        pooled = torch.zeros(1, text_width)
        cost = counted(torch.nn.ModuleList([picture, text]), lambda: (picture(pixel_values=seen), text(pooled)))
    return {"name": name, "config": config, "text_width": text_width, **cost}


def main():
    golden = {
        "made_by": "scripts/golden/cost.py",
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0],
        "unets": [unet_row(*row) for row in UNETS],
        "vaes": [vae_row(*row) for row in VAES],
        "text_encoders": [text_row(*row) for row in TEXT_ENCODERS],
        "image_encoders": [vision_row(*row) for row in IMAGE_ENCODERS],
    }
    with open("tests/golden/cost.json", "w") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
