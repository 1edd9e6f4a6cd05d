"""Writes the reference's ids of many texts, for the test `idsEqualADump`.

    python dump_reference_ids.py OUT.jsonl --tokenizer DIR [DIR ...] --text FILE [FILE ...]

A text file gives one text a line; of a .tsv file every field is a text, of a .jsonl file every "question".
Added to them: every Unicode scalar by itself and between letters, and random mixtures. Then run the tests with
RAGKIT_TOKENIZER_DUMP=OUT.jsonl. Needs transformers 4.46.3 and tokenizers 0.20.3.
"""
import argparse
import json
import os
import random

from transformers import AutoTokenizer, BartTokenizerFast, BertTokenizerFast, GPT2TokenizerFast

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("out")
ap.add_argument("--tokenizer", nargs="+", required=True)
ap.add_argument("--text", nargs="*", default=[])
args = ap.parse_args()


def load(folder):
    """From the vocabulary files, also where a tokenizer.json lies beside them."""
    if os.path.exists(f"{folder}/tokenizer_config.json"):
        return AutoTokenizer.from_pretrained(folder)
    if os.path.exists(f"{folder}/vocab.txt"):
        return BertTokenizerFast(f"{folder}/vocab.txt")
    is_bart = "<s>" in json.load(open(f"{folder}/vocab.json", encoding="utf-8"))
    return (BartTokenizerFast if is_bart else GPT2TokenizerFast)(f"{folder}/vocab.json", f"{folder}/merges.txt")


texts = []
for path in args.text:
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            line = line.rstrip("\n")
            if path.endswith(".jsonl"):
                texts.append(json.loads(line)["question"])
            else:
                texts += line.split("\t") if path.endswith(".tsv") else [line]
print(len(texts), "texts of files")

scalars = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
for i in range(0, len(scalars), 64):
    texts.append(" ".join("a" + c + "b" for c in scalars[i:i + 64]))
    texts.append("".join(scalars[i:i + 64]))

rng = random.Random(5)
odd = [c for c in scalars if ord(c) < 0x3100 or 0x1D100 <= ord(c) < 0x1D200 or 0x11000 <= ord(c) < 0x11A00 or 0xF900 <= ord(c) < 0xFB50]
for _ in range(20000):
    texts.append("".join(rng.choice(odd) if rng.random() < 0.6 else rng.choice(" \t\n'sAb19.\u0301\u302e\u0323[]<s>") for _ in range(rng.randrange(1, 40))))
parts = ["[CLS]", "[MASK]", "<s>", "</s>", "<mask>", "<|endoftext|>", "<unk>", " ", "  ", "\n", "a", "don't", "\u3000", "\u00a0", "[UNK", "<mas"]
for _ in range(5000):
    texts.append("".join(rng.choice(parts) for _ in range(rng.randrange(1, 12))))
for _ in range(300):
    texts.append("".join(rng.choice("abeinorst") for _ in range(rng.randrange(40, 400))))

ids = [load(folder)(texts, add_special_tokens=False)["input_ids"] for folder in args.tokenizer]
with open(args.out, "w", encoding="utf-8") as out:
    out.write(json.dumps({"tokenizers": [os.path.abspath(folder) for folder in args.tokenizer]}) + "\n")
    for i, text in enumerate(texts):
        out.write(json.dumps({"text": text, "ids": [" ".join(map(str, column[i])) for column in ids]}) + "\n")
print(len(texts), "texts in all")
