"""How does a caption become what the U-Nets listen to? Trains a small `CLIPTextModel` against pictures.

Plain contrastive training learns what is in a picture, not how many or which colour, so every picture also comes with one hard
negative: its caption with a single attribute changed. The picture side keeps supervised heads, or its features lose colours.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel

from . import captions, graph, optimizer, runs, tokenizer, tower
from .pixels import to_tensor
from .scenes import Painter, Scene, ordered
from .split import TrainingScenes
from .vocabulary import PLACED, chosen

WIDTH = 128
LAYERS = 3
RATE = 3e-3
VALIDATION_SEED = 910_001


def build(vocabulary: int, width: int = WIDTH, layers: int = LAYERS) -> CLIPTextModel:
    """Returns an untrained text encoder; the two special tokens are the vocabulary's last."""
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.LENGTH,
        hidden_act="quick_gelu",
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    return CLIPTextModel(config)


def _other(rng: Generator, values: tuple, current: object) -> object:
    return rng.choice([value for value in values if value != current])


def edit(scene: Scene, rng: Generator) -> Scene:
    """Changes one attribute so that the caption of the result is wrong for the picture."""
    if scene.second_object:
        return _edit_pair(scene, rng)
    vocabulary = chosen()
    attribute = rng.choice(["object", "count" if scene.size is None else "size", "color", "background"])
    if attribute == "object":
        edited = replace(scene, object=str(_other(rng, vocabulary.objects, scene.object)))
    elif attribute == "count":
        edited = replace(scene, count=int(_other(rng, vocabulary.counts, scene.count)))
    elif attribute == "size":
        edited = replace(scene, size=str(_other(rng, vocabulary.sizes, scene.size)))
    elif attribute == "color":
        edited = replace(scene, color=str(_other(rng, vocabulary.colors, scene.color)))
    else:
        edited = replace(scene, background=str(_other(rng, vocabulary.backgrounds, scene.background)))
    same_colors = attribute == "color" and edited.painted_color == scene.painted_color
    return edit(scene, rng) if same_colors else edited


def _edit_pair(scene: Scene, rng: Generator) -> Scene:
    """Changes one attribute of two things: often which is where, or which has which colour, since those are hard to learn."""
    vocabulary = chosen()
    attribute = rng.choice(["thing", "color", "background", "relation", "relation", "swap"])
    if attribute == "background":
        return replace(scene, background=str(_other(rng, vocabulary.backgrounds, scene.background)))
    if attribute == "thing":
        taken = scene.object, scene.second_object
        name = str(rng.choice([name for name in vocabulary.objects if name not in taken]))
        return ordered(replace(scene, **{str(rng.choice(["object", "second_object"])): name}), vocabulary)
    if attribute == "relation" and scene.relation != "and":
        elsewhere = PLACED[2:] if scene.relation == "beside" else PLACED
        return replace(scene, relation=str(_other(rng, elsewhere, scene.relation)))
    edited = scene
    if attribute == "swap":
        edited = replace(scene, color=scene.second_color, second_color=scene.color)
    elif attribute == "color":
        which = str(rng.choice(["color", "second_color"]))
        edited = replace(scene, **{which: str(rng.choice(vocabulary.colors))})
    looks = [(other.painted_color, other.second_painted_color) for other in (scene, edited)]
    return _edit_pair(scene, rng) if looks[0] == looks[1] else edited


class Contrast(nn.Module):
    """Text encoder and picture tower with their projections into one space."""

    def __init__(self, text: CLIPTextModel, width: int) -> None:
        super().__init__()
        self.text, self.picture = text, tower.Tower(width)
        self.text_projection = nn.Linear(text.config.hidden_size, WIDTH, bias=False)
        self.picture_projection = nn.Linear(tower.FEATURES, WIDTH)
        self.scale = nn.Parameter(torch.tensor(2.6))

    def embed_texts(self, ids: Tensor) -> Tensor:
        return functional.normalize(self.text_projection(self.text(ids).pooler_output), dim=-1)

    def embed_pictures(self, pooled: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        features, logits = self.picture(pooled)
        return functional.normalize(self.picture_projection(features), dim=-1), logits


class Captions:
    """Captions of scenes and one hard negative each, as ids."""

    def __init__(self, work: Path, device: torch.device) -> None:
        self._tokenizer, self._device = tokenizer.load(work), device

    def ids(self, texts: list[str]) -> Tensor:
        """Returns ids without the padding all rows share: attention is causal, so it changes nothing but the time."""
        ids = torch.tensor(tokenizer.ids(self._tokenizer, texts))
        longest = int((ids == ids[0, -1]).int().argmax(1).max()) + 1
        return ids[:, :longest].to(self._device)

    def draw(self, scenes: list[Scene], rng: Generator, complete: bool = False) -> Tensor:
        """Returns the ids of all right captions followed by all wrong ones."""
        right = [captions.caption(scene, rng, complete) for scene in scenes]
        wrong = [captions.caption(edit(scene, rng), rng, complete=True) for scene in scenes]
        return self.ids(right + wrong)


class Batches:
    """Pictures with their captions and one hard negative each."""

    def __init__(self, work: Path, seed: int, device: torch.device) -> None:
        self._scenes, self._painter = TrainingScenes(seed), Painter()
        self._captions, self._device = Captions(work, device), device

    def draw(self, count: int, complete: bool = False) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Returns pooled pictures, labels by head and the ids of all right captions followed by all wrong ones."""
        rng = self._scenes.rng
        drawn = [self._scenes.draw() for _ in range(count)]
        pictures = to_tensor((self._painter.paint(scene, rng) for scene in drawn), self._device)
        ids = self._captions.draw(drawn, rng, complete)
        truth = {name: label.to(self._device) for name, label in tower.labels(drawn).items()}
        return tower.pool(pictures), truth, ids


def contrast(likeness: Tensor) -> Tensor:
    """Contrast of pictures (rows) with their right captions (the first columns), and each with its hard negative (the others)."""
    count = len(likeness)
    target = torch.arange(count, device=likeness.device)
    within = functional.cross_entropy(likeness, target) + functional.cross_entropy(likeness[:, :count].T, target)
    hard = functional.softplus(likeness.diagonal(count) - likeness.diagonal()).mean()
    return within / 2 + hard


def retrieval(likeness: Tensor) -> dict[str, float]:
    """Returns the share of pictures that find their right caption, and of those that prefer it to its hard negative."""
    count = len(likeness)
    beaten = likeness.diagonal() > likeness.diagonal(count)
    found = likeness[:, :count].argmax(1) == torch.arange(count, device=likeness.device)
    return {"recall_at_1": found.float().mean().item(), "hard_negatives_beaten": beaten.float().mean().item()}


def loss(model: Contrast, pooled: Tensor, truth: dict[str, Tensor], ids: Tensor) -> Tensor:
    """Contrast within the batch, against the hard negatives, and the supervised heads."""
    seen, logits = model.embed_pictures(tower.soften(pooled))
    likeness = model.scale.exp() * seen @ model.embed_texts(ids).T
    return contrast(likeness) + 0.4 * tower.supervised_loss(logits, truth)


@torch.no_grad()
def evaluate(model: Contrast, options: argparse.Namespace) -> dict[str, float]:
    """Returns retrieval among the validation captions and the share of hard negatives beaten."""
    model.eval()
    pooled, _, ids = Batches(options.work, VALIDATION_SEED, model.scale.device).draw(options.validation, complete=True)
    seen, _ = model.embed_pictures(pooled)
    found = retrieval(seen @ model.embed_texts(ids).T)
    model.train()
    return found


def folder(work: Path) -> Path:
    return work / "text_encoder" / "frozen"


def load(work: Path, device: torch.device | str = "cpu") -> CLIPTextModel:
    """Returns the frozen text encoder, in f32."""
    return CLIPTextModel.from_pretrained(folder(work), dtype=torch.float32).to(device).eval()


def train(
    options: argparse.Namespace, draw: Callable[[int], tuple[Tensor, dict[str, Tensor], Tensor]] | None = None
) -> None:
    """Trains to the end of the budget on what `draw` returns, and freezes the text encoder."""
    device = runs.prepare(options)
    run = runs.Run(options.work, "text_encoder", options.report_every, options.save_every)
    words = tokenizer.load(options.work).get_vocab_size()
    model = Contrast(build(words, options.width, options.layers), options.tower).to(device)
    model.picture.to(memory_format=torch.channels_last)
    mover = optimizer.Optimizer("muon", model, weight_decay=0.01, betas=(0.9, 0.98))
    step = 0
    if state := run.resume():
        model.load_state_dict(state["model"])
        mover.load_state_dict(state["optimizer"])
        step = state["step"]
    draw = draw or Batches(options.work, options.seed + step + 5, device).draw
    names = [head.name for head in tower.heads()]

    def losses(pooled: Tensor, ids: Tensor, *truth: Tensor) -> tuple[Tensor, ...]:
        return (loss(model, pooled, dict(zip(names, truth, strict=True)), ids),)

    descend = graph.Step(losses, mover)
    run.begin()
    while (share := run.seconds() / (60 * options.minutes)) < 1:
        pooled, truth, ids = draw(options.batch)
        value = descend((pooled, ids, *truth.values()), RATE * min(1.0, (step + 1) / 50) * max(0.02, 1 - share))
        model.scale.data.clamp_(0, 4.6)
        step += 1
        if run.due_report():
            run.report(step=step, loss=value.item(), **evaluate(model, options))
        if run.due_save():
            run.save(model=model.state_dict(), optimizer=mover.state_dict(), step=step)
            run.stop_in_time()
    run.save(model=model.state_dict(), optimizer=mover.state_dict(), step=step)
    model.text.half().float()
    run.report(event="frozen", step=step, samples=step * options.batch, **evaluate(model, options))
    model.text.half().save_pretrained(folder(options.work))


def arguments() -> argparse.ArgumentParser:
    parser = runs.arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--width", type=int, default=WIDTH, help="hidden size")
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--tower", type=int, default=24, help="width of the picture tower")
    parser.add_argument("--validation", type=int, default=256, help="captions in the retrieval test")
    parser.add_argument("--report-every", type=float, default=30.0)
    parser.add_argument("--save-every", type=float, default=120.0)
    return parser


def main() -> None:
    train(arguments().parse_args())


if __name__ == "__main__":
    main()
