"""What does a small network see in a picture? A convolutional tower with one linear head per question.

Two separate towers are trained from this file: one teaches the text encoder and is thrown away, one becomes the evaluator. They
share no weights, so the evaluator's verdict is not circular.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .scenes import Scene
from .vocabulary import PLACED, Vocabulary, chosen

INPUT = 64
"""Side of the picture after the 2 x 2 average pool that comes first."""
FEATURES = 256
NONE = "none"
OPEN = -100
"""Label of a question that the scene leaves open; torch's cross-entropy passes it over."""


@dataclass(frozen=True)
class Head:
    """One question about a picture and its possible answers."""

    name: str
    classes: tuple[str, ...]

    def label(self, scene: Scene) -> int:
        right = answer(scene, self.name)
        return OPEN if right is None else self.classes.index(right)


def answer(scene: Scene, question: str) -> str | None:
    """Returns the right answer of a scene, as a class name, or none if the scene leaves it open."""
    if question == "color":
        return scene.painted_color or NONE
    if question == "second_color":
        return scene.second_painted_color or NONE
    if question == "relation" and scene.second_object:
        return scene.relation if scene.relation in PLACED else None
    return str(getattr(scene, question) or NONE)


def heads(vocabulary: Vocabulary | None = None) -> tuple[Head, ...]:
    vocabulary = vocabulary or chosen()
    single = (
        Head("object", vocabulary.objects),
        Head("count", tuple(str(count) for count in vocabulary.counts)),
        Head("color", (*vocabulary.colors, NONE)),
        Head("background", vocabulary.backgrounds),
        Head("size", (NONE, *vocabulary.sizes)),
    )
    if not vocabulary.relations:
        return single
    second = (
        Head("second_object", (NONE, *vocabulary.objects)),
        Head("second_color", (*vocabulary.colors, NONE)),
        Head("relation", (NONE, *PLACED)),
    )
    return single + second


def labels(scenes: list[Scene]) -> dict[str, Tensor]:
    return {head.name: torch.tensor([head.label(scene) for scene in scenes]) for head in heads()}


def convolutions(width: int) -> tuple[tuple[int, int, int], ...]:
    """Input channels, output channels and stride of each 3 x 3 convolution."""
    w = width
    return (
        (3, w, 2),
        (w, 2 * w, 2),
        (2 * w, 2 * w, 1),
        (2 * w, 4 * w, 2),
        (4 * w, 4 * w, 1),
        (4 * w, 6 * w, 2),
        (6 * w, 6 * w, 1),
    )


class Tower(nn.Module):
    """Pictures to features and, by head, to logits."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.blocks = nn.Sequential(*(self._block(*shape) for shape in convolutions(width)))
        side = INPUT // 16
        self.features = nn.Linear(6 * width * side * side, FEATURES)
        self.heads = nn.ModuleDict({head.name: nn.Linear(FEATURES, len(head.classes)) for head in heads()})

    @staticmethod
    def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, pooled: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Takes pictures of INPUT x INPUT in [-1, 1] (see `pool`); returns features and logits."""
        features = torch.relu(self.features(self.blocks(pooled).flatten(1)))
        return features, {name: head(features) for name, head in self.heads.items()}


def pool(pictures: Tensor) -> Tensor:
    """Halves the resolution, as every reader of the tower must."""
    return functional.avg_pool2d(pictures, 2)


def soften(pooled: Tensor) -> Tensor:
    """Blurs and disturbs half of a batch, so that a decoder's softness is no surprise."""
    half = len(pooled) // 2
    blurred = functional.avg_pool2d(pooled[:half], 3, stride=1, padding=1, count_include_pad=False)
    strength = torch.rand(half, 1, 1, 1, device=pooled.device)
    mixed = torch.cat([pooled[:half] + strength * (blurred - pooled[:half]), pooled[half:]])
    gain = 1 + 0.06 * torch.randn(len(pooled), 3, 1, 1, device=pooled.device)
    noise = 0.06 * torch.rand(len(pooled), 1, 1, 1, device=pooled.device) * torch.randn_like(mixed)
    return mixed * gain + noise


def supervised_loss(logits: dict[str, Tensor], truth: dict[str, Tensor]) -> Tensor:
    losses = [functional.cross_entropy(logits[name], target) for name, target in truth.items()]
    return torch.stack(losses).sum()


def accuracies(logits: dict[str, Tensor], truth: dict[str, Tensor]) -> dict[str, float]:
    """Returns the share of right answers by head, and of pictures with every answer right as `all`; what is open is not asked."""
    asked = {name: target != OPEN for name, target in truth.items()}
    right = {name: (logits[name].argmax(1) == target) | ~asked[name] for name, target in truth.items()}
    shares = {name: hits[asked[name]].float().mean().item() for name, hits in right.items()}
    return {**shares, "all": torch.stack(list(right.values())).all(0).float().mean().item()}
