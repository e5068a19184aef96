#!/usr/bin/env python3
"""What does a machine with a GPU need to check goldilocks? One folder, to be carried there.

    scripts/gpu_check/pack.py FOLDER PROGRAMS

PROGRAMS is the folder of a build, `TARGET/x86_64-unknown-linux-gnu/release` of scripts/cuda_build.sh, with
`goldilocks` and the benchmark worker `peer_worker`. There, `python3 FOLDER/check.py` needs Python with PyTorch,
transformers, NumPy and safetensors; no Rust, no network. The folder is under 64 MiB.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
# What the peers are made of, beside what comes with PyTorch and transformers.
WHEELS = ("diffusers==0.42.1", "importlib_metadata==10.2.0", "zipp==4.1.2")
LIMIT = 64 << 20


def main() -> None:
    """Fills the folder and says how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("programs", type=Path)
    args = parser.parse_args()
    if args.folder.exists() and any(args.folder.iterdir()):
        sys.exit(f"{args.folder} is not empty")
    args.folder.mkdir(parents=True, exist_ok=True)
    for file in Path(__file__).resolve().parent.glob("*.py"):
        if file.name != "pack.py":
            shutil.copy(file, args.folder)
    repository = args.folder / "repository"
    copy("bench/peers", repository, "RESULTS.md", "STARTUP.md", "*.json", "sd15", "__pycache__")
    copy("weights/emoji", repository, "evaluation", "evaluator", "__pycache__")
    copy("tests/golden", repository, "evaluator", "ranker", "cost.json", "samplers.json")
    copy("calibration", repository)
    shutil.copy(REPOSITORY / "models.toml", repository)
    pack_programs(args.programs, args.folder / "programs.tar.xz")
    (args.folder / "commit").write_text(said("git", "describe", "--always", "--dirty") + "\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", args.folder / "wheels"]
    subprocess.run([*command, *WHEELS], check=True)
    size = sum(file.stat().st_size for file in args.folder.rglob("*") if file.is_file())
    print(f"{args.folder}: {size / (1 << 20):.1f} MiB; there: python3 {args.folder.name}/check.py")
    if size > LIMIT:
        sys.exit("that is over 64 MiB")


def copy(name: str, to: Path, *without: str) -> None:
    """Copies a folder of the repository."""
    shutil.copytree(REPOSITORY / name, to / name, ignore=shutil.ignore_patterns(*without))


def pack_programs(programs: Path, archive: Path) -> None:
    """Both programs, stripped; they have nearly everything in common, which xz finds."""
    workers = sorted((programs / "deps").glob("peer_worker-*"), key=lambda file: file.stat().st_mtime)
    workers = [file for file in workers if not file.suffix]
    if not workers:
        sys.exit(f"no peer_worker in {programs}/deps; build with --bench peer_worker too")
    with tempfile.TemporaryDirectory() as folder:
        for name, program in (("goldilocks", programs / "goldilocks"), ("peer_worker", workers[-1])):
            subprocess.run(["strip", "-o", Path(folder) / name, program], check=True)
        with tarfile.open(archive, "w:xz", preset=6) as tar:
            for name in ("goldilocks", "peer_worker"):
                tar.add(Path(folder) / name, name)


def said(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
