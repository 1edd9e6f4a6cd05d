"""Times the encoding of passages by RAGKit and by its peers in turn, and prints passages a second and ratios.

    swift build -c release
    VENV/bin/python compare_encoding.py --python VENV/bin/python [--rounds 5] [--size base|minilm]

Each peer is asked beside our run of the same precision. Vectors in Float32 must agree; how far int8 is off is printed.
"""
import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile

from side import Side, interleave, ratio, seconds

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--python", default=sys.executable, help="an interpreter with the peers' packages (see peers/README.md)")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--size", default="base", choices=("base", "minilm"))
parser.add_argument("--passages", type=int, default=64)
parser.add_argument("--pairs", default="transformers:float32,ctranslate2-float32:float32,transformers:bfloat16,ctranslate2-int8:int8")
parser.add_argument("--program", default=os.path.join(HERE, ".build", "release", "encode"))
args = parser.parse_args()


def cosine(a, b):
    pairs = [(x, y) for one, other in zip(a, b) for x, y in zip(one, other)]
    return sum(x * y for x, y in pairs) / math.sqrt(sum(x * x for x, _ in pairs) * sum(y * y for _, y in pairs))


with tempfile.TemporaryDirectory() as scratch:
    work, model = os.path.join(scratch, "work.json"), os.path.join(scratch, "model")
    script = [args.python, os.path.join(HERE, "peers", "encode.py"), "--size", args.size]
    subprocess.run(script + ["--passages", str(args.passages), "--export", work, "--save", model], check=True)
    ours = Side("RAGKit", [args.program, work, model])
    for pair in args.pairs.split(","):
        name, precision = pair.split(":")
        peer = Side(name, script + ["--peer", name, "--model", model, "--work", work, "--serve"])
        ours.run(f"run {precision}")  # packs are made once
        records = interleave({peer: "run", ours: f"run {precision}"}, args.rounds)
        peer.quit()
        likeness = cosine(records[peer][-1]["vectors"], records[ours][-1]["vectors"])
        if name == "ctranslate2-float32" and likeness < 0.99999:
            sys.exit(f"not the same work: the vectors' cosine is {likeness}")
        rates = {side: args.passages / statistics.median(seconds(records[side])) for side in (peer, ours)}
        print(f"encoding: {ratio(seconds(records[peer]), seconds(records[ours]))} ({args.size}, ours {precision} {rates[ours]:.1f} passages/s, {name} "
              f"{rates[peer]:.1f}), cosine {likeness:.6f}, "
              f"peaks {ours.peak:.0f} and {peer.peak:.0f} MB", flush=True)
    ours.quit()
