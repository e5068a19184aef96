#!/usr/bin/env bash
# Step 4, afterwards, without a GPU: turns the last pieces into a family. Usage: step4.sh <carry> <family folder> [captions to judge]
set -euo pipefail
# shellcheck source=environment.sh
source "$(dirname "$0")/environment.sh"
"$python" -m goldilocks_training.gpu.pieces unpack --work "$work" --pieces "$carry/pieces"
"$python" -m goldilocks_training.export --work "$work" --target "$out" --finished-only
"$python" -m goldilocks_training.contact_sheet --family "$out" --output "$work/contact_sheet.png"
read -ra steps <<<"${STEPS:-4 16}"
"$python" -m goldilocks_training.quality --family "$out" --captions "${1:-128}" --steps "${steps[@]}"
echo "family in $out, contact sheet at $work/contact_sheet.png"
