"""Beam search of BART alone, without retrieval, as transformers and CTranslate2 do it, timed on the CPU.

8 sources of 160 tokens, 4 beams, 20 new tokens; weights are random and no end token comes, so that every hypothesis runs
to its full length: equal work for everybody.

    python seq2seq.py --export work.json --save DIR                       writes sources, settings and model, for everybody
    python seq2seq.py --peer transformers --model DIR --work work.json --serve
    python seq2seq.py --peer ctranslate2-int8 --model DIR --work work.json --serve

Peers: transformers, transformers-onednn, transformers-bf16, ctranslate2-float32, ctranslate2-int8.
"""
import json
import sys

from serving import convert, model_parser, parse, serve

args = parse(model_parser(__doc__, ("small", "base")))

import numpy as np
import torch
import transformers
from transformers import BartConfig, BartForConditionalGeneration

transformers.logging.set_verbosity_error()
torch.set_num_threads(args.threads)
SIZES = {"small": dict(d_model=256, layers=3, heads=4, inner=1024, vocabulary=8192),
         "base": dict(d_model=768, layers=6, heads=12, inner=3072, vocabulary=50265)}
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]

if args.export:
    size = SIZES[args.size]
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=size["vocabulary"], d_model=size["d_model"], encoder_layers=size["layers"], decoder_layers=size["layers"],
        encoder_attention_heads=size["heads"], decoder_attention_heads=size["heads"], encoder_ffn_dim=size["inner"],
        decoder_ffn_dim=size["inner"], forced_bos_token_id=None, forced_eos_token_id=None)
    # as published configurations say; the converter of CTranslate2 asks for them
    config.normalize_before, config.normalize_embedding, config.static_position_embeddings = False, True, False
    model = BartForConditionalGeneration(config)
    model.final_logits_bias[:, 2] = -1e4  # never an end
    model.save_pretrained(args.save)
    sources = np.random.default_rng(1).integers(10, size["vocabulary"], (8, 160)).tolist()
    json.dump({"sources": sources, "num_beams": 4, "new_tokens": 20}, open(args.export, "w"))
    sys.exit()

work = json.load(open(args.work))
sources, beams, new_tokens = work["sources"], work["num_beams"], work["new_tokens"]


def with_transformers(kind):
    torch.set_float32_matmul_precision("medium" if kind == "onednn" else "highest")
    model = BartForConditionalGeneration.from_pretrained(args.model).eval()
    ids = torch.tensor(sources)

    def run():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=kind == "bf16"):
            return model.generate(ids, attention_mask=torch.ones_like(ids), num_beams=beams, min_length=new_tokens + 1,
                                  max_length=new_tokens + 1).tolist()
    return run


def with_ctranslate2(kind):
    import ctranslate2
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    config = BartConfig.from_pretrained(args.model)
    names = SPECIAL + [f"w{i}" for i in range(len(SPECIAL), config.vocab_size)]
    places = {name: i for i, name in enumerate(names)}
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(places, unk_token="<unk>")), bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", pad_token="<pad>", mask_token="<mask>").save_pretrained(args.model)
    translator = ctranslate2.Translator(convert(args.model), device="cpu", compute_type=kind, inter_threads=1,
                                        intra_threads=args.threads)
    texts = [[names[i] for i in row] for row in sources]

    def run():
        found = translator.translate_batch(texts, beam_size=beams, max_decoding_length=new_tokens,
                                           min_decoding_length=new_tokens, max_batch_size=0)
        return [[config.decoder_start_token_id] + [places[name] for name in one.hypotheses[0]] for one in found]
    return run


kind = args.peer.split("-")[1] if "-" in args.peer else ""
run = with_ctranslate2(kind) if args.peer.startswith("ctranslate2") else with_transformers(kind)
serve(run, lambda found: dict(ids=found))
