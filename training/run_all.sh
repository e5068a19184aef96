#!/usr/bin/env bash
# Trains the whole family from nothing and writes it to weights/emoji. Interrupted, it goes on where it stood.
# Usage: training/run_all.sh <working folder> [samples per U-Net]; PYTHON names the interpreter, DEVICE is cpu or cuda.
set -euo pipefail
cd "$(dirname "$0")"
work=$1
samples=${2:-128000}
python=${PYTHON:-python3}
device=${DEVICE:-cpu}
stage() {
  echo "== $*"
  "$python" -m "goldilocks_training.$1" "${@:2}"
}

stage tokenizer --work "$work"
# Two stages of one thread each run side by side.
stage autoencoder --work "$work" --device "$device" &
autoencoder=$!
stage text_encoder --work "$work" --device "$device"
stage evaluator --work "$work" --device "$device"
wait "$autoencoder"
stage latents --work "$work" --device "$device" --shards 8 &
other=$!
stage latents --work "$work" --device "$device" --first 8 --shards 8
wait "$other"
stage unet --work "$work" --device "$device" --channels 32 --samples "$samples" --bf16 &
widest=$!
for channels in 8 16; do
  stage unet --work "$work" --device "$device" --channels "$channels" --samples "$samples"
done
stage autoencoder --work "$work" --device "$device" --start "$work/autoencoder/frozen" --decoder-only --rate 4e-4 --minutes 8 --batch 8
stage student --work "$work" --device "$device" --teacher unet_c16 --name unet_c16_lcm
wait "$widest"
stage student --work "$work" --device "$device" --teacher unet_c32 --name unet_c32_lcm --bf16
stage ranker_latents --work "$work" --device "$device"
stage ranker --work "$work" --device "$device"
stage reference --work "$work"
stage export --work "$work" --target ../weights/emoji
stage contact_sheet --family ../weights/emoji --output ../docs/pictures/contact_sheet.png
