#!/usr/bin/env bash
# The long tests: the whole suite, then the suites with threads, raw pointers or hostile files under the
# thread and the address sanitizer.
#
#     Scripts/test-all.sh                   everything
#     Scripts/test-all.sh suite thread      some of: suite thread address
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash Scripts/install-dependencies.sh

suite() {
    bash Scripts/test.sh
}

# The sanitizers keep build folders of their own, so that no build undoes another.

# Where threads meet: the pool, storage shared by copies, index versions, the training thread.
thread() {
    TSAN_OPTIONS="halt_on_error=1 ${TSAN_OPTIONS:-}" \
        swift test --sanitize thread -Xcc -O1 --scratch-path .build-thread \
        --filter 'KernelTests|Pool|Tensor|Memory|SharedValue|KnowledgeBase|IndexVersion|Retriever|Refresh|Train'
}

# Where pointers are computed: kernels, operators, readers of files. Leaks are the tests' own business:
# Swift's runtime keeps metadata that the leak checker would report.
address() {
    ASAN_OPTIONS="detect_leaks=0 ${ASAN_OPTIONS:-}" \
        swift test --sanitize address -Xcc -O1 --scratch-path .build-address \
        --filter 'KernelTests|Product|Attention|Vocabulary|Tensor|Custom|Safetensors|JSON|File|CRC|Token|Passage|Knowledge|Index'
}

runs=("$@")
[ ${#runs[@]} -gt 0 ] || runs=(suite thread address)
for run in "${runs[@]}"; do
    case "$run" in
    suite | thread | address) ;;
    *)
        echo "unknown run '$run': suite, thread or address" >&2
        exit 2
        ;;
    esac
done
for run in "${runs[@]}"; do
    echo "== $run"
    "$run"
done
