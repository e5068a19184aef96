"""Which network is compiled, and for which shapes?"""

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy

# Whose versions decide what an export looks like.
EXPORTERS = ("torch", "diffusers", "transformers")


@dataclass(frozen=True)
class Part:
    """A network at fixed shapes: `unet` takes sample, timesteps and states, `decode` latents, `text` token ids."""

    kind: str
    folder: Path
    examples: dict[str, numpy.ndarray]

    def key(self, *packages: str) -> str:
        """A name for what is made of it, the same as long as weights, shapes and versions are."""
        sha = hashlib.sha256()
        versions = [metadata.version(name) for name in (*EXPORTERS, *packages)]
        shapes = [values.shape for values in self.examples.values()]
        sha.update(repr((self.kind, versions, shapes)).encode())
        for file in (self.folder / "config.json", *sorted(self.folder.glob("*.safetensors"))):
            with file.open("rb") as content:
                sha.update(hashlib.file_digest(content, "sha256").digest())
        return sha.hexdigest()[:16]

    @property
    def is_large(self) -> bool:
        """Whether an f32 copy of its weights goes beyond protobuf's 2 GB."""
        return sum(file.stat().st_size for file in self.folder.glob("*.safetensors")) > 1 << 29
