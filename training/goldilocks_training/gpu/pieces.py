"""How does the work survive the machine it was done on? Everything worth keeping goes into one archive, cut into files that every
transport takes; unpacked on another machine, each stage goes on where it stood.

Weights travel as they will ship: f16 averages and frozen parts. Only a stage that has neither yet sends its checkpoint.
"""

import argparse
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

PIECE = 15 * 2**20
"""Bytes in a file, at most."""
MANIFEST = "pieces.json"
KEPT = ("*.json", "*/*.jsonl", "*/progress.json", "*/frozen/*", "*/average/*", "tokenizer/*", "evaluation/*")
CHECKPOINT = "checkpoint.pt"


def kept(work: Path) -> Iterator[Path]:
    """Returns the files to keep, sorted."""
    files = {path for pattern in KEPT for path in work.glob(pattern) if path.is_file()}
    begun = {path.parent for path in work.glob(f"*/{CHECKPOINT}")}
    files |= {
        stage / CHECKPOINT for stage in begun if not (stage / "frozen").exists() and not (stage / "average").exists()
    }
    return iter(sorted(path for path in files if not path.relative_to(work).parts[0].startswith("trial_")))


def pack(work: Path, target: Path) -> dict:
    """Replaces the pieces in a folder and, last, the manifest; returns the manifest."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in kept(work):
            archive.add(path, path.relative_to(work))
    data = buffer.getvalue()
    cut = {f"piece-{i}": data[start : start + PIECE] for i, start in enumerate(range(0, len(data), PIECE))}
    pieces = [
        {"name": name, "bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()} for name, part in cut.items()
    ]
    manifest = {"pieces": pieces}
    files = {**cut, MANIFEST: (json.dumps(manifest, indent=1) + "\n").encode()}
    target.mkdir(parents=True, exist_ok=True)
    for name, part in files.items():
        (target / f"{name}.partial").write_bytes(part)
    for name in files:  # renaming takes no time, so a step that is killed leaves the old pieces or the new ones
        (target / f"{name}.partial").replace(target / name)
    for stale in set(target.glob("piece-*")) - {target / name for name in files}:
        stale.unlink()
    return manifest


def unpack(source: Path, work: Path) -> int:
    """Extracts what the working folder lacks; returns the number of files."""
    manifest = json.loads((source / MANIFEST).read_text())
    data = bytearray()
    for piece in manifest["pieces"]:
        read = (source / piece["name"]).read_bytes()
        if hashlib.sha256(read).hexdigest() != piece["sha256"]:
            raise ValueError(
                f"{source / piece['name']} is not what {MANIFEST} says: fetch all pieces of one step together"
            )
        data += read
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        missing = [member for member in archive if not (work / member.name).exists()]
        archive.extractall(work, missing, filter="data")
    return len(missing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("pack", "unpack"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--pieces", type=Path, required=True, help="folder of the pieces")
    options = parser.parse_args()
    if options.verb == "pack":
        print(json.dumps(pack(options.work, options.pieces)))
    else:
        print(json.dumps({"files": unpack(options.pieces, options.work)}))


if __name__ == "__main__":
    main()
