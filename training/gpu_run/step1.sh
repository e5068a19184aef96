#!/usr/bin/env bash
# Step 1: autoencoder, text encoder, evaluator. Usage: step1.sh <carry> <out> [options of goldilocks_training.gpu.foundation]
set -euo pipefail
# shellcheck source=environment.sh
source "$(dirname "$0")/environment.sh"
start=()
if [ -d "$carry/start" ]; then start=(--start "$carry/start"); fi
"$python" -m goldilocks_training.gpu.foundation --work "$work" --pieces "$carry/pieces" --out "$out" "${start[@]}" "$@" 2>&1 |
  tee "$out/step1.log"
