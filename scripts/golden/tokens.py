"""Which tokenizer do the tiny models have? A CLIP-style byte-pair encoding with a few dozen merges."""

import json
from collections import Counter
from pathlib import Path

from shapes import Shape
from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
N_MERGES = 64
CORPUS = (
    "a photo of a cat a red cat on grass two dogs and three birds a small house on the hill "
    "the cat sat on the mat a large green tree near the river an orange car in the street at night "
    "a blue ball to the left of a yellow box the sun above the sea a painting of the mountain in the snow"
)


def byte_letters() -> list[str]:
    """The 256 letters that stand for bytes in CLIP's and GPT-2's vocabularies, printable ones first."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = len([b for b in range(256) if b not in printable])
    return [chr(code) for code in printable + list(range(256, 256 + others))]


def train_merges() -> list[tuple[str, str]]:
    """Byte-pair merges of the corpus, most frequent pair first; ties go to the first in the alphabet."""
    words = Counter(CORPUS.split())
    pieces = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges = []
    while len(merges) < N_MERGES:
        pairs = Counter()
        for word, count in words.items():
            for pair in zip(pieces[word], pieces[word][1:]):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = {word: merged(parts, best) for word, parts in pieces.items()}
    return merges


def merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """`parts` with every occurrence of `pair` joined, from the left."""
    result: list[str] = []
    for part in parts:
        if result and (result[-1], part) == pair:
            result[-1] += part
        else:
            result.append(part)
    return result


def write_tokenizer(folder: Path, shape: Shape, context: int) -> dict[str, int]:
    """Writes the tokenizer's files and returns what the text encoder's configuration says of them."""
    folder.mkdir(parents=True, exist_ok=True)
    letters, merges = byte_letters(), train_merges()
    entries = letters + [letter + "</w>" for letter in letters]
    entries += ["".join(pair) for pair in merges] + [START, END]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    specials = {"bos_token": START, "eos_token": END, "pad_token": shape.pad_token, "unk_token": END}
    settings = {"add_prefix_space": False, "do_lower_case": True, "model_max_length": context}
    write_json(folder / "vocab.json", vocabulary, indent=None)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "special_tokens_map.json", specials)
    write_json(folder / "tokenizer_config.json", specials | settings | {"tokenizer_class": "CLIPTokenizer"})
    if shape.fast_tokenizer:
        tokenizer = CLIPTokenizer.from_pretrained(folder)
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    return {
        "bos_token_id": vocabulary[START],
        "eos_token_id": vocabulary[END],
        "pad_token_id": vocabulary[shape.pad_token],
        "vocab_size": len(vocabulary),
    }


def write_json(path: Path, value: object, indent: int | None = 2) -> None:
    """Writes `value` as JSON with a final newline."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
