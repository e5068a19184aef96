"""Which training-side ideas help? Trains the smallest width once per idea at equal samples and lets the evaluator judge.

Every variant sees the same pictures, noise and order and changes one thing of the baseline. The verdict is the evaluator's, not the
loss: losses of different objectives are not comparable. One line of JSON per variant and number of sampling steps. Averages
need no run of their own: `unet --ema` keeps several.
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

from . import autoencoder, diffusion, evaluator, reference, runs, split, text_encoder, tokenizer, unet

CHANNELS = 8
EMA = 0.999
VARIANTS: dict[str, tuple[str, ...]] = {
    "baseline": (),
    "adamw": ("--optimizer", "adamw", "--rate", "3e-3"),
    "epsilon": ("--prediction", "epsilon"),
    "min-snr": ("--weighting", "min-snr"),
    "unweighted": ("--weighting", "none"),
    "curriculum": ("--clusters", "5", "--patience", "10"),
}
STEPS = (4, 16)
GUIDANCE = 3.0


def trained(variant: str, options: argparse.Namespace) -> unet.Trainer:
    """Trains a variant, or goes on with it."""
    common = ["--work", str(options.work), "--name", f"ablation_{variant}", "--samples", str(options.samples)]
    common += ["--seed", str(options.seed), "--threads", str(options.threads), "--ema", str(EMA)]
    parser = unet.arguments(None)
    parser.add_argument("--channels", type=int, default=CHANNELS)
    trainer = unet.Trainer(parser.parse_args([*common, *VARIANTS[variant]]))
    trainer.train()
    return trainer


class Judge:
    """Draws development captions with a U-Net and says what the evaluator makes of them."""

    def __init__(self, work: Path, captions: int) -> None:
        self._judge = evaluator.Evaluator(evaluator.folder(work))
        self._vae = autoencoder.load(work)
        words, encoder = tokenizer.load(work), text_encoder.load(work)
        chosen = split.development(captions)
        self._scenes, texts = [scene for scene, _ in chosen], [caption for _, caption in chosen]
        self._text = diffusion.text_states(encoder, torch.tensor(tokenizer.ids(words, texts)))
        self._empty = diffusion.text_states(encoder, torch.tensor(tokenizer.ids(words, [""])))
        self._real = load_file(reference.folder(work) / "reference.safetensors")["features_a"].float()

    def __call__(self, model: UNet2DConditionModel, steps: int, prediction: str) -> dict[str, float]:
        latents = diffusion.sample(model, self._text, self._empty, steps, GUIDANCE, seed=1, prediction=prediction)
        pictures = diffusion.decode(self._vae, latents)
        features, right = reference.judged(self._judge, pictures, self._scenes)
        return {**right, "frechet": reference.frechet(self._real, features)}


def main() -> None:
    parser = runs.arguments(__doc__)
    parser.add_argument("--samples", type=int, default=24_000)
    parser.add_argument("--captions", type=int, default=512)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    options = parser.parse_args()
    runs.prepare(options)
    judge = Judge(options.work, options.captions)
    with (options.work / "ablation.jsonl").open("a") as log:
        for variant in options.variants:
            trainer = trained(variant, options)
            model = trainer.averages[0].model(trainer.model).eval()
            loss = unet.held_out_loss(model, trainer.objective, trainer.data)
            for steps in options.steps:
                figures = {"held_out_loss": loss, **judge(model, steps, trainer.options.prediction)}
                rounded = {name: round(value, 4) for name, value in figures.items()}
                line = {"variant": variant, "samples": options.samples, "steps": steps, **rounded}
                log.write(json.dumps(line) + "\n")
                log.flush()
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
