#!/usr/bin/env bash
# Installs what RAGKit needs beside a Swift toolchain: OpenBLAS on Linux, nothing on macOS.
# Other scripts call it first; it does nothing where everything is there.
set -euo pipefail

[ "$(uname -s)" = Linux ] || exit 0

if ! command -v swift >/dev/null; then
    echo "There is no swift in the PATH: install Swift 6.2 or later, see https://www.swift.org/install" >&2
    exit 1
fi

# What the linker needs is libopenblas.so, whoever installed it.
has_openblas() {
    ldconfig -p 2>/dev/null | grep -q 'libopenblas\.so ' && return 0
    local folder
    for folder in /usr/lib /usr/lib64 /usr/local/lib "/usr/lib/$(uname -m)-linux-gnu" \
        ${LIBRARY_PATH:+${LIBRARY_PATH//:/ }}; do
        [ -e "$folder/libopenblas.so" ] && return 0
    done
    return 1
}
has_openblas && exit 0

sudo=sudo
[ "$(id -u)" -eq 0 ] && sudo=
command="${sudo:+$sudo }apt-get update && ${sudo:+$sudo }apt-get install -y libopenblas-dev"

failed() {
    echo "OpenBLAS is missing and could not be installed ($1). Install it with" >&2
    echo "    $command" >&2
    echo "or with your system's package manager, and run this again." >&2
    exit 1
}

command -v apt-get >/dev/null || failed "there is no apt-get"
[ -z "$sudo" ] || command -v sudo >/dev/null || failed "there is no sudo"
echo "Installing OpenBLAS: $command" >&2
export DEBIAN_FRONTEND=noninteractive
# A list of packages that is old but there may do when it cannot be renewed.
$sudo apt-get update -qq >&2 || true
$sudo apt-get install -y -qq libopenblas-dev >&2 || failed "apt-get failed"
has_openblas || failed "apt-get installed it, but libopenblas.so is not there"
