"""Loads a directory that RAGKit saved with transformers, strictly.

    python check_with_transformers.py DIR                       every key fits, tokenizers load
    python check_with_transformers.py DIR --same-as DIR2        and the weights equal those of DIR2, bit for bit
    python check_with_transformers.py DIR --expected golden/bart   and the logits and losses are the fixture's

DIR holds config.json, model.safetensors, question_encoder_tokenizer/, generator_tokenizer/ and, where there is
one, ctx_encoder/ with its own config, weights and tokenizer files. DIR2 may have its context encoder in
ctx_encoder/ or beside it, as a golden folder's rag/ has. Exit code 0 and a last line "ok" mean that all held.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden"))
import golden_values as golden
import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, DPRContextEncoder, RagConfig, RagTokenForGeneration, RagTokenizer


def fail(text):
    print("FAILED:", text)
    sys.exit(1)


def load_strictly(cls, path):
    """The model, after failing on any key that is missing, unexpected or of another shape."""
    model, info = cls.from_pretrained(path, output_loading_info=True)
    wrong = {k: info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs") if info[k]}
    if wrong:
        fail(f"{path} does not fit {cls.__name__}: {wrong}")
    print(f"{cls.__name__}: {sum(p.numel() for p in model.parameters()):,} parameters, every key fits")
    return model.eval()


def context_folder(path):
    for folder in (os.path.join(path, "ctx_encoder"), os.path.join(os.path.dirname(os.path.abspath(path)), "ctx_encoder")):
        if os.path.isdir(folder):
            return folder
    return None


def same_weights(path, other):
    ours, theirs = load_file(path), load_file(other)
    if set(ours) != set(theirs):
        fail(f"{path} and {other} hold different names: {sorted(set(ours) ^ set(theirs))}")
    for name, tensor in ours.items():
        if tensor.dtype != theirs[name].dtype or not torch.equal(tensor, theirs[name]):
            fail(f"{name} differs between {path} and {other}: {tensor.dtype} {tuple(tensor.shape)}, "
                 f"{theirs[name].dtype} {tuple(theirs[name].shape)}")
    print(f"{os.path.basename(path)}: {len(ours)} tensors equal those of {other}")


# Settings that transformers does not have, which RAGKit writes under names of its own.
OWN_KEYS = "ragkit_"


def same_configuration(ours, theirs, ignored=("transformers_version", "_name_or_path", "architectures", "torch_dtype",
                                              "_attn_implementation_autoset", "_commit_hash")):
    """Differences of two configuration dictionaries, by path."""
    result = []
    for key in sorted(set(ours) | set(theirs)):
        a, b = ours.get(key), theirs.get(key)
        if key in ignored or a == b or key.startswith(OWN_KEYS) and b is None:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            result += [f"{key}.{line}" for line in same_configuration(a, b, ignored)]
        else:
            result.append(f"{key}: {a!r}, there {b!r}")
    return result


class Saved(golden.Case):
    """A golden case whose models and tokenizers come from a saved directory."""

    def __init__(self, path, folder, model, ctx_encoder):
        self.token_model, self.ctx_encoder = model, ctx_encoder
        tokenizer = RagTokenizer.from_pretrained(path)
        self.question_tokenizer, self.generator_tokenizer = tokenizer.question_encoder, tokenizer.generator
        self.ctx_tokenizer = context_tokenizer(path)
        self.passages = golden.read_passages(os.path.join(folder, "kb.tsv"))


def context_tokenizer(path):
    folder = context_folder(path)
    for place in (folder, folder + "_tokenizer"):
        if any(os.path.exists(os.path.join(place, f)) for f in ("vocab.txt", "tokenizer.json")):
            return golden.DPRContextEncoderTokenizer.from_pretrained(place)
    fail(f"no tokenizer files of the context encoder in {folder}")


def check_losses(path, folder, model, ctx_encoder):
    """The fixture's tokens, vectors, logits and losses, from the saved directory."""
    expected, tensors = golden.read_expected(folder)
    case = Saved(path, folder, model, ctx_encoder)
    columns = len(expected["decoder_input_ids_padded"][0]) - (model.config.generator.model_type == "t5")
    inputs = case.question_tokenizer(expected["questions"], padding=True, truncation=True,
                                     max_length=golden.QUESTION_LENGTH, return_tensors="pt")
    inputs = dict(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
    _, padded = golden.targets(case, expected["answers"], columns)
    ids = [case.ctx_tokenizer(*p, truncation=True, max_length=golden.PASSAGE_LENGTH)["input_ids"] for p in case.passages]
    embeddings = golden.encode_passages(case, ids, token_types=False)
    found = {"kb_input_ids": ids, "decoder_input_ids_padded": padded,
             "question_input_ids": golden.unpadded(inputs["input_ids"], inputs["attention_mask"])}
    for key, value in found.items():
        if value != expected[key]:
            fail(f"{key} are not the fixture's")
    labels = torch.tensor(padded)
    with torch.no_grad():
        live = case.model("rag_token", case.retriever(embeddings))
        forward = live(**inputs, decoder_input_ids=labels, output_retrieved=True)
        marginal = live(**inputs, decoder_input_ids=labels, do_marginalize=True).logits
    rows = 2 * model.config.n_docs
    pairs = {"kb_embeddings": embeddings, "question_embeddings": forward.question_encoder_last_hidden_state,
             "generator_encoder_last_hidden_padded": forward.generator_enc_last_hidden_state[:rows],
             "rag_token_logits_per_doc": forward.logits[:rows], "rag_token_marginal_logprobs": marginal[:2]}
    results = [(key, np.abs(value.numpy() - tensors[key]).max() / np.abs(tensors[key]).max()) for key, value in pairs.items()]
    for kind in golden.KINDS:
        for end_to_end, key in ((False, "loss"), (True, "end2end_loss")):
            with torch.no_grad():
                live = case.model(kind, case.retriever(embeddings), end_to_end=end_to_end)
                loss = live(**inputs, decoder_input_ids=labels, labels=labels, reduce_loss=True).loss.item()
            results.append((f"{kind} {key}", abs(loss - expected[kind][key]) / abs(expected[kind][key])))
    for name, value in results:
        print(f"{name}: relative difference {value:.1e}")
        if not value < 1e-5:
            fail(f"{name} is not the fixture's")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--expected", metavar="FOLDER", help="golden folder whose losses the directory must give")
    parser.add_argument("--same-as", metavar="DIR2", help="directory whose weights must be equal")
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = options.directory.rstrip("/")
    model = load_strictly(RagTokenForGeneration, path)
    for part in ("question_encoder_tokenizer", "generator_tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(os.path.join(path, part))
        print(f"{part}: {type(tokenizer).__name__}, {len(tokenizer)} tokens")
    folder = context_folder(path)
    ctx_encoder = load_strictly(DPRContextEncoder, folder) if folder else None
    if options.same_as:
        other = options.same_as.rstrip("/")
        same_weights(os.path.join(path, "model.safetensors"), os.path.join(other, "model.safetensors"))
        if folder and context_folder(other):
            same_weights(*(os.path.join(f, "model.safetensors") for f in (folder, context_folder(other))))
        changes = same_configuration(RagConfig.from_pretrained(path).to_dict(), RagConfig.from_pretrained(other).to_dict())
        if changes:
            fail("configurations differ: " + "; ".join(changes))
        print("configurations mean the same")
    if options.expected:
        if ctx_encoder is None:
            fail(f"{path} has no ctx_encoder/, which --expected needs")
        check_losses(path, options.expected, model, ctx_encoder)
    print("ok")


if __name__ == "__main__":
    main()
