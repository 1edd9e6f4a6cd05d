"""RAG-token and RAG-sequence generation as transformers does it, timed on the CPU.

A batch of questions, five documents each, beam search with 4 beams up to 20 tokens. Models have random weights; the
end token is made impossible, so that every sequence runs to its full length: equal work for everybody. The contexts are
random ids with the lengths of 100-word passages with title and question, padded to 300 as the reference's retriever pads
them. The retriever is replaced by one that has them ready: searching and tokenizing cost the peer nothing here.

    python generate.py                        a few timed runs of both kinds, one JSON line each
    python generate.py --serve                prints a line when ready; then each line "run token" or "run sequence" on
                                              standard input makes one timed run and prints one JSON line, until "quit"
    python generate.py --export work.json --save DIR
                                              writes token ids, scores and settings, and the model, for another library
                                              to do exactly the same work
"""
import argparse
import json
import os
import resource
import statistics
import sys
import time

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # a forced kernel choice would handicap numpy
    os.environ.pop(name, None)

SIZES = {
    "small": dict(width=256, encoder_layers=4, heads=4, inner=1024, bart_encoder_layers=3, bart_decoder_layers=3, bart_inner=1024,
                  bart_heads=4, wordpieces=8192, vocabulary=8192),
    "base": dict(width=768, encoder_layers=12, heads=12, inner=3072, bart_encoder_layers=6, bart_decoder_layers=6, bart_inner=3072,
                 bart_heads=12, wordpieces=30522, vocabulary=50265),
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--precision", choices=("fp32", "onednn", "bf16"), default="fp32",
                        help="fp32: torch as shipped; onednn: fp32 products through oneDNN; bf16: autocast")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--documents", type=int, default=5)
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--max-length", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--export", metavar="FILE")
    parser.add_argument("--save", metavar="DIR")
    return parser.parse_args()


args = parse_arguments()
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = str(args.threads)

import numpy as np
import torch
import transformers
from transformers import (BartConfig, BartForConditionalGeneration, DPRConfig, DPRQuestionEncoder, RagConfig,
                          RagSequenceForGeneration, RagTokenForGeneration)

transformers.logging.set_verbosity_error()
PADDED = 300


def make_work(size):
    """Ids of questions (9 to 16 words) and contexts (a passage of 100 words, title and question), and document scores."""
    random = np.random.default_rng(1)

    def ids(length, vocabulary, first, last):
        return [first] + random.integers(200, vocabulary, length - 2).tolist() + [last]
    questions = [ids(random.integers(12, 22), size["wordpieces"], 2, 3) for _ in range(args.batch)]
    contexts = [ids(random.integers(120, 169), size["vocabulary"], 0, 2) for _ in range(args.batch * args.documents)]
    return questions, contexts, random.standard_normal((args.batch, args.documents)).astype(np.float32)


def padded(rows, length, pad):
    ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])


class ReadyRetriever:
    """Stands in for RagRetriever: gives each question its documents. Their vectors give the scores wanted."""

    def __init__(self, questions, contexts, scores):
        self.of = {tuple(q): (contexts[i * args.documents:(i + 1) * args.documents], scores[i]) for i, q in enumerate(questions)}

    def __call__(self, ids, states, prefix=None, n_docs=None, return_tensors=None):
        found = [self.of[tuple(t for t in row if t != 0)] for row in ids.tolist()]
        contexts, mask = padded([c for f in found for c in f[0]], PADDED, 1)
        vectors = [np.outer(s, state / np.dot(state, state)) for (_, s), state in zip(found, states)]
        return dict(context_input_ids=contexts, context_attention_mask=mask, retrieved_doc_embeds=torch.tensor(np.array(vectors)),
                    doc_ids=torch.zeros(len(found), n_docs, dtype=torch.int64))


def make_models(size, retriever):
    torch.manual_seed(0)
    bert = DPRConfig(vocab_size=size["wordpieces"], hidden_size=size["width"], num_hidden_layers=size["encoder_layers"],
                     num_attention_heads=size["heads"], intermediate_size=size["inner"])
    bart = BartConfig(vocab_size=size["vocabulary"], d_model=size["width"], encoder_layers=size["bart_encoder_layers"],
                      decoder_layers=size["bart_decoder_layers"], encoder_attention_heads=size["bart_heads"],
                      decoder_attention_heads=size["bart_heads"], encoder_ffn_dim=size["bart_inner"], decoder_ffn_dim=size["bart_inner"],
                      forced_bos_token_id=None, forced_eos_token_id=None)
    config = RagConfig.from_question_encoder_generator_configs(
        bert, bart, n_docs=args.documents, max_combined_length=PADDED, retrieval_vector_size=size["width"], index_name="custom",
        bos_token_id=0, eos_token_id=2, pad_token_id=1, decoder_start_token_id=2, vocab_size=size["vocabulary"], do_deduplication=False)
    token = RagTokenForGeneration(config=config, question_encoder=DPRQuestionEncoder(bert), generator=BartForConditionalGeneration(bart))
    token.rag.generator.final_logits_bias[:, 2] = -1e4  # never an end
    sequence = RagSequenceForGeneration(config=config, question_encoder=token.rag.question_encoder, generator=token.rag.generator)
    for model in (token, sequence):
        model.rag.retriever = retriever
        model.eval()
    return {"token": token, "sequence": sequence}


def emit(**values):
    record = {"bench": "generate", "peer": f"transformers {transformers.__version__}, torch {torch.__version__}",
              "case": f"{args.size}_{args.precision}", "threads": args.threads,
              **{k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in values.items()},
              "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}
    print(json.dumps(record), flush=True)


def main():
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("medium" if args.precision == "onednn" else "highest")
    size = SIZES[args.size]
    questions, contexts, scores = make_work(size)
    models = make_models(size, ReadyRetriever(questions, contexts, scores))
    ids, mask = padded(questions, max(map(len, questions)), 0)
    search = dict(num_beams=args.beams, max_length=args.max_length, min_length=1, early_stopping=False, num_return_sequences=1)
    if args.save:
        models["token"].save_pretrained(args.save)
    if args.export:
        with open(args.export, "w", encoding="utf-8") as f:
            json.dump(dict(questions=questions, contexts=contexts, scores=scores.tolist(), documents=args.documents,
                           num_beams=args.beams, max_length=args.max_length), f)

    def run(kind):
        busy, start = time.process_time(), time.perf_counter()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            found = models[kind].generate(ids, attention_mask=mask, **search)
        seconds = time.perf_counter() - start
        return dict(kind=kind, seconds=seconds, cpu_seconds=time.process_time() - busy, questions_per_s=args.batch / seconds,
                    ids=found.tolist())
    if not args.serve:
        if args.export or args.save:
            return
        for kind in models:
            runs = [run(kind) for _ in range(args.runs)]
            emit(kind=kind, runs=args.runs, median_s=statistics.median(r["seconds"] for r in runs),
                 min_s=min(r["seconds"] for r in runs))
        return
    run("token")  # warm-up
    emit(ready=True, context_tokens=sum(map(len, contexts)), context_tokens_padded=len(contexts) * PADDED)
    for line in sys.stdin:
        command = line.split()
        if command == ["quit"]:
            break
        if len(command) == 2 and command[0] == "run" and command[1] in models:
            emit(**run(command[1]))
        else:
            print(json.dumps({"error": f"unknown command {line.strip()!r}; known are run token, run sequence and quit"}), flush=True)


main()
