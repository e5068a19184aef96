#!/usr/bin/env bash
# Step 2: latents, throughput test, U-Nets. Usage: step2.sh <carry> <out> [options of goldilocks_training.gpu.widths]
set -euo pipefail
# shellcheck source=environment.sh
source "$(dirname "$0")/environment.sh"
"$python" -m goldilocks_training.gpu.widths --work "$work" --pieces "$carry/pieces" --out "$out" "$@" 2>&1 | tee "$out/step2.log"
