# A convenience, never required: each recipe is a line that can be typed as well.

# Serve the default family.
serve *args:
    cargo run --release -- serve {{args}}

# All tests.
test *args:
    cargo test --release {{args}}

# Formatting and lints, as the gate has them.
lint:
    cargo fmt --check
    cargo clippy --release --all-targets -- -D warnings

# Rewrite openapi/openapi.json from the code.
openapi:
    cargo run --release -- openapi > openapi/openapi.json.new && mv openapi/openapi.json.new openapi/openapi.json

# Rewrite docs/api-reference.md from the code.
reference:
    cargo run --release -- openapi --markdown > docs/api-reference.md.new && mv docs/api-reference.md.new docs/api-reference.md

# Measure the default family's scores again.
calibrate *args:
    cargo run --release -- calibrate quality {{args}}

# Times of operations and networks.
bench *args:
    cargo bench {{args}}

# Instructions of a step, against the baseline.
instructions *args:
    python scripts/instructions.py {{args}}

# The playground in Chromium.
browser *args:
    .ci/browser {{args}}

# Everything that the gate checks.
ci:
    .ci/run
