#!/usr/bin/env bash
# Checks that the code is laid out as .swift-format says.
#
#     Scripts/format.sh          names every place that is not, and fails if there is one
#     Scripts/format.sh --fix    lays it out
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
"") mode=(lint --strict) ;;
--fix) mode=(format --in-place) ;;
*)
    echo "usage: Scripts/format.sh [--fix]" >&2
    exit 2
    ;;
esac

# What git would track, so that build folders inside the packages stay out.
git ls-files -z --cached --others --exclude-standard -- \
    Package.swift 'Sources/*.swift' 'Tests/*.swift' 'Examples/*.swift' 'Benchmarks/*.swift' |
    xargs -0 swift format "${mode[@]}" --parallel
