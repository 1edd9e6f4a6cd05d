"""Cuts a slice of a question answering set into what finetune-rag reads.

    python3 slice_questions.py SET OUT [--articles 8] [--test-share 0.2]

SET holds qa-train.jsonl (question, answers, title, context_id) and passages.tsv (a header line, then id, title, text).
OUT gets passages.tsv (title, tab, text) of the first articles, and train, validation and test.jsonl with their questions.
Questions are dealt by passage: no passage of a test question has a training question. Passages are kept whole.
"""
import argparse
import json
import os
import sys

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("set")
parser.add_argument("out")
parser.add_argument("--articles", type=int, default=8)
parser.add_argument("--test-share", type=float, default=0.2)
args = parser.parse_args()

with open(os.path.join(args.set, "qa-train.jsonl"), encoding="utf-8") as file:
    rows = [json.loads(line) for line in file]
titles = list(dict.fromkeys(row["title"] for row in rows))[: args.articles]
if len(titles) < args.articles:
    sys.exit(f"{args.set}: only {len(titles)} articles, {args.articles} were asked for")
rows = [row for row in rows if row["title"] in set(titles)]
passages = {}
with open(os.path.join(args.set, "passages.tsv"), encoding="utf-8") as file:
    next(file)
    for line in file:
        name, title, text = line.rstrip("\n").split("\t")
        if title in titles:
            passages[name] = (len(passages), title, text)

os.makedirs(args.out, exist_ok=True)
with open(os.path.join(args.out, "passages.tsv"), "w", encoding="utf-8") as file:
    file.writelines(f"{title}\t{text}\n" for _, title, text in passages.values())

every = max(2, round(1 / args.test_share))
splits = {"train": [], "validation": [], "test": []}
for row in rows:
    place = passages[row["context_id"]][0]
    split = "test" if place % every == 0 else "validation" if place % (2 * every) == 1 else "train"
    splits[split].append({"question": row["question"].strip(), "answers": row["answers"], "id": place})
for name, examples in splits.items():
    with open(os.path.join(args.out, f"{name}.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(example, ensure_ascii=False) + "\n" for example in examples)
print(f"{len(titles)} articles, {len(passages)} passages, " + ", ".join(f"{len(v)} {k} questions" for k, v in splits.items()))
