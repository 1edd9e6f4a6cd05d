"""Writes expected.json beside this script: what transformers generates from `../golden/bart` under settings of every kind.

    python make_fixture.py            writes
    python make_fixture.py --check    compares with what is there

Needs what `../golden/make_golden.py` needs. A case's `settings` are keys of generation_config.json; `prefix` restricts each token to
ids that leave the same remainder by 3 as the number of tokens so far, or end. `rag_token` and `rag_sequence` have the best sequences of
all questions (`num_return_sequences` of each), `generator` those of the first two questions' contexts. Padding is cut off.
"""
import json
import os
import sys

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "golden"))
import golden_values as golden

BEAMS = dict(num_beams=4, max_length=20)
CASES = [
    dict(settings=dict(BEAMS, early_stopping="never")),
    dict(settings=dict(BEAMS, early_stopping="never", length_penalty=2.0)),
    dict(settings=dict(BEAMS, length_penalty=-1.0)),
    dict(settings=dict(BEAMS, length_penalty=0.0, early_stopping=True)),
    dict(settings=dict(BEAMS, num_return_sequences=3)),
    dict(settings=dict(num_beams=6, max_length=9, num_return_sequences=6)),
    dict(settings=dict(BEAMS, repetition_penalty=1.5)),
    dict(settings=dict(max_length=20, repetition_penalty=1.3)),
    dict(settings=dict(BEAMS, repetition_penalty=0.8)),
    dict(settings=dict(BEAMS, no_repeat_ngram_size=1)),
    dict(settings=dict(max_length=20, no_repeat_ngram_size=2)),
    dict(settings=dict(BEAMS, min_length=12)),
    dict(settings=dict(max_length=20, min_length=9)),
    dict(settings=dict(BEAMS, min_new_tokens=10)),
    dict(settings=dict(BEAMS, bad_words_ids=[[0, 0], [2], [265], [276, 295]])),
    dict(settings=dict(max_length=20, bad_words_ids=[[265], [0, 41], [2, 0, 22]])),
    dict(settings=dict(BEAMS, max_length=6)),
    dict(settings=dict(BEAMS, max_length=6, forced_eos_token_id=None)),
    dict(settings=dict(BEAMS, forced_bos_token_id=None)),
    dict(settings=dict(BEAMS, forced_bos_token_id=40, forced_eos_token_id=None)),
    dict(settings=dict(BEAMS, eos_token_id=[2, 265])),
    dict(settings=dict(BEAMS, max_new_tokens=7), kinds=("rag_sequence", "generator")),
    dict(settings=dict(BEAMS), prefix=True),
    dict(settings=dict(max_length=12), prefix=True),
]


def allowed(batch, ids):
    return [t for t in range(480) if t % 3 == len(ids) % 3 or t == 2]


def trimmed(rows, eos):
    out = []
    for row in rows.tolist():
        ends = [i for i, t in enumerate(row) if i > 0 and t in eos]
        out.append(row[:ends[0] + 1] if ends else row)
    return out


def main():
    case = golden.Case(os.path.join(HERE, "..", "golden", "bart"))
    expected, tensors = golden.read_expected(os.path.join(HERE, "..", "golden", "bart"))
    embeddings = torch.tensor(tensors["kb_embeddings"])
    batch = case.question_tokenizer(expected["questions"], max_length=golden.QUESTION_LENGTH, truncation=True, padding=True, return_tensors="pt")
    inputs = dict(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    models = {kind: case.model(kind, case.retriever(embeddings)) for kind in golden.KINDS}
    context = golden.context_of(models["rag_token"], inputs)
    first = 2 * models["rag_token"].config.n_docs
    out = []
    for entry in CASES:
        settings = entry["settings"]
        eos = settings.get("eos_token_id", [2])
        extra = dict(settings, do_sample=False)
        if entry.get("prefix"):
            extra["prefix_allowed_tokens_fn"] = allowed
        result = dict(settings=settings, prefix=entry.get("prefix", False))
        for kind in entry.get("kinds", ("rag_token", "rag_sequence", "generator")):
            greedy = settings.get("num_beams", 1) == 1
            if kind == "generator":
                found = models["rag_token"].generator.generate(context["context_input_ids"][:first],
                                                               attention_mask=context["context_attention_mask"][:first], **extra)
            elif kind == "rag_token":
                # A null given here would be taken for "not given"; the model's own settings say it instead.
                config = models[kind].generation_config
                saved = config.forced_bos_token_id, config.forced_eos_token_id
                for key in ("forced_bos_token_id", "forced_eos_token_id"):
                    if key in settings:
                        setattr(config, key, settings[key])
                found = models[kind].generate(**inputs, **extra)
                config.forced_bos_token_id, config.forced_eos_token_id = saved
            else:
                found = models[kind].generate(**inputs, **dict(extra, num_beams=settings.get("num_beams", 1)))
            result[kind] = trimmed(found, eos)
            assert greedy or len(found) % settings.get("num_return_sequences", 1) == 0
        out.append(result)
    return out


if __name__ == "__main__":
    torch.set_num_threads(1)
    path = os.path.join(HERE, "expected.json")
    values = main()
    if "--check" in sys.argv:
        with open(path, encoding="utf-8") as f:
            print("agrees" if json.load(f) == json.loads(json.dumps(values)) else "DIFFERS")
    else:
        with open(path, "w", encoding="utf-8") as f:
            f.write("[\n" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in values) + "\n]\n")
        different = {json.dumps(v.get(k)) for v in values for k in ("rag_token", "rag_sequence", "generator")}
        print(f"{len(values)} cases, {len(different)} different results, {os.path.getsize(path)} bytes")
