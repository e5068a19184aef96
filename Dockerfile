# syntax=docker/dockerfile:1
# One file for CPU (default) and CUDA:
#   docker build -t goldilocks .
#   docker build -t goldilocks:cuda --build-arg FEATURES=cuda \
#     --build-arg BUILD=nvidia/cuda:13.0.2-devel-ubuntu24.04 --build-arg BASE=nvidia/cuda:13.0.2-runtime-ubuntu24.04 .
ARG BUILD=debian:trixie-slim
ARG BASE=debian:trixie-slim

FROM rust:1.95-slim-trixie AS toolchain

FROM ${BUILD} AS build
ARG FEATURES=""
# Hopper; only a build with FEATURES=cuda looks at it, and there is no GPU to ask.
ARG CUDA_COMPUTE_CAP=90
ENV CUDA_COMPUTE_CAP=$CUDA_COMPUTE_CAP
ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup PATH=/usr/local/cargo/bin:$PATH
COPY --from=toolchain /usr/local/cargo /usr/local/cargo
COPY --from=toolchain /usr/local/rustup /usr/local/rustup
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# Dependencies first: this layer is rebuilt only when the manifests change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/it \
 && echo 'fn main() {}' | tee src/main.rs tests/it/main.rs \
 && touch src/lib.rs \
 && cargo build --release --locked --features "${FEATURES}" \
 && rm -rf src tests
COPY src src
COPY web web
COPY tests/it/main.rs tests/it/main.rs
RUN touch src/lib.rs src/main.rs \
 && cargo build --release --locked --features "${FEATURES}" \
 && strip --strip-debug target/release/goldilocks

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends curl \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 10001 goldilocks \
 && useradd --system --uid 10001 --gid goldilocks --home-dir /srv/goldilocks goldilocks \
 && install --directory --owner=goldilocks --group=goldilocks /var/lib/goldilocks
COPY --from=build /build/target/release/goldilocks /usr/local/bin/goldilocks
WORKDIR /srv/goldilocks
# The default family. Mount your own models.toml and weights over these to serve others.
COPY models.toml ./
COPY weights weights
COPY calibration calibration
# By number, so that an orchestrator can check that it is not root.
USER 10001:10001
EXPOSE 8080
# Variables rather than arguments, so that `docker run goldilocks doctor` looks at the same as the server. The health
# check below has no key.
ENV GOLDILOCKS_LISTEN=0.0.0.0:8080 GOLDILOCKS_STATE_DIR=/var/lib/goldilocks GOLDILOCKS_OPEN_PROBES=true
VOLUME /var/lib/goldilocks
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
  CMD ["curl", "--silent", "--fail", "--output", "/dev/null", "http://127.0.0.1:8080/livez"]
ENTRYPOINT ["goldilocks"]
CMD ["serve"]
