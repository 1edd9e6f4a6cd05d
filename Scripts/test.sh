#!/usr/bin/env bash
# Installs what is missing, builds, and runs the test suite.
#
#     Scripts/test.sh                       everything
#     Scripts/test.sh --fast                all but the tests tagged slow
#     Scripts/test.sh --filter Retrieval    what `swift test` takes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash Scripts/install-dependencies.sh

arguments=()
for argument in "$@"; do
    case "$argument" in
    # `swift test` cannot skip by tag: Tests/RAGKitTests/Support/Tags.swift reads the variable.
    --fast) export RAGKIT_TESTS=fast ;;
    *) arguments+=("$argument") ;;
    esac
done

# Release mode, as users build it. In a fresh clone it took 361 s of processor time to build and 38 s to
# run; debug Swift over optimized C kernels took 208 s to build and more than 350 s to run, since the plain
# loops that results are compared with are Swift, and tests that time something fail there.
exec swift test -c release -Xswiftc -enable-testing ${arguments[@]+"${arguments[@]}"}
