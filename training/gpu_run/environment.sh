# shellcheck shell=bash
# What every step needs; to be sourced. `carry` is the folder that travels, `out` what comes back.
set -euo pipefail
carry=$(realpath "$1")
out=$(realpath -m "$2")
shift 2
work=${WORK:-/tmp/goldilocks-gpu}
python=${PYTHON:-python3}
export GOLDILOCKS_VOCABULARY=large GOLDILOCKS_ATLAS=$carry/atlas.png PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p "$out" "$work"
# Packages the machine lacks travel as wheels and are only unpacked, where they are lacking.
if ! "$python" -c 'import diffusers' 2>/dev/null; then
  for wheel in "$carry"/wheels/*.whl; do "$python" -m zipfile -e "$wheel" "$work/site"; done
  export PYTHONPATH=$work/site
fi
