"""Who judges the pictures? Trains the evaluator: a network of its own that answers what is in a picture.

Its heads (object, count, colour, background, size) measure alignment, its features the Frechet distance and CMMD. A head is
accepted as a metric only if real pictures nobody trained on score at least 0.95 on it; `config.json` says which were. It is
written with batch normalisation folded in, so that a reader needs only convolution, ReLU and linear layers.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from . import graph, optimizer, runs, scenes, tower
from .pixels import to_tensor

RATE = 2e-3
ACCEPTED = 0.95
VALIDATION_SEED = 920_001


class Batches:
    """Endless pictures with labels, from every scene the vocabulary allows."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._stream, self._device = scenes.stream(scenes.Painter(), seed), device

    def draw(self, count: int) -> tuple[Tensor, dict[str, Tensor]]:
        drawn = [next(self._stream) for _ in range(count)]
        truth = {name: label.to(self._device) for name, label in tower.labels([scene for scene, _ in drawn]).items()}
        return tower.pool(to_tensor((picture for _, picture in drawn), self._device)), truth


@torch.no_grad()
def evaluate(model: tower.Tower, pooled: Tensor, truth: dict[str, Tensor]) -> dict[str, float]:
    model.eval()
    logits = [model(part)[1] for part in pooled.split(256)]
    joined = {name: torch.cat([part[name] for part in logits]) for name in truth}
    model.train()
    return tower.accuracies(joined, truth)


def train(options: argparse.Namespace, draw: Callable[[int], tuple[Tensor, dict[str, Tensor]]] | None = None) -> None:
    """Trains to the end of the budget on what `draw` returns, and exports."""
    device = runs.prepare(options)
    run = runs.Run(options.work, "evaluator", options.report_every, options.save_every)
    model = tower.Tower(options.tower).to(device, memory_format=torch.channels_last)
    mover = optimizer.Optimizer("adamw", model, weight_decay=0.01, betas=(0.9, 0.99))
    step = 0
    if state := run.resume():
        model.load_state_dict(state["model"])
        mover.load_state_dict(state["optimizer"])
        step = state["step"]
    draw = draw or Batches(options.seed + step + 31, device).draw
    validation = Batches(VALIDATION_SEED, device).draw(options.validation)
    names = [head.name for head in tower.heads()]

    def losses(softened: Tensor, *truth: Tensor) -> tuple[Tensor, ...]:
        return (tower.supervised_loss(model(softened)[1], dict(zip(names, truth, strict=True))),)

    descend = graph.Step(losses, mover, clip=5.0)
    run.begin()
    while (share := run.seconds() / (60 * options.minutes)) < 1:
        pooled, truth = draw(options.batch)
        softened = tower.soften(pooled).contiguous(memory_format=torch.channels_last)
        loss = descend((softened, *truth.values()), RATE * min(1.0, (step + 1) / 50) * max(0.02, 1 - share))
        step += 1
        if run.due_report():
            run.report(step=step, loss=loss.item(), **evaluate(model, *validation))
        if run.due_save():
            run.save(model=model.state_dict(), optimizer=mover.state_dict(), step=step)
            run.stop_in_time()
    run.save(model=model.state_dict(), optimizer=mover.state_dict(), step=step)
    figures = evaluate(model, *validation)
    run.report(event="frozen", step=step, samples=step * options.batch, **figures)
    export(model.eval(), figures, folder(options.work))


def _folded(block: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Returns weight and bias of a convolution with the batch normalisation behind it."""
    convolution, norm = block[0], block[1]
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    return convolution.weight * gain.view(-1, 1, 1, 1), norm.bias - norm.running_mean * gain


@torch.no_grad()
def export(model: tower.Tower, figures: dict[str, float], target: Path) -> None:
    """Writes config.json and model.safetensors (f16)."""
    target.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    layers: list[dict] = []
    for i, (block, (inputs, outputs, stride)) in enumerate(zip(model.blocks, tower.convolutions(model.width))):
        name = f"conv.{i}"
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = _folded(block)
        shape = {"in": inputs, "out": outputs, "kernel": 3, "stride": stride, "padding": 1}
        layers.append({"type": "conv2d", "name": name, **shape, "activation": "relu"})
    layers.append({"type": "flatten"})
    tensors["features.weight"], tensors["features.bias"] = model.features.weight, model.features.bias
    flat = model.features.in_features
    layers.append({"type": "linear", "name": "features", "in": flat, "out": tower.FEATURES, "activation": "relu"})
    for name, head in model.heads.items():
        tensors[f"heads.{name}.weight"], tensors[f"heads.{name}.bias"] = head.weight, head.bias
    save_file(
        {name: tensor.half().contiguous().cpu() for name, tensor in tensors.items()}, target / "model.safetensors"
    )
    (target / "config.json").write_text(json.dumps(_config(model, layers, figures), indent=2) + "\n")


def _config(model: tower.Tower, layers: list[dict], figures: dict[str, float]) -> dict:
    heads = [
        {"name": head.name, "tensor": f"heads.{head.name}", "classes": list(head.classes)} for head in tower.heads()
    ]
    return {
        "version": 1,
        "picture": {"side": scenes.SIDE, "channels": "rgb", "scale": 1 / 127.5, "offset": -1.0},
        "pool": {"type": "average", "kernel": 2, "stride": 2},
        "input_side": tower.INPUT,
        "tower_width": model.width,
        "layers": layers,
        "feature_dim": tower.FEATURES,
        "heads": heads,
        "threshold": ACCEPTED,
        "accepted": [head.name for head in tower.heads() if figures[head.name] >= ACCEPTED],
        "accuracy_on_real_pictures": {name: round(share, 4) for name, share in figures.items()},
    }


def folder(work: Path) -> Path:
    return work / "evaluator" / "frozen"


class Evaluator:
    """The exported evaluator, run from its files alone, as any other reader would."""

    def __init__(self, source: Path, device: torch.device | str = "cpu") -> None:
        self.config = json.loads((source / "config.json").read_text())
        loaded = load_file(source / "model.safetensors")
        self._tensors = {name: tensor.float().to(device) for name, tensor in loaded.items()}

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Takes pictures of 128 x 128 in [-1, 1]; returns features and logits by head."""
        hidden = tower.pool(pictures)
        for layer in self.config["layers"]:
            hidden = self._layer(layer, hidden)
        heads = {head["name"]: self._linear(head["tensor"], hidden) for head in self.config["heads"]}
        return hidden, heads

    def _linear(self, name: str, hidden: Tensor) -> Tensor:
        return nn.functional.linear(hidden, self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])

    def _layer(self, layer: dict, hidden: Tensor) -> Tensor:
        if layer["type"] == "flatten":
            return hidden.flatten(1)
        if layer["type"] == "linear":
            return torch.relu(self._linear(layer["name"], hidden))
        weight, bias = self._tensors[f"{layer['name']}.weight"], self._tensors[f"{layer['name']}.bias"]
        return torch.relu(nn.functional.conv2d(hidden, weight, bias, layer["stride"], layer["padding"]))


def arguments() -> argparse.ArgumentParser:
    parser = runs.arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=11)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--tower", type=int, default=24, help="channels of the first convolution")
    parser.add_argument("--validation", type=int, default=1024, help="pictures behind each accuracy")
    parser.add_argument("--report-every", type=float, default=30.0)
    parser.add_argument("--save-every", type=float, default=120.0)
    return parser


def main() -> None:
    train(arguments().parse_args())


if __name__ == "__main__":
    main()
