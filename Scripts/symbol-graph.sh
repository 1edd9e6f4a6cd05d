#!/usr/bin/env bash
# Extracts the symbol graph of the library's public declarations into a folder.
#
#     Scripts/symbol-graph.sh FOLDER
#
# It takes the module that `Scripts/test.sh` builds, so that nothing is compiled twice.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=${1:?usage: Scripts/symbol-graph.sh FOLDER}
bash Scripts/install-dependencies.sh

mkdir -p "$output"
flags=(-c release -Xswiftc -enable-testing)
built=$(swift build "${flags[@]}" --show-bin-path)
module="$built/Modules/RAGKit.swiftmodule"
# `swift build` would compile again what `swift test` has compiled: it plans them as different builds.
if [ ! -e "$module" ] || [ -n "$(find Package.swift Sources -newer "$module" -print -quit)" ]; then
    swift build "${flags[@]}" --target RAGKit
fi
# Users import one module; the C kernels below it are not documented for them. Extracting that module
# alone takes seconds; dumping the graph of the whole package fails on the test runner's generated modules.
swift-symbolgraph-extract -module-name RAGKit -minimum-access-level public -I "$built/Modules" \
    -target "$(swift -print-target-info | sed -n 's/^ *"triple": "\(.*\)",$/\1/p' | head -n 1)" \
    -Xcc "-fmodule-map-file=$built/RAGKitBLAS.build/module.modulemap" \
    -output-dir "$output"
