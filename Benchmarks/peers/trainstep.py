"""One end-to-end RAG training step as transformers runs it, timed on the CPU.

The step: question encoder -> RagRetriever over a faiss HNSW index -> context encoder on the passages found ->
BART on title / passage // question, padded to 300 -> marginal loss -> backward -> clip -> AdamW. Dropout 0.1, label
smoothing 0.1, clip 0.1, batch 4, 5 documents.

    python trainstep.py                       a few timed steps, one JSON line with the minimum and the median
    python trainstep.py --serve               prints a line when ready; then each line "run" on standard input makes
                                              one timed step and prints one JSON line, until "quit"
    python trainstep.py --export work.json    writes the token ids and settings of the step, for another library to do
                                              exactly the same work (no timing unless --serve is given too)
    python trainstep.py --save DIR            saves the randomly initialised models the step starts from

The learning rate is 0 unless given, so that all steps do the same work: the arithmetic is that of any other rate.
"""
import argparse
import json
import os
import resource
import statistics
import sys
import time

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):  # a forced kernel choice would handicap numpy and faiss
    os.environ.pop(name, None)
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

HERE = os.path.dirname(os.path.abspath(__file__))
ALMANAC = os.path.join(HERE, "..", "..", "Examples", "Almanac", "passages.tsv")
SIZES = {
    "small": dict(width=256, encoder_layers=4, heads=4, inner=1024, bart_encoder_layers=3, bart_decoder_layers=3, bart_inner=1024,
                  bart_heads=4, wordpieces=8192, vocabulary=8192),
    "base": dict(width=768, encoder_layers=12, heads=12, inner=3072, bart_encoder_layers=6, bart_decoder_layers=6, bart_inner=3072,
                 bart_heads=12, wordpieces=30522, vocabulary=50265),
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--kind", choices=("token", "sequence"), default="token")
    parser.add_argument("--precision", choices=("fp32", "onednn", "bf16"), default="fp32",
                        help="fp32: torch as shipped; onednn: fp32 products through oneDNN; bf16: autocast")
    parser.add_argument("--padding", choices=("max_length", "longest"), default="max_length", help="of the combined input")
    parser.add_argument("--targets", choices=("answers", "full"), default="answers", help="1-6 words, or cut at 25 tokens")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--documents", type=int, default=5)
    parser.add_argument("--lr", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--text", default="almanac", help="almanac (Examples/Almanac/passages.tsv), synthetic, or a UTF-8 text file")
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--export", metavar="FILE")
    parser.add_argument("--save", metavar="DIR")
    return parser.parse_args()


args = parse_arguments()
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = str(args.threads)

import datasets
import faiss
import numpy as np
import tokenizers
import torch
import transformers
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer, processors
from transformers import (BartConfig, BartForConditionalGeneration, BartTokenizerFast, DPRConfig, DPRContextEncoder,
                          DPRContextEncoderTokenizerFast, DPRQuestionEncoder, DPRQuestionEncoderTokenizerFast, RagConfig, RagRetriever,
                          RagSequenceForGeneration, RagTokenForGeneration)
from transformers.models.rag.retrieval_rag import CustomHFIndex

transformers.logging.set_verbosity_error()
datasets.disable_progress_bars()


def synthetic_text(words=120_000, vocabulary=20_000):
    """Made-up words with the frequencies of real ones (Zipf's law), in sentences."""
    random = np.random.default_rng(0)
    syllables = "ba con de el er fi gra hu in ka lo ment no or pra re so tion ul ve wa xi yo zed ing st".split()
    names = sorted({"".join(random.choice(syllables, 1 + min(3, random.geometric(0.5)))) for _ in range(vocabulary)}, key=len)
    chosen = [names[min(i, len(names)) - 1] for i in random.zipf(1.25, words)]
    return " ".join(w.capitalize() if i % 15 == 0 else w + "." if i % 15 == 14 else w for i, w in enumerate(chosen))


def read_words(source):
    if source == "synthetic":
        return synthetic_text().split()
    path = ALMANAC if source == "almanac" else source
    with open(path, encoding="utf-8") as f:
        return " ".join(line.rstrip("\n").split("\t", 1)[-1] for line in f).split()


def make_tokenizers(texts, size):
    pieces = BertWordPieceTokenizer(lowercase=True)
    pieces.train_from_iterator(texts, vocab_size=size["wordpieces"], min_frequency=2, show_progress=False,
                               special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    pieces._tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    pairs = ByteLevelBPETokenizer()
    pairs.train_from_iterator(texts, vocab_size=size["vocabulary"], min_frequency=2, show_progress=False,
                              special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    pairs._tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    bert = dict(tokenizer_object=pieces._tokenizer, model_max_length=512, unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]",
                cls_token="[CLS]", mask_token="[MASK]")
    bart = dict(tokenizer_object=pairs._tokenizer, model_max_length=1024, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
                unk_token="<unk>", sep_token="</s>", cls_token="<s>", mask_token="<mask>")
    return DPRQuestionEncoderTokenizerFast(**bert), DPRContextEncoderTokenizerFast(**bert), BartTokenizerFast(**bart)


def make_batch(passages, question_tokenizer, generator_tokenizer):
    """Questions of 9 to 16 words and targets of 1 to 6 words (or 25 tokens), padded to the longest."""
    random = np.random.default_rng(1)
    questions, answers = [], []
    for _ in range(args.batch):
        words = passages[random.integers(len(passages))].split()
        start = random.integers(0, max(1, len(words) - 20))
        questions.append("what " + " ".join(words[start:start + random.integers(8, 15)]) + "?")
        answers.append(" ".join((words * 4)[start:start + (60 if args.targets == "full" else random.integers(1, 7))]))
    q = question_tokenizer(questions, max_length=128, truncation=True, padding=True, return_tensors="pt")
    t = generator_tokenizer(answers, max_length=25, truncation=True, padding=True, return_tensors="pt")
    return q["input_ids"], q["attention_mask"], t["input_ids"]


class RecordingRetriever(RagRetriever):
    """The reference's retriever, which remembers what it last returned and answers with the same documents each time.

    Untrained encoders see all questions alike, so that all would find the same few documents; it searches as ever, but
    answers with documents of its own for each question, as trained encoders do."""
    last = None

    def retrieve(self, question_hidden_states, n_docs):
        super().retrieve(question_hidden_states, n_docs)
        ids = np.random.default_rng(2).permutation(len(self.index.dataset))[:len(question_hidden_states) * n_docs]
        ids = ids.reshape(-1, n_docs)
        vectors = np.array(self.index.dataset[ids.flatten().tolist()]["embeddings"], np.float32)
        return vectors.reshape(*ids.shape, -1), ids, self.index.get_doc_dicts(ids)

    def __call__(self, *inputs, **options):
        self.last = super().__call__(*inputs, **options)
        return self.last


def make_model(passages, tokenizers_of_parts):
    size, dropout = SIZES[args.size], 0.1
    question_tokenizer, ctx_tokenizer, generator_tokenizer = tokenizers_of_parts
    vectors = np.random.default_rng(0).standard_normal((len(passages), size["width"])).astype(np.float32)
    titles = [" ".join(p.split()[:2]).strip('",.') for p in passages]
    base = datasets.Dataset.from_dict({"title": titles, "text": passages, "embeddings": list(vectors)})
    base.add_faiss_index("embeddings", custom_index=faiss.IndexHNSWFlat(size["width"], 128, faiss.METRIC_INNER_PRODUCT))
    torch.manual_seed(0)
    bert = DPRConfig(vocab_size=size["wordpieces"], hidden_size=size["width"], num_hidden_layers=size["encoder_layers"],
                     num_attention_heads=size["heads"], intermediate_size=size["inner"], hidden_dropout_prob=dropout,
                     attention_probs_dropout_prob=dropout)
    bart = BartConfig(vocab_size=size["vocabulary"], d_model=size["width"], encoder_layers=size["bart_encoder_layers"],
                      decoder_layers=size["bart_decoder_layers"], encoder_attention_heads=size["bart_heads"],
                      decoder_attention_heads=size["bart_heads"], encoder_ffn_dim=size["bart_inner"], decoder_ffn_dim=size["bart_inner"],
                      dropout=dropout, attention_dropout=dropout, activation_dropout=0.0, forced_bos_token_id=0)
    config = RagConfig.from_question_encoder_generator_configs(
        bert, bart, n_docs=args.documents, max_combined_length=300, retrieval_vector_size=size["width"], index_name="custom",
        label_smoothing=0.1, bos_token_id=0, eos_token_id=2, pad_token_id=1, decoder_start_token_id=2, vocab_size=size["vocabulary"])
    retriever = RecordingRetriever(config, question_encoder_tokenizer=question_tokenizer, generator_tokenizer=generator_tokenizer,
                                   index=CustomHFIndex(size["width"], base), init_retrieval=False)
    encode = generator_tokenizer.batch_encode_plus
    generator_tokenizer.batch_encode_plus = lambda *a, **kw: encode(*a, **{**kw, "padding": args.padding})
    cls = RagTokenForGeneration if args.kind == "token" else RagSequenceForGeneration
    model = cls(config=config, question_encoder=DPRQuestionEncoder(bert), generator=BartForConditionalGeneration(bart), retriever=retriever)
    ctx_encoder = DPRContextEncoder(bert)
    if args.save:
        model.save_pretrained(args.save)
        ctx_encoder.save_pretrained(os.path.join(args.save, "ctx_encoder"))
    model.set_context_encoder_for_training(ctx_encoder)
    retriever.set_ctx_encoder_tokenizer(ctx_tokenizer)
    return model, retriever


def make_optimizer(model):
    undecayed = ("bias", "LayerNorm.weight")
    groups = [dict(params=[p for n, p in model.named_parameters() if any(u in n for u in undecayed) == plain],
                   weight_decay=0.0 if plain else 0.001) for plain in (False, True)]
    return torch.optim.AdamW(groups, lr=args.lr, eps=1e-8)


def real_rows(ids, mask):
    return [[int(t) for t, keep in zip(row, kept) if keep] for row, kept in zip(ids.tolist(), mask.tolist())]


def export(path, model, retriever, batch):
    """Token ids without padding: passages and contexts question by question, documents in the order found."""
    questions, mask, targets = batch
    model.eval()
    with torch.no_grad():
        loss = model(questions, attention_mask=mask, decoder_input_ids=targets, labels=targets, reduce_loss=True, use_cache=False).loss.item()
    model.train()
    found = retriever.last
    work = {
        "size": args.size, "kind": args.kind, "batch": args.batch, "documents": args.documents, "model": SIZES[args.size],
        "dropout": 0.1, "label_smoothing": 0.1, "max_grad_norm": 0.1, "reduce_loss": "sum",
        "adamw": {"lr": args.lr, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.001, "no_decay": ["bias", "LayerNorm.weight"]},
        "questions": real_rows(questions, mask), "targets": real_rows(targets, targets != 1),
        "document_ids": found["doc_ids"].tolist(),
        "passages": real_rows(found["tokenized_doc_ids"], found["tokenized_doc_attention_mask"]),
        "contexts": real_rows(found["context_input_ids"], found["context_attention_mask"]),
        "loss_without_dropout": loss,
    }
    with open(path, "w", encoding="utf-8") as f:
        f.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in work.items()) + "\n}\n")


def make_step(model, optimizer, batch):
    questions, mask, targets = batch

    def step():
        torch.manual_seed(1)
        busy = time.process_time()
        times = [time.perf_counter()]
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            loss = model(questions, attention_mask=mask, decoder_input_ids=targets, labels=targets, reduce_loss=True, use_cache=False).loss
        times.append(time.perf_counter())
        loss.backward()
        times.append(time.perf_counter())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.perf_counter())
        return dict(seconds=times[3] - times[0], forward_s=times[1] - times[0], backward_s=times[2] - times[1],
                    optimizer_s=times[3] - times[2], cpu_seconds=time.process_time() - busy, loss=loss.item())
    return step


def emit(**values):
    record = {"bench": "trainstep", "peer": f"transformers {transformers.__version__}, torch {torch.__version__}",
              "case": f"{args.size}_rag_{args.kind}_{args.precision}", "padding": args.padding, "threads": args.threads,
              **{k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in values.items()},
              "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}
    print(json.dumps(record), flush=True)


def main():
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("medium" if args.precision == "onednn" else "highest")
    words = read_words(args.text)
    passages = [" ".join(words[i:i + 100]) for i in range(0, len(words) - 99, 100)][:1000]
    parts = make_tokenizers(passages, SIZES[args.size])
    model, retriever = make_model(passages, parts)
    batch = make_batch(passages, parts[0], parts[2])
    model.train()
    if args.export:
        export(args.export, model, retriever, batch)
        if not args.serve:
            return
    step = make_step(model, make_optimizer(model), batch)
    step()  # warm-up
    found = retriever.last
    counts = dict(parameters_m=sum(p.numel() for p in model.parameters()) / 1e6, passages_in_index=len(passages),
                  question_tokens=int(batch[1].sum()), target_tokens=int((batch[2] != 1).sum()),
                  passage_tokens=int(found["tokenized_doc_attention_mask"].sum()), passage_tokens_padded=found["tokenized_doc_ids"].numel(),
                  context_tokens=int(found["context_attention_mask"].sum()), context_tokens_padded=found["context_input_ids"].numel())
    if not args.serve:
        runs = [step() for _ in range(args.runs)]
        middle = {k: statistics.median(r[k] for r in runs) for k in runs[0]}
        emit(min_s=min(r["seconds"] for r in runs), median_s=middle.pop("seconds"), runs=args.runs, **middle, **counts)
        return
    emit(ready=True, **counts)
    for line in sys.stdin:
        command = line.strip()
        if command == "quit":
            break
        if command == "run":
            emit(**step())
        elif command:
            print(json.dumps({"error": f"unknown command {command!r}; known are run and quit"}), flush=True)


main()
