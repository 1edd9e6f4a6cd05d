#!/usr/bin/env bash
# Compares the library's public declarations with Docs/public-api.txt, so that every change of the
# API shows in the change that makes it.
#
#     Scripts/public-api.sh            fails and shows the difference if the list is not up to date
#     Scripts/public-api.sh --update   writes the list
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

temporary=$(mktemp -d "${TMPDIR:-/tmp}/ragkit-api.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
bash Scripts/symbol-graph.sh "$temporary/symbols"
swift Scripts/public-api.swift "$temporary/symbols" >"$temporary/public-api.txt"

case "${1:-}" in
--update) cp "$temporary/public-api.txt" Docs/public-api.txt ;;
"")
    diff -u Docs/public-api.txt "$temporary/public-api.txt" || {
        echo "the public API is not what Docs/public-api.txt says: run Scripts/public-api.sh --update" >&2
        exit 1
    }
    ;;
*)
    echo "usage: Scripts/public-api.sh [--update]" >&2
    exit 2
    ;;
esac
