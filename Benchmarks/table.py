"""Runs every comparison, ours and the peer's interleaved in each, and prints the table of ratios.

    swift build -c release
    VENV/bin/python table.py --python VENV/bin/python [--rounds 20] [--only "BERT-base"]

A row holds when the lower end of its 95 % interval is at least what is aimed at. The aims are for two cores with AVX-512,
bfloat16 and int8 products; on other processors the peers and RAGKit have other limits. Rows of real size take minutes a
round and make a part of the rounds, at least 2; the whole table takes hours.
"""
import argparse
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--python", default=sys.executable, help="an interpreter with the peers' packages (see peers/README.md)")
parser.add_argument("--rounds", type=int, default=20)
parser.add_argument("--only", default="", help="rows whose name contains this")
args = parser.parse_args()


def training(size, aim, peer, *options, ours="float32"):
    kept = " memory kept" if "--keep-memory" in options else ""
    longest = ", longest" if "longest" in options else ""
    return (f"training step, {size}, {ours} beside transformers {peer}{kept}{longest}", aim, 4 if size == "base" else 1,
            ["compare.py", "--size", size, "--precision", peer, "--ours", ours, *options])


def encoding(size, aim, peer, ours):
    return (f"encoding, {'BERT-base' if size == 'base' else 'MiniLM'}, {ours} beside {peer}", aim, 4 if size == "base" else 1,
            ["compare_encoding.py", "--size", size, "--pairs", f"{peer}:{ours}"])


def generation(size, kind, aim, peer, ours, questions):
    return (f"RAG-{kind} generation, {size}, {questions} questions, {ours} beside transformers {peer}", aim,
            (1 if size == "small" else 4 if kind == "token" else 7),
            ["compare_generation.py", "--size", size, "--kinds", kind, "--precision", peer, "--ours", ours, "--batch", str(questions)])


def alone(size, aim, peer, ours):
    return f"BART alone, {size}, {ours} beside {peer}", aim, 1, ["compare_seq2seq.py", "--size", size, "--pairs", f"{peer}:{ours}"]


# What is compared, the ratio aimed at, by how much the rounds are divided, and the script that does it.
ROWS = [
    training("base", 4.5, "fp32"), training("base", 3, "onednn"), training("base", 2.2, "onednn", "--keep-memory"),
    training("base", 1.5, "onednn", "--padding", "longest"), training("base", 2.3, "bf16", ours="bfloat16"),
    training("small", 3, "fp32"), training("small", 1.8, "onednn"), training("small", 2.4, "bf16", ours="bfloat16"),
    encoding("base", 5, "reference", "float32"), encoding("base", 2.6, "transformers", "float32"),
    encoding("base", 1, "ctranslate2-float32", "float32"), encoding("base", 1.3, "transformers-compiled-bf16", "bfloat16"),
    encoding("base", 1.2, "ctranslate2-int8", "int8"), encoding("minilm", 1.1, "ctranslate2-float32", "float32"),
    encoding("minilm", 1.5, "transformers-bf16", "bfloat16"), encoding("minilm", 1.3, "ctranslate2-int8", "int8"),
    generation("base", "token", 6, "fp32", "float32", 4), generation("base", "token", 6, "bf16", "bfloat16", 4),
    generation("base", "sequence", 15, "fp32", "float32", 1), generation("small", "token", None, "fp32", "float32", 4),
    generation("small", "sequence", None, "fp32", "float32", 4),
    alone("base", 1.8, "ctranslate2-float32", "float32"), alone("base", 1.3, "ctranslate2-int8", "int8"),
    alone("base", None, "transformers", "float32"), alone("small", None, "ctranslate2-float32", "float32"),
    ("AdamW and clipping beside torch", 1.25, 1, ["compare_optimizer.py"]),
]
RATIO = re.compile(r"ratio of medians ([\d.]+) \(95 %: ([\d.]+) to ([\d.]+), (\d+) rounds\)")

print("| case | ratio | 95 % | rounds | aim | holds |\n| --- | ---: | --- | ---: | ---: | --- |", flush=True)
for name, aim, divisor, command in ROWS:
    if args.only not in name:
        continue
    result = subprocess.run([args.python, os.path.join(HERE, command[0]), *command[1:], "--python", args.python,
                             "--rounds", str(max(2, args.rounds // divisor))], capture_output=True, text=True)
    found = RATIO.search(result.stdout)
    if result.returncode != 0 or not found:
        print(f"| {name} | failed | | | {aim or ''} | |", flush=True)
        print(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}", file=sys.stderr, flush=True)
        continue
    ratio, low, high, rounds = found.groups()
    print(f"| {name} | {ratio} | {low} to {high} | {rounds} | {aim or ''} | {'' if aim is None else 'yes' if float(low) >= aim else 'no'} |",
          flush=True)
    # Details: what each side reached, and its memory.
    print("".join(f"    {line}\n" for line in result.stdout.splitlines()), end="", file=sys.stderr, flush=True)
