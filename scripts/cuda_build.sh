#!/usr/bin/env bash
# Builds goldilocks for CUDA on a machine that has neither a GPU nor NVIDIA's toolkit.
#
#   scripts/cuda_build.sh TOOLKIT TARGET [CARGO ARGUMENTS]
#
# TOOLKIT  folder for CUDA 13.0 from PyPI: made if it is not there, 2 GB
# TARGET   Cargo's target folder; the program is TARGET/x86_64-unknown-linux-gnu/release/goldilocks
#
# CUDA_COMPUTE_CAP (90: Hopper) is the least compute capability that the kernels are for: newer ones
# translate them, older ones cannot.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 2 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$1" "$2"
toolkit="$(realpath "$1")"
target="$(realpath "$2")"
shift 2
triple=x86_64-unknown-linux-gnu
cuda="$toolkit/nvidia/cu13"

make_toolkit() {
  python3 -m pip install --quiet --no-deps --target "$toolkit" --upgrade \
    nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-cccl==13.0.85 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-nvrtc==13.0.88 nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35
  ln -sfn lib "$cuda/lib64"
  mkdir -p "$cuda/lib/stubs"
  # candle asks the linker for these libraries, and the program then calls none of them by name: it looks for
  # them when a model asks for a GPU. So empty ones do, which `--as-needed` leaves out.
  for library in cuda nvrtc curand cublas cublasLt; do
    gcc -shared -nostdlib -o "$cuda/lib/stubs/lib$library.so" -x c /dev/null
  done
  # The runtime is 1 MB, and asks for the driver only when it is called: it goes in.
  ln -sfn libcudart_static.a "$cuda/lib/libcudart.a"
  touch "$toolkit/complete"
}

[ -e "$toolkit/complete" ] || make_toolkit

export CUDA_HOME="$cuda" PATH="$cuda/bin:$PATH" CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-90}"
export LIBRARY_PATH="$cuda/lib:$cuda/lib/stubs" CARGO_TARGET_DIR="$target"
# candle links against CUDA's libraries, so that a program would not start without them, whatever it is asked
# to do. cudarc, which calls them, can load them later; candle offers no feature for that, and Cargo cannot
# take one away. `--target` keeps the flag from build scripts, which would refuse it.
exec cargo build --release --locked --target "$triple" --features cuda \
  --config "target.$triple.rustflags=['--cfg', 'feature=\"dynamic-loading\"']" "$@"
