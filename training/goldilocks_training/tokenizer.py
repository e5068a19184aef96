"""How does a caption become numbers? Trains a CLIP-style byte-level BPE on the captions.

Two things must hold that a naive training run breaks: all 256 bytes and their end-of-word forms are in the vocabulary (otherwise
a comma becomes the end of the text), and the special tokens come last (CLIP pools at the largest id).
"""

import argparse
import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from . import captions, vocabulary
from .split import TrainingScenes

LENGTH = 32
START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
VOCABULARY = 2000
"""Upper bound; the captions' few words are learned whole before it is reached."""


def _untrained() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=WORD_END, continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _complete(learned: dict[str, int]) -> dict[str, int]:
    """Renumbers the vocabulary with every byte in both forms and the special tokens last."""
    tokens = sorted(learned, key=learned.__getitem__)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens += [form for byte in alphabet for form in (byte, byte + WORD_END) if form not in learned]
    return {token: i for i, token in enumerate([*tokens, START, END])}


def train(texts: list[str]) -> Tokenizer:
    tokenizer = _untrained()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in learned["merges"]]
    numbered = _complete(learned["vocab"])
    tokenizer.model = models.BPE(
        vocab=numbered,
        merges=merges,
        end_of_word_suffix=WORD_END,
        continuing_subword_prefix="",
        unk_token=END,
    )
    tokenizer.add_special_tokens([START, END])
    specials = [(token, numbered[token]) for token in (START, END)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=specials)
    tokenizer.enable_padding(length=LENGTH, pad_id=numbered[END], pad_token=END)
    tokenizer.enable_truncation(LENGTH)
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Writes the tokenizer in every spelling its readers expect."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    model = json.loads(tokenizer.to_str())["model"]
    ordered = dict(sorted(model["vocab"].items(), key=lambda item: item[1]))
    (folder / "vocab.json").write_text(json.dumps(ordered, ensure_ascii=False) + "\n")
    merges = "\n".join(" ".join(merge) for merge in model["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    names = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(names, indent=2) + "\n")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "do_lower_case": True, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def folder(work: Path) -> Path:
    return work / "tokenizer"


def load(work: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder(work) / "tokenizer.json"))


def ids(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--captions", type=int, default=20_000)
    vocabulary.add_option(parser)
    options = parser.parse_args()
    scenes = TrainingScenes(seed=21)
    texts = [captions.caption(scenes.draw(), scenes.rng) for _ in range(options.captions)]
    tokenizer = train(texts)
    save(tokenizer, folder(options.work))
    longest = max(sum(encoding.attention_mask) for encoding in tokenizer.encode_batch(texts))
    print(json.dumps({"vocabulary": tokenizer.get_vocab_size(), "longest_caption": longest}))


if __name__ == "__main__":
    main()
