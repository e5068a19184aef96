#!/usr/bin/env python3
"""Do the Python examples of the documents run as they stand? Tries each on a running server.

    python scripts/check_examples.py [--server http://127.0.0.1:8080] [FILE.md ..]

Needs what the examples import: `pip install openai`. Exits with 1 if one failed.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# The address that the documents ask.
WRITTEN = "http://127.0.0.1:8080"


def examples(path):
    """Returns the line and the text of every Python example of a document."""
    text = path.read_text()
    for found in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, found.start()) + 2, found[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default=WRITTEN)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.md")
    args = parser.parse_args()
    files = args.files or [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    found = [(path, line, text) for path in files for line, text in examples(path)]
    failed = 0
    for path, line, text in found:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", text.replace(WRITTEN, args.server)]
            done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
        failed += done.returncode != 0
        print(
            f"{'FAILED ' if done.returncode else 'ok     '} {path.name}:{line} {done.stdout.strip()[:60]}{done.stderr}"
        )
    print(f"{len(found) - failed} of {len(found)} examples ran")
    sys.exit(1 if failed or not found else 0)


if __name__ == "__main__":
    main()
