#!/usr/bin/env bash
# End-to-end fine-tuning from nothing on the bundled almanac: builds the program, makes a small model,
# warms it up, and trains question encoder, context encoder and generator together.
#
#     Scripts/demo.sh                       context encoder and index are trained too
#     Scripts/demo.sh --original            both stay as they are: RAG without the end-to-end part
#     Scripts/demo.sh --max-steps 50        further options go to finetune-rag
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash Scripts/install-dependencies.sh

# The encoders are warmed up on five of the ten kinds of things and trained on all of them, so that the
# index of `--original` knows little of the other five.
flags=(
    --from-scratch tiny
    --data-dir Examples/Almanac
    --csv-path Examples/Almanac/passages.tsv
    --warmup-kinds element,river,mountain,composer,invention
    --warmup-retriever-steps 400 --warmup-retriever-learning-rate 5e-4
    --warmup-reader-steps 2350 --dropout 0
    --max-steps 500 --train-batch-size 16 --learning-rate 5e-4 --warmup-steps 20
    # A reader made from nothing forgets how to read at the encoders' rate; words that no question
    # names keep the vectors that make them alike in both encoders.
    --learning-rate-factor rag.generator=0.1 --freeze bert_model.embeddings.word_embeddings
    --n-test 520 --n-val 50
)
end_to_end=(--end2end --indexing-freq 50)

arguments=()
for argument in "$@"; do
    case "$argument" in
    --original) end_to_end=() ;;
    *) arguments+=("$argument") ;;
    esac
done

exec swift run -c release --package-path Examples finetune-rag \
    "${flags[@]}" ${end_to_end[@]+"${end_to_end[@]}"} ${arguments[@]+"${arguments[@]}"}
