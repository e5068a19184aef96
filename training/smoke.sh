#!/usr/bin/env bash
# Runs every stage once at a tiny size, on the CPU: proves that the pipeline holds together, not that it learns.
# Usage: training/smoke.sh [empty working folder]; PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")"
work=${1:-$(mktemp -d)}
python=${PYTHON:-python3}
stage() {
  echo "== $1"
  "$python" -m "goldilocks_training.$1" "${@:2}"
}

stage tokenizer --work "$work" --captions 2000
stage autoencoder --work "$work" --minutes 0.1 --batch 4 --widths 8 8 8 8 --validation 4 --statistics 32 --report-every 2
stage autoencoder --work "$work" --minutes 0.05 --batch 4 --widths 8 8 8 8 --validation 4 --start "$work/autoencoder/frozen" --decoder-only
stage text_encoder --work "$work" --minutes 0.1 --batch 8 --layers 1 --tower 4 --validation 16 --report-every 2
stage evaluator --work "$work" --minutes 0.1 --batch 8 --tower 4 --validation 32 --report-every 2
stage latents --work "$work" --shards 1 --size 64
stage unet --work "$work" --channels 8 --samples 64 --batch 16 --report-every 1
# Resumes from the checkpoint of the run above.
stage unet --work "$work" --channels 8 --samples 96 --batch 16 --bf16 --report-every 1
stage student --work "$work" --teacher unet_c8 --name unet_c8_lcm --samples 32 --batch 16 --teacher-steps 3 --eta 1
stage ranker_latents --work "$work" --unets unet_c8 --shards 1 --size 64
stage ranker --work "$work" --minutes 0.1 --batch 8 --width 16 --layers 1 --validation 16 --report-every 2
stage reference --work "$work" --count 32
stage ablation --work "$work" --samples 32 --captions 4 --steps 2 --variants baseline curriculum epsilon
stage export --work "$work" --target "$work/family"
stage contact_sheet --family "$work/family" --output "$work/sheet.png" --side 48
stage quality --family "$work/family" --captions 4 --steps 2 --candidates 2
test -s "$work/sheet.png" -a -s "$work/family/unet-c8-lcm/diffusion_pytorch_model.safetensors" -a -s "$work/family/image_encoder/model.safetensors"
echo "== every stage ran; results in $work"
