#!/usr/bin/env bash
# Step 3: the other U-Nets, students, reference. Usage: step3.sh <carry> <out> [options of goldilocks_training.gpu.widths]
set -euo pipefail
# shellcheck source=environment.sh
source "$(dirname "$0")/environment.sh"
"$python" -m goldilocks_training.gpu.widths --work "$work" --pieces "$carry/pieces" --out "$out" --finish --threads 8 "$@" 2>&1 |
  tee "$out/step3.log"
