#!/usr/bin/env bash
# Does a running server do what its own OpenAPI document says? schemathesis asks, with all of its checks.
#
#   scripts/check_openapi.sh [http://127.0.0.1:8080]
#
# Needs `pip install schemathesis` (written against 4.32.5), on the path or in SCHEMATHESIS. A server that was
# started with --max-tflops 0.02 refuses the dearest requests and makes this a matter of a minute or two.
set -euo pipefail
cd "$(dirname "$0")"
url="${1:-http://127.0.0.1:8080}"
# A cancelled job can be asked after: that it was cancelled is its answer.
exec "${SCHEMATHESIS:-schemathesis}" --config-file check_openapi.toml \
  run "$url/openapi.json" --checks all --exclude-checks use_after_free --no-color
