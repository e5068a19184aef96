"""What ships? Gathers the frozen parts into one folder in diffusers' layout, f16, with what a server needs beside the weights."""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import diffusers
from safetensors.torch import load_file, save_file

from . import autoencoder, diffusion, evaluator, ranker, reference, split, text_encoder, tokenizer, unet, vocabulary

FAMILY = "emoji"
WEIGHTS = "diffusion_pytorch_model.safetensors"
PRIVATE = ("_name_or_path",)
"""Fields of a configuration that would tell where it was made."""


def copy_model(source: Path, target: Path) -> None:
    """Copies a configuration and its weights, without traces of the machine."""
    target.mkdir(parents=True, exist_ok=True)
    for config in source.glob("*.json"):
        fields = {k: v for k, v in json.loads(config.read_text()).items() if k not in PRIVATE}
        (target / config.name).write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")
    for weights in source.glob("*.safetensors"):
        shutil.copyfile(weights, target / weights.name)


def copy_text_encoder(source: Path, target: Path) -> None:
    """As `copy_model`, with the tensor names every reader of Stable Diffusion folders expects."""
    copy_model(source, target)
    tensors = load_file(target / "model.safetensors")
    named = {name if name.startswith("text_model.") else f"text_model.{name}": t for name, t in tensors.items()}
    save_file(
        {n: t for n, t in named.items() if not n.endswith("position_ids")},
        target / "model.safetensors",
        {"format": "pt"},
    )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def model_index(target: Path) -> dict:
    """Returns a StableDiffusionPipeline's index; the U-Net is chosen by folder name when it is loaded."""
    frozen = (
        "vae/" + WEIGHTS,
        "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json",
        "image_encoder/model.safetensors",
    )
    has_ranker = (target / "image_encoder").exists()
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "_family": FAMILY,
        "_unets": sorted(path.name for path in target.glob("unet-*")),
        "_sha256": {name: digest(target / name) for name in frozen if (target / name).exists()},
        "feature_extractor": [None, None],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"] if has_ranker else [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def export(work: Path, target: Path, unfinished: bool = True) -> None:
    """Copies every part that is ready; U-Nets whose budget is not spent yet only where `unfinished` ones are wanted."""
    target.mkdir(parents=True, exist_ok=True)
    if tokenizer.folder(work).exists():
        shutil.copytree(tokenizer.folder(work), target / "tokenizer", dirs_exist_ok=True)
    if text_encoder.folder(work).exists():
        copy_text_encoder(text_encoder.folder(work), target / "text_encoder")
    whole = (
        (autoencoder.frozen(work), "vae"),
        (evaluator.folder(work), "evaluator"),
        (ranker.folder(work), "image_encoder"),
    )
    for source, name in whole:
        if source.exists():
            copy_model(source, target / name)
    if reference.folder(work).exists():
        shutil.copytree(reference.folder(work), target / "evaluation", dirs_exist_ok=True)
    for trained in sorted(work.glob("unet_c*")):
        progress = unet.read_progress(work, trained.name)
        ready = unfinished or (progress and progress["step"] >= progress["steps"])
        if ready and unet.folder(work, trained.name).exists():
            copy_model(unet.folder(work, trained.name), target / trained.name.replace("_", "-"))
    diffusion.noise_schedule().save_pretrained(target / "scheduler")
    (target / "vocabulary.json").write_text(json.dumps(split.vocabulary_document(), indent=1) + "\n")
    (target / "model_index.json").write_text(json.dumps(model_index(target), indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--target", type=Path, required=True, help="folder of the family, such as weights/emoji")
    parser.add_argument("--finished-only", action="store_true", help="leave out U-Nets whose budget is not spent yet")
    vocabulary.add_option(parser)
    options = parser.parse_args()
    export(options.work, options.target, unfinished=not options.finished_only)
    total = sum(path.stat().st_size for path in options.target.rglob("*") if path.is_file())
    print(json.dumps({"target": str(options.target), "mebibytes": round(total / 2**20, 2)}))


if __name__ == "__main__":
    main()
