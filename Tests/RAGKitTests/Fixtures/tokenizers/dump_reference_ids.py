"""Writes the reference's ids of many texts, for the test `idsEqualADump`.

    python dump_reference_ids.py OUT --tokenizer DIR [DIR ...] --text FILE [FILE ...]

OUT is made: texts.jsonl (one JSON string a line), and for each form a tokenizer comes in (tokenizer.json, or vocabulary files) a
folder with these files alone and NAME.ids beside it (32 bits, little-endian: the number of ids of a text, then the ids). The files
of a configuration go with both forms. A text file gives one text a line; of a .tsv file every field is a text, of a .jsonl file
every "question". Added to them: every Unicode scalar by itself and between letters, and random mixtures of what is hard.

Then run the tests with RAGKIT_TOKENIZER_DUMP=OUT. Needs transformers 4.46.3, tokenizers 0.20.3, sentencepiece and protobuf. OUT is
not for the repository: it holds the files of others.
"""
import argparse
import json
import os
import random
import shutil
import struct

from transformers import AutoTokenizer, BartTokenizerFast, BertTokenizerFast, GPT2TokenizerFast, PreTrainedTokenizerFast, T5TokenizerFast

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("out")
ap.add_argument("--tokenizer", nargs="+", required=True)
ap.add_argument("--text", nargs="*", default=[])
ap.add_argument("--mixtures", type=int, default=20000)
args = ap.parse_args()

VOCABULARIES = [["vocab.txt"], ["vocab.json", "merges.txt"], ["spiece.model"]]
SETTINGS = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]


def load(folder):
    if os.path.exists(f"{folder}/tokenizer_config.json"):
        return AutoTokenizer.from_pretrained(folder)
    if os.path.exists(f"{folder}/tokenizer.json"):
        return PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json")
    if os.path.exists(f"{folder}/vocab.txt"):
        return BertTokenizerFast(f"{folder}/vocab.txt")
    if os.path.exists(f"{folder}/spiece.model"):
        return T5TokenizerFast(f"{folder}/spiece.model")
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
for _ in range(args.mixtures):
    texts.append("".join(rng.choice(odd) if rng.random() < 0.6 else rng.choice(" \t\n'sAb19.\u0301\u302e\u0323[]<s>") for _ in range(rng.randrange(1, 40))))
# What joins to one character, and characters that a map replaces: ligatures, compatibility forms, jamo, conjuncts, emoji sequences.
joining = list("aAé \r\n\t\u0301\u0308\u0323\u093c\u094d\u0915\u0958\u0937\u09bf\u200c\u200d\u00a9\u203c\u2049\u2122\u3297\ufe0f\u0600\u110bd\u1100\u1161\u11a8가각\ufb01\ufb03ªº½²①㍿ｶﾞﾟガ"
               "\u00a0\u3000\u2003\u200b\u00ad\ufeff\u2028\u0085\x00\x07\u2581▁_\u0344\u0e33ำ") + ["\U0001f469", "\U0001f3fd", "\U0001f1e9", "\U0001f1ea", "\U0001f467", "\U000110bd", "\U000e0020", "  ", "\u2581\u2581"]
for _ in range(args.mixtures):
    texts.append("".join(rng.choice(joining) for _ in range(rng.randrange(1, 14))))
parts = ["[CLS]", "[MASK]", "<s>", "</s>", "<mask>", "<|endoftext|>", "<unk>", "<pad>", "<extra_id_0>", "<extra_id_99>", "<extra_id_100>", " ", "  ", "\n", "a", "don't", "\u3000", "\u00a0", "[UNK", "<mas", "▁", "new", "Straße"]
for _ in range(5000):
    texts.append("".join(rng.choice(parts) for _ in range(rng.randrange(1, 12))))
for _ in range(300):
    texts.append("".join(rng.choice("abeinorst") for _ in range(rng.randrange(40, 400))))
texts += ["lighthouse" * 20000, "\u0301" * 5000, "a\u0301" * 5000, "灯台" * 5000, "👩\u200d👩\u200d👧" * 2000, " " * 20000, "\u2581" * 3000, "مَرْحَبًا " * 2000, "é" * 20000, "<extra_id_0>" * 3000]

os.makedirs(args.out)
with open(f"{args.out}/texts.jsonl", "w", encoding="utf-8") as out:
    for text in texts:
        out.write(json.dumps(text) + "\n")
for source in args.tokenizer:
    name = os.path.basename(os.path.normpath(source))
    forms = [("json", ["tokenizer.json"])] + [("files", files) for files in VOCABULARIES]
    for form, files in forms:
        if not all(os.path.exists(f"{source}/{file}") for file in files):
            continue
        folder = f"{args.out}/{name}-{form}"
        os.makedirs(folder)
        for file in files + SETTINGS:
            if os.path.exists(f"{source}/{file}"):
                shutil.copy(f"{source}/{file}", folder)
        tokenizer = load(folder)
        with open(f"{folder}.ids", "wb") as out:
            for start in range(0, len(texts), 1000):
                for ids in tokenizer(texts[start:start + 1000], add_special_tokens=False)["input_ids"]:
                    out.write(struct.pack(f"<{len(ids) + 1}i", len(ids), *ids))
        print(folder, flush=True)
print(len(texts), "texts in all")
