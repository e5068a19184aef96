#!/usr/bin/env bash
# Step 0, beforehand, without a GPU: gathers what travels into one folder.
# Usage: step0.sh <carry>; PYTHON names the interpreter, START an autoencoder to go on from, WHEELS=no leaves the packages out.
set -euo pipefail
mkdir -p "$1"
carry=$(realpath "$1")
python=${PYTHON:-python3}
cd "$(dirname "$0")/.."
export GOLDILOCKS_VOCABULARY=large
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m goldilocks_training.atlas --output "$carry/atlas.png"
"$python" -m goldilocks_training.tokenizer --work "$work" --captions "${CAPTIONS:-30000}"
"$python" -m goldilocks_training.gpu.pieces pack --work "$work" --pieces "$carry/pieces"
if [ -n "${START:-}" ]; then mkdir -p "$carry/start" && cp "$START"/* "$carry/start/"; fi
if [ "${WHEELS:-yes}" = yes ]; then
  "$python" -m pip download --quiet --no-deps --only-binary=:all: --dest "$carry/wheels" diffusers==0.42.1 importlib_metadata zipp
fi
du -sm "$carry" | awk '{ print $1 " MiB travel"; exit $1 > 60 }'
