"""Makes tests/golden/evaluator/: one picture with the features and logits that the shipped evaluator gives it.

Run from the repository root with the packages of training/requirements.txt:

    PYTHONPATH=training python scripts/golden/evaluator.py

The picture is the first evaluation scene, painted with seed 0; the network runs in f32 from the f16 weights, torch 2.15.0.
"""

import json
from pathlib import Path

import numpy as np
import torch
from goldilocks_training import evaluator, split
from goldilocks_training.pixels import to_tensor
from goldilocks_training.scenes import Painter
from safetensors.torch import save_file

SOURCE = Path("weights/emoji/evaluator")
TARGET = Path("tests/golden/evaluator")
SEED = 0


def main() -> None:
    torch.set_num_threads(1)
    scene, caption = split.evaluation()[0]
    picture = Painter().paint(scene, np.random.default_rng(SEED))
    judge = evaluator.Evaluator(SOURCE)
    features, logits = judge(to_tensor([picture]))
    tensors = {"picture": torch.from_numpy(picture), "features": features[0]}
    tensors |= {f"logits.{name}": values[0] for name, values in logits.items()}
    TARGET.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, TARGET / "golden.safetensors")
    classes = {head["name"]: head["classes"] for head in judge.config["heads"]}
    answers = {name: classes[name][int(values.argmax())] for name, values in logits.items()}
    document = {"caption": caption, "answers": answers, "tolerance": 1e-4}
    (TARGET / "golden.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
