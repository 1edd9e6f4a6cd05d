"""Loads a golden folder with transformers and computes what the reference gives for it.

A golden folder holds `rag/` (a RAG checkpoint with both tokenizers), `ctx_encoder/` with its tokenizer
beside it, and `kb.tsv` (title, tab, text). `compute` returns the contents of `expected.json` and
`expected.safetensors`; `differences` compares two such results key by key.
"""
import copy
import json
import os
import warnings

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
warnings.filterwarnings("ignore")

import datasets
import faiss
import numpy as np
import torch
import transformers
from safetensors.numpy import load_file
from transformers import (AutoTokenizer, DPRContextEncoder, DPRContextEncoderTokenizer, RagRetriever,
                          RagSequenceForGeneration, RagTokenForGeneration)
from transformers.models.rag.retrieval_rag import CustomHFIndex

transformers.logging.set_verbosity_error()
datasets.disable_progress_bars()

QUESTION_LENGTH, PASSAGE_LENGTH, LABEL_LENGTH = 64, 128, 25
KINDS = {"rag_token": RagTokenForGeneration, "rag_sequence": RagSequenceForGeneration}
GRADIENTS = ["rag.question_encoder.question_encoder.bert_model.encoder.layer.0.attention.self.query.weight",
             "rag.ctx_encoder.ctx_encoder.bert_model.embeddings.LayerNorm.weight"]
SEARCHES = {
    "greedy": dict(num_beams=1, length_penalty=1.0, early_stopping=False, no_repeat_ngram_size=0),
    "beam4": dict(num_beams=4, length_penalty=1.0, early_stopping=False, no_repeat_ngram_size=0),
    "beam4_len2": dict(num_beams=4, length_penalty=2.0, early_stopping=False, no_repeat_ngram_size=0),
    "beam3_ngram2": dict(num_beams=3, length_penalty=1.0, early_stopping=False, no_repeat_ngram_size=2),
    "beam4_early": dict(num_beams=4, length_penalty=1.0, early_stopping=True, no_repeat_ngram_size=0),
}
for search in SEARCHES.values():
    search.update(max_length=20, min_length=1)
ADAMW = dict(lr=6e-5, eps=1e-8, betas=[0.9, 0.999], weight_decay=5.0, max_grad_norm=1.0, steps=8)
AWKWARD = [
    "Ships, ahoy!", "  blanks   before and behind  ", "Dvořák — crème brûlée №9", "東京 tower 한글", "a\ttab and\r\nlines",
    "flags 🇮🇸 and a family 👨‍👩‍👦 here", "it's, we're, I'D, they've", "2.71828 and 12,345,678 or 1/2", "y" * 120, "",
    "<s> one </s> <mask> [SEP] two [MASK]", "oﬃce ﬂag Ǆ İzmir ẞ", "e\u0301 a\u030a n\u0303 o\u0308", "zero\u200bwidth\u00a0space\ufeff",
    "«quotes» “curly” „low“ ‘single’", "x²+y³≠√2 ½", "rock'n'roll . , ! ? n't", "A.B.C. e-mail: a_b@c.org", "\u0000null\u0007bell",
]


class Case:
    """The parts of a golden folder, as loaded from disk."""

    def __init__(self, folder, settings=None):
        self.folder = folder
        self.settings = settings
        self.rag_path = os.path.join(folder, "rag")
        self.token_model = RagTokenForGeneration.from_pretrained(self.rag_path).eval()
        self.ctx_encoder = DPRContextEncoder.from_pretrained(os.path.join(folder, "ctx_encoder")).eval()
        self.ctx_tokenizer = DPRContextEncoderTokenizer.from_pretrained(os.path.join(folder, "ctx_encoder_tokenizer"))
        self.question_tokenizer = AutoTokenizer.from_pretrained(os.path.join(self.rag_path, "question_encoder_tokenizer"))
        self.generator_tokenizer = AutoTokenizer.from_pretrained(os.path.join(self.rag_path, "generator_tokenizer"))
        self.passages = read_passages(os.path.join(folder, "kb.tsv"))

    def double(self):
        other = copy.copy(self)
        other.token_model = copy.deepcopy(self.token_model).double()
        other.ctx_encoder = copy.deepcopy(self.ctx_encoder).double()
        return other

    def perturbed(self, relative, seed):
        """The same case with every weight changed by a random relative amount."""
        other = copy.copy(self)
        other.token_model = copy.deepcopy(self.token_model)
        other.ctx_encoder = copy.deepcopy(self.ctx_encoder)
        noise = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for module in (other.token_model, other.ctx_encoder):
                for p in module.parameters():
                    p.mul_(1 + relative * (2 * torch.rand(p.shape, generator=noise) - 1))
        return other

    def retriever(self, embeddings):
        rows = {"title": [t for t, _ in self.passages], "text": [t for _, t in self.passages],
                "embeddings": list(np.asarray(embeddings, np.float32))}
        passages = datasets.Dataset.from_dict(rows)
        passages.add_faiss_index("embeddings", custom_index=faiss.IndexFlatIP(len(rows["embeddings"][0])))
        config = self.token_model.config
        return RagRetriever(config, question_encoder_tokenizer=self.question_tokenizer,
                            generator_tokenizer=self.generator_tokenizer, init_retrieval=False,
                            index=CustomHFIndex(config.retrieval_vector_size, passages))

    def model(self, kind, retriever, end_to_end=False):
        """A model of its own copies. Tied heads survive: only the token class ties them on loading."""
        parts = copy.deepcopy(self.token_model)
        config = parts.config
        model = KINDS[kind](config=config, question_encoder=parts.rag.question_encoder,
                            generator=parts.rag.generator, retriever=retriever)
        model.generation_config = parts.generation_config
        if end_to_end:
            model.set_context_encoder_for_training(copy.deepcopy(self.ctx_encoder))
            retriever.set_ctx_encoder_tokenizer(self.ctx_tokenizer)
        return model.eval()


def read_passages(path):
    with open(path, encoding="utf-8", newline="\n") as f:
        return [tuple(line.rstrip("\n").split("\t", 1)) for line in f]


def lists(rows):
    return [list(map(int, row)) for row in rows]


def unpadded(ids, mask):
    return [[int(t) for t, m in zip(row, keep) if m] for row, keep in zip(ids.tolist(), mask.tolist())]


def encode_passages(case, kb_input_ids, token_types):
    """Vectors of the passages, one by one (no padding)."""
    vectors = []
    with torch.no_grad():
        for i, ids in enumerate(kb_input_ids):
            types = case.ctx_tokenizer(*case.passages[i], truncation=True, max_length=PASSAGE_LENGTH)["token_type_ids"]
            extra = {"token_type_ids": torch.tensor([types])} if token_types else {}
            vectors.append(case.ctx_encoder(torch.tensor([ids]), **extra).pooler_output[0])
    return torch.stack(vectors)


def targets(case, answers, columns=LABEL_LENGTH):
    """Target ids, and the decoder inputs (= labels) padded to `columns` labels."""
    ids = [case.generator_tokenizer(a, max_length=LABEL_LENGTH, truncation=True)["input_ids"] for a in answers]
    config = case.token_model.config.generator
    start = [config.decoder_start_token_id] if config.model_type == "t5" else []
    pad = config.pad_token_id
    return ids, [start + row + [pad] * (columns - len(row)) for row in ids]


def compute(case, questions, answers, columns=LABEL_LENGTH, adamw=ADAMW, searches=SEARCHES, texts=()):
    """Everything of `expected.json` (first) and `expected.safetensors` (second) but `settings`."""
    out, tensors = {}, {}
    bart = case.token_model.config.generator.model_type == "bart"
    out["kb_input_ids"] = [case.ctx_tokenizer(title, text, truncation=True, max_length=PASSAGE_LENGTH)["input_ids"]
                           for title, text in case.passages]
    embeddings = encode_passages(case, out["kb_input_ids"], token_types=False)
    tensors["kb_embeddings"] = embeddings
    tensors["kb_embeddings_token_types"] = encode_passages(case, out["kb_input_ids"], token_types=True)

    batch = case.question_tokenizer(questions, max_length=QUESTION_LENGTH, truncation=True, padding=True, return_tensors="pt")
    inputs = dict(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    target_ids, padded = targets(case, answers, columns)
    out.update(questions=questions, answers=answers, question_input_ids=unpadded(batch["input_ids"], batch["attention_mask"]),
               target_input_ids=target_ids, decoder_input_ids_padded=padded)
    labels = torch.tensor(padded)

    for kind in KINDS:
        with torch.no_grad():
            out[kind] = plain(case, kind, embeddings, inputs, labels, bart, tensors)
        out[kind]["generate"] = generate(case, kind, embeddings, inputs, searches)
        out[kind].update(end_to_end(case, kind, embeddings, inputs, labels, tensors))
        out[kind].update(adamw_steps(case, kind, embeddings, inputs, labels, adamw))

    model = case.model("rag_token", case.retriever(embeddings))
    context = context_of(model, inputs)
    first = 2 * model.config.n_docs
    for name, beams in (("generator_beam4", 4), ("generator_greedy", 1)):
        out[name] = lists(model.generator.generate(context["context_input_ids"][:first], num_beams=beams, max_length=20,
                                                   min_length=0, attention_mask=context["context_attention_mask"][:first]))
    out["tokenize"] = tokenize(case, texts)
    return out, {name: value.detach().numpy().copy() for name, value in tensors.items()}


def tokenize(case, texts, fast=False):
    """Ids and decoded text of both tokenizers, by the reference's own Python tokenizers (or the Rust ones)."""
    wordpiece, generator = (AutoTokenizer.from_pretrained(os.path.join(case.rag_path, name), use_fast=fast)
                            for name in ("question_encoder_tokenizer", "generator_tokenizer"))
    out = []
    for text in texts:
        ids = wordpiece(text)["input_ids"], generator(text)["input_ids"]
        out.append({"text": text, "wordpiece": ids[0], "generator": ids[1],
                    "wordpiece_decoded": wordpiece.decode(ids[0], skip_special_tokens=True),
                    "generator_decoded": generator.decode(ids[1], skip_special_tokens=True)})
    return out


def context_of(model, inputs):
    with torch.no_grad():
        q = model.question_encoder(**inputs)[0]
        return model.retriever(inputs["input_ids"], q.to(torch.float32).numpy(), prefix=model.generator.config.prefix,
                               n_docs=model.config.n_docs, return_tensors="pt")


def plain(case, kind, embeddings, inputs, labels, bart, tensors):
    """The forward pass with the index's own vectors, as before end-to-end training."""
    model = case.model(kind, case.retriever(embeddings))
    run = dict(**inputs, decoder_input_ids=labels, labels=labels)
    per_example = model(**run, reduce_loss=False)
    values = {}
    if kind == "rag_token":
        n = model.config.n_docs
        forward = model(**inputs, decoder_input_ids=labels, output_retrieved=True)
        marginal = model(**inputs, decoder_input_ids=labels, do_marginalize=True)
        values["doc_ids"] = lists(forward.retrieved_doc_ids)
        values["doc_scores"] = forward.doc_scores.tolist()
        values["context_input_ids"] = unpadded(forward.context_input_ids, forward.context_attention_mask)
        tensors["question_embeddings"] = forward.question_encoder_last_hidden_state
        tensors["generator_encoder_last_hidden_padded"] = forward.generator_enc_last_hidden_state[:2 * n]
        tensors["context_attention_mask"] = forward.context_attention_mask[:2 * n].to(torch.int32)
        tensors["rag_token_logits_per_doc"] = forward.logits[:2 * n]
        tensors["rag_token_marginal_logprobs"] = marginal.logits[:2]
    values["loss"] = model(**run, reduce_loss=True).loss.item()
    values["loss_per_example"] = per_example.loss.flatten().tolist()
    model.config.label_smoothing = 0.1
    values["loss_smoothing_0.1"] = model(**run, reduce_loss=True).loss.item()
    model.config.label_smoothing = 0.0
    if kind == "rag_sequence":
        values["loss_exclude_bos_score"] = model(**run, reduce_loss=True, exclude_bos_score=True).loss.item()
        if bart:
            start = torch.full((len(labels), 1), model.config.generator.decoder_start_token_id)
            started = torch.cat([start, labels], 1)
            run = dict(**inputs, decoder_input_ids=started, labels=started, reduce_loss=True)
            values["loss_started"] = model(**run).loss.item()
            values["loss_started_exclude_bos_score"] = model(**run, exclude_bos_score=True).loss.item()
    return values


def generate(case, kind, embeddings, inputs, searches=SEARCHES):
    model = case.model(kind, case.retriever(embeddings))
    out = {}
    for name, search in searches.items():
        settings = dict(search, do_sample=False, num_return_sequences=1)
        if kind == "rag_token":
            out[name] = lists(model.generate(**inputs, **settings))
        else:
            for dedup in (0, 1):
                out[f"{name}_dedup{dedup}"] = lists(model.generate(**inputs, do_deduplication=bool(dedup), **settings))
    return out


def end_to_end(case, kind, embeddings, inputs, labels, tensors):
    """Loss and gradients with the live context encoder."""
    model = case.model(kind, case.retriever(embeddings), end_to_end=True)
    result = model(**inputs, decoder_input_ids=labels, labels=labels, reduce_loss=True, output_retrieved=True)
    result.loss.backward()
    parameters = dict(model.named_parameters())
    norms = {name: p.grad.norm().item() for name, p in parameters.items() if p.grad is not None}
    total = sum(v * v for v in norms.values()) ** 0.5
    for name in GRADIENTS:
        tensors[f"{kind}.grad.{name}"] = parameters[name].grad
    return {"end2end_loss": result.loss.item(), "end2end_doc_scores": result.doc_scores.tolist(), "grad_norms": norms,
            "grad_is_rounding": [name for name, v in norms.items() if v < 1e-8 * total],
            "no_grad": [name for name, p in parameters.items() if p.grad is None]}


def score_gap(vectors, embeddings, count):
    """The smallest distance between neighbouring scores of the first `count` documents and the next one."""
    top = (vectors @ embeddings.T).topk(count + 1).values
    return (top[:, :-1] - top[:, 1:]).min().item()


def adamw_steps(case, kind, embeddings, inputs, labels, settings, gaps=None):
    """AdamW on the same batch, documents searched anew at each step from an index that stays as it was.

    A list given as `gaps` gets each step's smallest distance between neighbouring document scores."""
    model = case.model(kind, case.retriever(embeddings), end_to_end=True)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=settings["lr"], eps=settings["eps"], betas=tuple(settings["betas"]),
                                  weight_decay=settings["weight_decay"])
    trace, documents = [], []
    for step in range(settings["steps"] + 1):
        result = model(**inputs, decoder_input_ids=labels, labels=labels, reduce_loss=True, output_retrieved=True)
        documents.append(lists(result.retrieved_doc_ids))
        if gaps is not None:
            gaps.append(score_gap(result.question_encoder_last_hidden_state.detach(), embeddings, model.config.n_docs))
        optimizer.zero_grad()
        result.loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings["max_grad_norm"])
        trace.append([result.loss.item(), norm.item()])
        if step < settings["steps"]:
            optimizer.step()
    return {"adamw_losses_and_grad_norms": trace[:-1], "adamw_loss_and_grad_norm_after": trace[-1],
            "adamw_doc_ids": documents}


def read_expected(folder):
    with open(os.path.join(folder, "expected.json"), encoding="utf-8") as f:
        expected = json.load(f)
    return expected, load_file(os.path.join(folder, "expected.safetensors"))


def floats(value):
    """The floats of nested lists as an array, or None where there is something else."""
    if isinstance(value, float):
        return np.array([value])
    if isinstance(value, list) and value:
        parts = [floats(v) for v in value]
        return None if any(p is None for p in parts) else np.concatenate(parts)
    return None


def differences(ours, theirs, path=""):
    """Yields (path, largest difference over largest entry); infinity where ids, texts or keys differ."""
    if isinstance(theirs, dict):
        if set(ours) != set(theirs):
            yield f"{path} keys {sorted(set(ours) ^ set(theirs))}", float("inf")
        for key in theirs:
            if key in ours:
                yield from differences(ours[key], theirs[key], f"{path}/{key}")
    elif isinstance(theirs, np.ndarray):
        if ours.shape != theirs.shape:
            yield f"{path} {ours.shape} {theirs.shape}", float("inf")
        else:
            scale = max(np.abs(theirs).max(), 1e-30)
            yield path, float(np.abs(ours.astype(np.float64) - theirs).max() / scale)
    elif floats(theirs) is not None and floats(ours) is not None:
        yield from differences(floats(ours), floats(theirs), path)
    else:
        yield path, 0.0 if ours == theirs else float("inf")


def compare(ours, theirs):
    """{key: largest difference}, gradients that are zero in exact arithmetic measured against the total norm."""
    result = {}
    rounding = {k: set(theirs[0][k]["grad_is_rounding"]) | set(ours[0][k]["grad_is_rounding"]) for k in KINDS}
    for (a, b) in ((ours[0], theirs[0]), (ours[1], theirs[1])):
        for path, value in differences(a, b):
            parts = path.split("/", 3)
            if path.endswith("/settings") or "grad_is_rounding" in path or path.startswith("/settings"):
                continue
            if len(parts) == 4 and parts[2] == "grad_norms":
                if parts[3] in rounding[parts[1]]:
                    norms = b[parts[1]]["grad_norms"]
                    total = sum(v * v for v in norms.values()) ** 0.5
                    path, value = f"/{parts[1]}/grad_norms (zero, of total)", max(norms[parts[3]], a[parts[1]]["grad_norms"][parts[3]]) / total
                else:
                    path = f"/{parts[1]}/grad_norms"
            result[path] = max(result.get(path, 0.0), value)
    return result
