#!/usr/bin/env python3
"""Writes realm.safetensors and realm.json: what transformers' deprecated REALM computes with a tiny
model of random weights, in Float32 on a CPU.

    python3 make_fixture.py            with transformers 4.46.3, torch and safetensors installed

Weights and ids are random numbers of a fixed seed. Sequences are padded here, since the reference
needs it; realm.json holds them without padding.
"""
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers.models.deprecated.realm import RealmConfig, RealmKnowledgeAugEncoder, RealmReader

CLS, SEP, MASK = 1, 2, 3
config = RealmConfig(
    vocab_size=31, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
    max_position_embeddings=20, hidden_act="gelu", hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0, num_candidates=3, span_hidden_size=6, max_span_width=3,
    reader_layer_norm_eps=1e-3, reader_beam_size=3, searcher_beam_size=4)
torch.manual_seed(20)
reader = RealmReader(config).eval()
encoder = RealmKnowledgeAugEncoder(config).eval()
with torch.no_grad():
    for name, parameter in reader.named_parameters():
        gain = name.endswith("weight") and "norm" in name.lower()
        parameter.copy_(torch.randn(parameter.shape) * 0.3 + (1.0 if gain else 0.0))
    reader.cls.predictions.decoder.weight = reader.realm.embeddings.word_embeddings.weight
    encoder.load_state_dict(reader.state_dict(), strict=False)
encoder.tie_weights()


def words(count):
    return torch.randint(4, config.vocab_size, (count,)).tolist()


def pad(rows, value=0):
    length = max(map(len, rows))
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])


def joint(text, passage):
    ids = [CLS] + text + [SEP] + passage + [SEP]
    return ids, [0] * (len(text) + 2) + [1] * (len(passage) + 1)


def named_gradients(model, prefix):
    return {f"{prefix}.{name}": p.grad.clone() for name, p in model.named_parameters()
            if p.grad is not None and "pooler" not in name and "decoder" not in name}


tensors = {f"reader.{name}": value.clone() for name, value in reader.state_dict().items()
           if "pooler" not in name and "decoder" not in name and "position_ids" not in name}

# Hidden words: two texts of different lengths, three candidates each, the last one empty.
texts = [words(5), words(7)]
hidden = [[2, 3], [6]]  # places in the sequence, [CLS] counted
masked = [[MASK if place + 1 in places else word for place, word in enumerate(text)]
          for text, places in zip(texts, hidden)]
passages = [[words(6), words(4), []], [words(3), words(8), []]]
rows = [[joint(text, passage) for passage in own] for text, own in zip(masked, passages)]
flat = [row for own in rows for row in own]
ids = pad([row[0] for row in flat]).view(2, 3, -1)
labels = torch.zeros(2, ids.shape[-1], dtype=torch.long)
mlm_mask = torch.zeros_like(labels)
for index, (text, places) in enumerate(zip(texts, hidden)):
    for place in places:
        labels[index, place] = text[place - 1]
        mlm_mask[index, place] = 1
scores = torch.randn(2, 3, requires_grad=True)
loss = encoder(
    input_ids=ids, attention_mask=pad([[1] * len(row[0]) for row in flat]).view(2, 3, -1),
    token_type_ids=pad([row[1] for row in flat]).view(2, 3, -1), relevance_score=scores,
    labels=labels, mlm_mask=mlm_mask).loss
loss.backward()
tensors.update(named_gradients(encoder, "words_gradient"))
tensors["words_scores"] = scores.detach()
tensors["words_scores_gradient"] = scores.grad
expected = {"words": {
    "ids": [row[0] for row in flat], "types": [row[1] for row in flat],
    "positions": hidden, "labels": [[text[p - 1] for p in places] for text, places in zip(texts, hidden)],
    "loss": loss.item()}}

# Spans: one question, three passages read of four that are scored; two of them hold the answer.
question, answer = words(4), [30, 29]
blocks = [words(6), words(5) + answer + words(2), answer + words(3) + answer, words(4)]
rows = [joint(question, block) for block in blocks]
first = len(question) + 2
starts, ends = [], []
for ids, _ in rows:
    found = [p for p in range(first, len(ids) - 2) if ids[p:p + 2] == answer]
    starts.append(found)
    ends.append([p + 1 for p in found])
relevance = torch.randn(4, requires_grad=True)
block_mask = pad([[0] * first + [1] * len(block) + [0] for block in blocks]).bool()
reader.zero_grad()
output = reader(
    input_ids=pad([row[0] for row in rows])[:3], token_type_ids=pad([row[1] for row in rows])[:3],
    attention_mask=pad([[1] * len(row[0]) for row in rows])[:3], relevance_score=relevance,
    block_mask=block_mask, start_positions=pad(starts, -1), end_positions=pad(ends, -1),
    has_answers=torch.tensor([bool(s) for s in starts]), return_dict=True)
output.loss.backward()
tensors.update(named_gradients(reader, "spans_gradient"))
tensors["spans_relevance"] = relevance.detach()
tensors["spans_relevance_gradient"] = relevance.grad
expected["spans"] = {
    "ids": [row[0] for row in rows], "types": [row[1] for row in rows],
    "passages": [[first, first + len(block)] for block in blocks],
    "starts": starts, "ends": ends, "loss": output.loss.item(),
    "retriever_loss": output.retriever_loss.item(), "reader_loss": output.reader_loss.item(),
    "block": output.block_idx.item(), "start": output.start_pos.item(), "end": output.end_pos.item()}

folder = Path(__file__).parent
save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "realm.safetensors")
(folder / "realm.json").write_text(json.dumps(expected) + "\n")
print(json.dumps(expected, indent=1)[:600])
