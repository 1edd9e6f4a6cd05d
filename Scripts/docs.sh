#!/usr/bin/env bash
# Builds the documentation with the toolchain's own DocC; a warning is an error.
#
#     Scripts/docs.sh               checks only
#     Scripts/docs.sh FOLDER        leaves RAGKit.doccarchive in FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

temporary=$(mktemp -d "${TMPDIR:-/tmp}/ragkit-docs.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
output=${1:-$temporary}
mkdir -p "$output"
bash Scripts/symbol-graph.sh "$temporary/symbols"

docc=$(command -v docc || xcrun --find docc)
"$docc" convert Sources/RAGKit/RAGKit.docc \
    --additional-symbol-graph-dir "$temporary/symbols" \
    --fallback-display-name RAGKit --fallback-bundle-identifier RAGKit \
    --output-path "$output/RAGKit.doccarchive" >"$temporary/log" 2>&1 || { cat "$temporary/log"; exit 1; }

# DocC wants a line for every parameter once there is one for any. Here a parameter that says all by its
# name has none, so this one warning is no error.
problems=$(awk '
    /^(warning|error):/ { wanted = !/Parameter .* is missing documentation/ }
    wanted' "$temporary/log" | grep -v '^Finished' || true)
if grep -qE '^(warning|error):' <<<"$problems"; then
    echo "$problems" >&2
    exit 1
fi
echo "documentation built"
