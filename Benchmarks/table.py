"""Runs every comparison, ours and the peer's interleaved in each, and prints the lines with their ratios.

    swift build -c release
    VENV/bin/python table.py --python VENV/bin/python [--rounds 20] [--only training] [--size small]

The cases of real size take minutes a round; they make a tenth of the rounds, at least 2.
"""
import argparse
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--python", default=sys.executable, help="an interpreter with the peers' packages (see peers/README.md)")
parser.add_argument("--rounds", type=int, default=20)
parser.add_argument("--only", choices=("training", "encoding", "generation"))
parser.add_argument("--size", choices=("small", "base", "minilm"))
args = parser.parse_args()

CASES = [("training", size, ["compare.py", "--size", size, "--precision", peer, "--padding", padding, "--ours", ours])
         for size in ("small", "base")
         for peer, padding, ours in (("fp32", "max_length", "float32"), ("onednn", "max_length", "float32"),
                                     ("onednn", "longest", "float32"), ("bf16", "max_length", "bfloat16"))]
CASES += [("encoding", size, ["compare_encoding.py", "--size", size]) for size in ("minilm", "base")]
CASES += [("generation", size, ["compare_generation.py", "--size", size, "--ours", ours])
          for size in ("small", "base") for ours in ("float32", "bfloat16", "int8")]

for kind, size, command in CASES:
    if args.only not in (None, kind) or args.size not in (None, size):
        continue
    rounds = max(2, args.rounds // 10) if size == "base" else args.rounds
    result = subprocess.run([args.python, os.path.join(HERE, command[0])] + command[1:] + ["--python", args.python, "--rounds", str(rounds)],
                            capture_output=True, text=True)
    if result.returncode != 0:
        print(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}", flush=True)
        continue
    print("\n".join(line for line in result.stdout.splitlines() if "ratio of medians" in line), flush=True)
