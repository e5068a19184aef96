#!/usr/bin/env bash
# Runs all steps at a tiny size on the CPU, each on a fresh "machine", the second one cut off once: proves that the steps hold
# together and that nothing is lost between them, not that anything is learned. Usage: rehearse.sh [empty folder]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$(mktemp -d)}
carry=$folder/carry
tiny=(--device cpu --threads 1 --workers 2 --shard 32 --deadline-seconds 300)
unets=("${tiny[@]}" --shards 3 --batch 8 --widths 16 8 --unet-seconds 12 --student-seconds 6 --probe-seconds 0.5 --trial-steps 4
  --teachers 8 --reference 32)

# Runs a step on a machine that knows nothing, checks its exit status and lets its pieces travel on.
step() {
  local number=$1 expected=$2 status=0
  shift 2
  echo "== step $number"
  WORK=$folder/machine "$here/step$number.sh" "$carry" "$folder/out" "$@" || status=$?
  [ "$status" -eq "$expected" ] || { echo "step $number ended with $status, not $expected" >&2; exit 1; }
  [ "$(find "$folder/out" -type f | wc -l)" -le 8 ] && [ -z "$(find "$folder/out" -type f -size +16M)" ]
  rm -rf "$carry/pieces" "$folder/machine"
  mkdir -p "$carry/pieces" && mv "$folder/out"/piece* "$carry/pieces/" && rm -rf "$folder/out"
}

echo "== step 0"
WHEELS=no CAPTIONS=3000 "$here/step0.sh" "$carry"
step 1 3 "${tiny[@]}" --deadline-seconds 9 --pool 2 --minutes 0.05 0.05 0.05 --batches 8 8 8 --widths 8 8 8 8 --layers 1 --towers 4 4 --validation 8
step 1 0 "${tiny[@]}" --pool 2 --minutes 0.05 0.05 0.05 --batches 8 8 8 --widths 8 8 8 8 --layers 1 --towers 4 4 --validation 8
# Too little time: the first U-Net is cut off and goes on from its average.
step 2 3 "${unets[@]}" --deadline-seconds 15
step 2 0 "${unets[@]}"
step 3 0 "${unets[@]}" --finish-seconds 5
echo "== step 4"
WORK=$folder/machine STEPS=2 "$here/step4.sh" "$carry" "$folder/family" 4
test -s "$folder/family/unet-c16/diffusion_pytorch_model.safetensors" -a -s "$folder/family/unet-c8-lcm/config.json"
echo "== rehearsed; the family is in $folder/family"
