"""Encoding passages of about 100 words, as a user of the peers would, timed on the CPU.

    python encode.py --peer transformers --export work.json --save DIR   writes ids and model, for everybody
    python encode.py --peer transformers --model DIR --work work.json --serve
    python encode.py --peer ctranslate2-int8 --model DIR --work work.json --serve

Peers: reference, as rag-end2end-retriever encodes its knowledge base (batches of 16 in the order given, padded to the longest,
no attention mask, in training mode and with a tape), transformers (the same in evaluation mode without a tape),
transformers-sorted (like lengths together, with a mask), transformers-bf16 and transformers-compiled-bf16 (sorted, autocast,
compiled), ctranslate2-float32, ctranslate2-int8.
"""
import json
import os
import sys

from serving import convert, model_parser, parse, serve

parser = model_parser(__doc__, ("base", "minilm"))
parser.add_argument("--passages", type=int, default=64)
args = parse(parser)

import numpy as np
import torch
import transformers
from transformers import BertConfig, BertModel, DPRConfig, DPRContextEncoder

transformers.logging.set_verbosity_error()
torch.set_num_threads(args.threads)
SIZES = {"base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
         "minilm": dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)}
VOCABULARY = 30522

if args.export:
    random = np.random.default_rng(1)
    rows = [[101] + random.integers(1000, VOCABULARY, n - 2).tolist() + [102] for n in random.integers(120, 153, args.passages)]
    torch.manual_seed(0)
    DPRContextEncoder(DPRConfig(vocab_size=VOCABULARY, **SIZES[args.size])).save_pretrained(args.save)
    json.dump({"passages": rows}, open(args.export, "w"))
    sys.exit()

passages = json.load(open(args.work))["passages"]


def batches(order, size=16):
    for start in range(0, len(order), size):
        rows = [passages[i] for i in order[start:start + size]]
        longest = max(map(len, rows))
        yield (order[start:start + size], torch.tensor([row + [0] * (longest - len(row)) for row in rows]),
               torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]))


def with_transformers(in_order, training=False, bf16=False, compiled=False):
    model = DPRContextEncoder.from_pretrained(args.model).train(training)
    if compiled:
        model = torch.compile(model, dynamic=True)
    order = list(range(len(passages)))
    if not in_order:
        order.sort(key=lambda i: -len(passages[i]))

    def run():
        found = [None] * len(passages)
        with torch.inference_mode(not training), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            for places, ids, mask in batches(order):
                vectors = model(ids).pooler_output if in_order else model(ids, attention_mask=mask).pooler_output
                for place, vector in zip(places, vectors):
                    found[place] = vector.detach().float().numpy()
        return found
    return run


def with_ctranslate2(kind):
    import ctranslate2
    from transformers import BertTokenizerFast
    folder = args.model + "-bert"
    if not os.path.exists(folder):
        model = DPRContextEncoder.from_pretrained(args.model)
        bert = BertModel(BertConfig(vocab_size=VOCABULARY, **SIZES[args.size]))
        bert.load_state_dict(model.ctx_encoder.bert_model.state_dict(), strict=False)
        bert.save_pretrained(folder)
        with open(os.path.join(folder, "vocab.txt"), "w") as file:
            file.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{i}" for i in range(VOCABULARY - 5)]))
        BertTokenizerFast(os.path.join(folder, "vocab.txt")).save_pretrained(folder)
    encoder = ctranslate2.Encoder(convert(folder), device="cpu", compute_type=kind, inter_threads=1, intra_threads=args.threads)
    order = sorted(range(len(passages)), key=lambda i: -len(passages[i]))

    def run():
        found = [None] * len(passages)
        for start in range(0, len(order), 16):
            places = order[start:start + 16]
            states = np.array(encoder.forward_batch([passages[i] for i in places]).last_hidden_state)
            for place, state in zip(places, states):
                found[place] = state[0]
        return found
    return run


if args.peer.startswith("ctranslate2"):
    run = with_ctranslate2(args.peer.split("-")[1])
else:
    run = with_transformers(args.peer in ("reference", "transformers"), training=args.peer == "reference",
                            bf16=args.peer.endswith("bf16"), compiled="compiled" in args.peer)


serve(run, lambda found: dict(vectors=[[float(x) for x in vector[:64]] for vector in found[:4]]))
