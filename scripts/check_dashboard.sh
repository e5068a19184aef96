#!/usr/bin/env bash
# Makes dashboards/schema/grafana.schema.json from the types that Grafana publishes, in a folder of its own, and says
# whether the committed one is the same. --write keeps the new one. Needs npm.
set -euo pipefail
cd "$(dirname "$0")/.."

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp dashboards/schema/{board.ts,package.json,tsconfig.json} "$work"
cd "$work"
npm install --silent --no-audit --no-fund
npx tsc --noEmit --project tsconfig.json
npx ts-json-schema-generator --path board.ts --tsconfig tsconfig.json --type Board --no-type-check --expose none \
  --minify --out schema.json
cd - >/dev/null
if [ "${1:-}" = --write ]; then
  cp "$work/schema.json" dashboards/schema/grafana.schema.json
fi
cmp "$work/schema.json" dashboards/schema/grafana.schema.json
echo "dashboards/schema/grafana.schema.json is what Grafana's types say"
