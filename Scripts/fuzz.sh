#!/usr/bin/env bash
# Gives the readers of files bytes that libFuzzer makes up, under the address sanitizer, until one crashes,
# hangs, or takes too much memory.
#
#     Scripts/fuzz.sh                            every harness of Tests/Fuzz, ten minutes each
#     Scripts/fuzz.sh --seconds 60 TokenizerJSONFile
#
# A harness says in comments which files it is compiled with (`// sources:`) and where its first inputs are
# (`// seeds:`). What makes a reader fail is kept as .build/fuzz/NAME/crash-*; the corpus grows beside it.
set -euo pipefail
shopt -s globstar
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=600
if [ "${1:-}" = --seconds ]; then
    seconds=$2
    shift 2
fi
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    mapfile -t names < <(grep -l LLVMFuzzerTestOneInput Tests/Fuzz/*.swift | xargs -n 1 basename -s .swift)
fi

# The patterns behind a word in the comments of a harness, as files.
listed() {
    local pattern
    for pattern in $(sed -n "s|^// $1: ||p" "$2"); do
        compgen -G "$pattern" || { echo "$2: nothing is at $pattern" >&2; return 1; }
    done
}

for name in "${names[@]}"; do
    harness="Tests/Fuzz/$name.swift"
    folder=".build/fuzz/$name"
    mkdir -p "$folder/corpus" "$folder/seeds"
    mapfile -t sources < <(listed sources "$harness")
    count=0
    while read -r seed; do
        count=$((count + 1))
        cp "$seed" "$folder/seeds/$count"
    done < <(listed seeds "$harness")

    echo "== $name: building, then $seconds s"
    swiftc -sanitize=fuzzer,address -parse-as-library -swift-version 6 -O \
        -enable-upcoming-feature NonisolatedNonsendingByDefault \
        -module-name Fuzz "${sources[@]}" "$harness" -o "$folder/run" >"$folder/build-log" 2>&1 || {
        grep -v 'Cannot export local symbol' "$folder/build-log"
        exit 1
    }
    # Without this the crash handler of Swift hangs the run and no crash file is written.
    SWIFT_BACKTRACE=enable=no "$folder/run" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=2048 \
        -max_len=65536 -artifact_prefix="$folder/" -print_final_stats=1 \
        "$folder/corpus" "$folder/seeds" >"$folder/log" 2>&1 || {
        tail -n 40 "$folder/log"
        echo "$name failed; its input is in $folder, its output in $folder/log" >&2
        exit 1
    }
    tail -n 8 "$folder/log"
done
