"""Writes what transformers computes with all-MiniLM-L6-v2, for MiniLMTests to compare with.

    python make_minilm.py FOLDER DATA

FOLDER is what Scripts/fetch-minilm.sh made. DATA holds passages.tsv (a header line, then id, title and text) and
qa-dev.jsonl (question, context_id). Writes FOLDER/expected.safetensors:

- `texts` [1000, 384]: the first 1,000 passages' texts alone, as sentence-transformers encodes them
- `passages` [n, 384]: title and text as a pair with token types of zero, as RAG's re-encoder does
- `questions` [m, 384], and `top` [m, 20], the rows of `passages` with the largest inner products, best first
- `gold` [m], the row of the question's passage

Mean pooling over the mask and normalization are computed here; nothing of sentence-transformers is needed.
"""
import argparse
import json
import os

import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

MAX_LENGTH = 256


def encode(model, tokenizer, texts, pairs=None, token_types=True, batch=32):
    """Vectors of texts, of like length together."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]) + (len(pairs[i]) if pairs else 0))
    result = torch.zeros(len(texts), model.config.hidden_size)
    for start in range(0, len(order), batch):
        rows = order[start:start + batch]
        second = [pairs[i] for i in rows] if pairs else None
        inputs = tokenizer([texts[i] for i in rows], second, padding=True, truncation=True, max_length=MAX_LENGTH,
                           return_tensors="pt")
        if not token_types:
            inputs["token_type_ids"] = torch.zeros_like(inputs["input_ids"])
        with torch.no_grad():
            states = model(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        result[rows] = torch.nn.functional.normalize(pooled, dim=1)
        if start // batch % 50 == 0:
            print(f"{start} of {len(texts)}", flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("data")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = AutoTokenizer.from_pretrained(options.folder)
    model = AutoModel.from_pretrained(options.folder).eval()
    with open(os.path.join(options.data, "passages.tsv"), encoding="utf-8", newline="\n") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    with open(os.path.join(options.data, "qa-dev.jsonl"), encoding="utf-8") as file:
        questions = [json.loads(line) for line in file]
    place = {row[0]: i for i, row in enumerate(rows)}
    result = {"texts": encode(model, tokenizer, [row[2] for row in rows[:1000]])}
    result["questions"] = encode(model, tokenizer, [q["question"] for q in questions])
    result["passages"] = encode(model, tokenizer, [row[1] for row in rows], [row[2] for row in rows], token_types=False)
    result["gold"] = torch.tensor([place[str(q["context_id"])] for q in questions], dtype=torch.int64)
    scores = result["questions"] @ result["passages"].T
    result["top"] = scores.topk(20, dim=1).indices.contiguous()
    save_file(result, os.path.join(options.folder, "expected.safetensors"))
    for k in (1, 5, 20):
        hits = (result["top"][:, :k] == result["gold"][:, None]).any(1).sum().item()
        print(f"recall@{k}: {hits} of {len(questions)} = {hits / len(questions):.4f}")


if __name__ == "__main__":
    main()
