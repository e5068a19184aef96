"""What does the evaluator say about real pictures? Writes the evaluation folder that `calibrate` reads.

`captions.json` is the split; `reference.safetensors` holds the evaluator's features of real pictures (`features_a`), of as many
others (`features_b`: real against real) and of the latter's reconstructions through the autoencoder (`features_reconstruction`);
`figures.json` says how well the heads do on both. No picture of it was seen in training.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from . import autoencoder, evaluator, runs, split, tower
from .pixels import to_tensor
from .scenes import Painter, Scene

SEED_A, SEED_B = 720_000, 730_000


def folder(work: Path) -> Path:
    return work / "evaluation"


def real(seed: int, count: int) -> tuple[list[Scene], Tensor]:
    """Returns scenes distributed as the evaluation captions are, and their pictures."""
    rng, painter = np.random.default_rng(seed), Painter()
    scenes = [split.draw_for_evaluation(rng) for _ in range(count)]
    return scenes, to_tensor(painter.paint(scene, rng) for scene in scenes)


def judged(judge: evaluator.Evaluator, pictures: Tensor, scenes: list[Scene]) -> tuple[Tensor, dict[str, float]]:
    """Returns features and the share of right answers by head."""
    parts = [judge(part) for part in pictures.split(128)]
    logits = {head.name: torch.cat([part[1][head.name] for part in parts]) for head in tower.heads()}
    return torch.cat([part[0] for part in parts]), tower.accuracies(logits, tower.labels(scenes))


@torch.no_grad()
def reconstructed(work: Path, pictures: Tensor, device: torch.device | str) -> Tensor:
    model = autoencoder.load(work, device)
    parts = [model.decode(autoencoder.encode(model, part.to(device))).sample.cpu() for part in pictures.split(16)]
    return torch.cat(parts).clamp(-1, 1)


def frechet(left: Tensor, right: Tensor) -> float:
    """Returns the Frechet distance of two sets of features, biased by their size."""
    left, right = left.double(), right.double()
    mean = (left.mean(0) - right.mean(0)).pow(2).sum()
    covariance = torch.cov(left.T), torch.cov(right.T)
    root = torch.linalg.eigvals(covariance[0] @ covariance[1]).real.clamp(min=0).sqrt().sum()
    return (mean + covariance[0].trace() + covariance[1].trace() - 2 * root).item()


def write(work: Path, count: int, device: torch.device | str = "cpu") -> dict:
    """Writes the evaluation folder; returns the figures."""
    judge = evaluator.Evaluator(evaluator.folder(work))
    scenes_a, pictures_a = real(SEED_A, count)
    scenes_b, pictures_b = real(SEED_B, count)
    again = reconstructed(work, pictures_b, device)
    features_a, right_a = judged(judge, pictures_a, scenes_a)
    features_b, right_b = judged(judge, pictures_b, scenes_b)
    features_r, right_r = judged(judge, again, scenes_b)
    psnr = (10 * torch.log10(4 / (again - pictures_b).pow(2).mean((1, 2, 3)))).mean().item()
    figures = {
        "pictures": count,
        "seeds": {"a": SEED_A, "b": SEED_B},
        "accuracy": {"real_a": right_a, "real_b": right_b, "reconstruction_b": right_r},
        "frechet": {"a_b": frechet(features_a, features_b), "a_reconstruction": frechet(features_a, features_r)},
        "autoencoder_psnr_db": psnr,
    }
    target = folder(work)
    target.mkdir(parents=True, exist_ok=True)
    (target / "captions.json").write_text(json.dumps(split.document(), indent=1) + "\n")
    (target / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    features = {"features_a": features_a, "features_b": features_b, "features_reconstruction": features_r}
    save_file({name: tensor.half().contiguous() for name, tensor in features.items()}, target / "reference.safetensors")
    return figures


def main() -> None:
    parser = runs.arguments(__doc__)
    parser.add_argument("--count", type=int, default=1024, help="pictures in each set")
    options = parser.parse_args()
    device = runs.prepare(options)
    print(json.dumps(write(options.work, options.count, device)))


if __name__ == "__main__":
    main()
