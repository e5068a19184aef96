"""How well does a latent suit a caption? Trains the picture side of the conditioning CLIP pair, on latents.

The text encoder is frozen: a `CLIPVisionModelWithProjection` and a projection of the pooled text learn to agree with it. Latents
instead of pixels, so that candidates are compared before any is decoded, and half of them disturbed, so that early guesses and
imperfect drawings can be compared too. It is not the evaluator and never learns from it: a server may choose by the ranker and
still be judged.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from . import graph, optimizer, ranker_latents, runs, text_encoder, tower

WIDTH = 96
LAYERS = 3
PATCH = 2
PROJECTION = 128
RATE = 3e-3
HELD_OUT = 1024
"""Scenes that no step draws."""
VALIDATION_SEED = 930_001
TEXT_PROJECTION = "text_projection.weight"


def build(latent: torch.Size, width: int = WIDTH, layers: int = LAYERS) -> CLIPVisionModelWithProjection:
    """Returns an untrained picture tower for latents of channels, height and width."""
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=PROJECTION,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_channels=latent[0],
        image_size=latent[-1],
        patch_size=PATCH,
        hidden_act="quick_gelu",
    )
    return CLIPVisionModelWithProjection(config)


class Ranker(nn.Module):
    """Latents and captions in one space; the text encoder below is frozen."""

    def __init__(self, text: CLIPTextModel, picture: CLIPVisionModelWithProjection) -> None:
        super().__init__()
        self.text, self.picture = text.requires_grad_(False), picture
        self.text_projection = nn.Linear(text.config.hidden_size, PROJECTION, bias=False)

    def embed_texts(self, ids: Tensor) -> Tensor:
        with torch.no_grad():
            pooled = self.text(ids).pooler_output
        return functional.normalize(self.text_projection(pooled), dim=-1)

    def embed_latents(self, latents: Tensor) -> Tensor:
        return functional.normalize(self.picture(pixel_values=latents).image_embeds, dim=-1)


class Training(nn.Module):
    """A ranker with what only its training needs: a temperature, and supervised heads, or the features lose colours."""

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker
        self.heads = nn.ModuleDict({head.name: nn.Linear(PROJECTION, len(head.classes)) for head in tower.heads()})
        self.scale = nn.Parameter(torch.tensor(2.6))

    def loss(self, latents: Tensor, ids: Tensor, truth: dict[str, Tensor]) -> Tensor:
        """Contrast within the batch, against the hard negatives, and the supervised heads."""
        embedded = self.ranker.picture(pixel_values=disturb(latents)).image_embeds
        likeness = self.scale.exp() * functional.normalize(embedded, dim=-1) @ self.ranker.embed_texts(ids).T
        logits = {name: head(embedded) for name, head in self.heads.items()}
        return text_encoder.contrast(likeness) + 0.4 * tower.supervised_loss(logits, truth)


def shift(latents: Tensor) -> Tensor:
    """Moves every latent by at most one position each way; what enters repeats the edge."""
    count, channels, side, _ = latents.shape
    padded = functional.pad(latents, (1, 1, 1, 1), mode="replicate")
    corners = torch.randint(3, (2, count, 1), device=latents.device)
    rows, columns = corners + torch.arange(side, device=latents.device)
    each = torch.arange(count, device=latents.device).view(-1, 1, 1, 1)
    every = torch.arange(channels, device=latents.device).view(1, -1, 1, 1)
    return padded[each, every, rows[:, None, :, None], columns[:, None, None, :]]


def disturb(latents: Tensor) -> Tensor:
    """Shifts a batch, blurs half of it and adds noise to all of it, each latent by its own strength."""
    latents = shift(latents)
    half = len(latents) // 2
    strength = torch.rand(len(latents), 1, 1, 1, device=latents.device)
    blurred = functional.avg_pool2d(latents[:half], 3, stride=1, padding=1, count_include_pad=False)
    mixed = torch.cat([latents[:half] + strength[:half] * (blurred - latents[:half]), latents[half:]])
    gain = 1 + 0.06 * torch.randn(len(latents), latents.shape[1], 1, 1, device=latents.device)
    noise = 0.4 * torch.rand_like(strength).square() * torch.randn_like(mixed)
    return mixed * gain + noise


class Data:
    """Latents and guesses with captions; the last scenes are held out."""

    def __init__(self, options: argparse.Namespace, device: torch.device) -> None:
        self._latents, self._scenes = ranker_latents.load(options.work, device)
        self._captions, self._device = text_encoder.Captions(options.work, device), device
        self._held_out = min(HELD_OUT, len(self._scenes) // 4)

    @property
    def shape(self) -> torch.Size:
        """Channels, height and width of a latent."""
        return self._latents.shape[2:]

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Returns latents, as many of them guesses as not, ids of all right and all wrong captions, and labels by head."""
        chosen = rng.integers(len(self._scenes) - self._held_out, size=count)
        scenes = [self._scenes[i] for i in chosen]
        truth = {name: label.to(self._device) for name, label in tower.labels(scenes).items()}
        kinds = torch.arange(count) % 2
        return self._latents[torch.from_numpy(chosen), kinds].float(), self._captions.draw(scenes, rng), truth

    def held_out(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Returns latents and guesses of the same scenes, always the same, and ids of their right and wrong captions."""
        first = len(self._scenes) - min(count, self._held_out)
        ids = self._captions.draw(self._scenes[first:], np.random.default_rng(VALIDATION_SEED), complete=True)
        return self._latents[first:, 0].float(), self._latents[first:, 1].float(), ids


@torch.no_grad()
def evaluate(ranker: Ranker, data: Data, count: int) -> dict[str, float]:
    """Returns retrieval among the held-out captions, by latents and by guesses."""
    ranker.eval()
    clean, guesses, ids = data.held_out(count)
    texts = ranker.embed_texts(ids)
    of_guesses = text_encoder.retrieval(ranker.embed_latents(guesses) @ texts.T)
    return {
        **text_encoder.retrieval(ranker.embed_latents(clean) @ texts.T),
        **{f"guesses_{name}": share for name, share in of_guesses.items()},
    }


def folder(work: Path) -> Path:
    return work / "ranker" / "frozen"


def export(ranker: Ranker, target: Path) -> None:
    """Writes the picture tower in f16, and beside its tensors the projection of the text, which transformers passes over."""
    ranker.picture.half().save_pretrained(target)
    tensors = load_file(target / "model.safetensors")
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith("position_ids")}
    tensors[TEXT_PROJECTION] = ranker.text_projection.weight.detach().half().cpu().contiguous()
    save_file(tensors, target / "model.safetensors", {"format": "pt"})


def load(source: Path, text: CLIPTextModel) -> Ranker:
    """Returns an exported ranker over its text encoder, in f32."""
    ranker = Ranker(text, CLIPVisionModelWithProjection.from_pretrained(source, dtype=torch.float32))
    projection = load_file(source / "model.safetensors")[TEXT_PROJECTION].float()
    ranker.text_projection.load_state_dict({"weight": projection})
    return ranker.eval()


def train(options: argparse.Namespace) -> None:
    """Trains to the end of the budget, and freezes."""
    device = runs.prepare(options)
    run = runs.Run(options.work, "ranker", options.report_every, options.save_every)
    data = Data(options, device)
    ranker = Ranker(text_encoder.load(options.work, device), build(data.shape, options.width, options.layers))
    model = Training(ranker).to(device)
    mover = optimizer.Optimizer("muon", model, weight_decay=0.01, betas=(0.9, 0.98))
    step = 0
    if state := run.resume():
        model.load_state_dict(state["model"])
        mover.load_state_dict(state["optimizer"])
        step = state["step"]
    rng = np.random.default_rng(options.seed + step + 7)
    names = [head.name for head in tower.heads()]

    def losses(latents: Tensor, ids: Tensor, *truth: Tensor) -> tuple[Tensor, ...]:
        return (model.loss(latents, ids, dict(zip(names, truth, strict=True))),)

    descend = graph.Step(losses, mover)
    run.begin()
    while (share := run.seconds() / (60 * options.minutes)) < 1:
        latents, ids, truth = data.draw(options.batch, rng)
        rate = RATE * min(1.0, (step + 1) / 50) * max(0.02, 1 - share)
        value = descend((latents, ids, *truth.values()), rate)
        model.scale.data.clamp_(0, 4.6)
        step += 1
        if run.due_report():
            run.report(step=step, loss=value.item(), **evaluate(ranker, data, options.validation))
        if run.due_save():
            run.save(model=model.state_dict(), optimizer=mover.state_dict(), step=step)
            run.stop_in_time()
    run.save(model=model.state_dict(), optimizer=mover.state_dict(), step=step)
    export(ranker, folder(options.work))
    frozen = load(folder(options.work), text_encoder.load(options.work)).to(device)
    run.report(event="frozen", step=step, samples=step * options.batch, **evaluate(frozen, data, options.validation))


def arguments() -> argparse.ArgumentParser:
    parser = runs.arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--width", type=int, default=WIDTH, help="hidden size")
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--validation", type=int, default=256, help="captions in the retrieval test")
    parser.add_argument("--report-every", type=float, default=30.0)
    parser.add_argument("--save-every", type=float, default=120.0)
    return parser


def main() -> None:
    train(arguments().parse_args())


if __name__ == "__main__":
    main()
