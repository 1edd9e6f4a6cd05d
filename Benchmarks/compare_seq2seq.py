"""Times beam search of BART alone by RAGKit and by its peers in turn, and prints tokens a second and ratios.

    swift build -c release
    VENV/bin/python compare_seq2seq.py --python VENV/bin/python [--rounds 5] [--size base|small]

Each peer is asked beside our run of the same precision. Ids must be the same from the beginning in Float32 (a near tie of
random weights may part them later); tokens are those of the best hypotheses.
"""
import argparse
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
parser.add_argument("--size", default="base", choices=("small", "base"))
parser.add_argument("--pairs", default="transformers:float32,ctranslate2-float32:float32,transformers-bf16:bfloat16,ctranslate2-int8:int8")
parser.add_argument("--program", default=os.path.join(HERE, ".build", "release", "seq2seq"))
args = parser.parse_args()


def same_beginning(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), len(a))


with tempfile.TemporaryDirectory() as scratch:
    work, model = os.path.join(scratch, "work.json"), os.path.join(scratch, "model")
    script = [args.python, os.path.join(HERE, "peers", "seq2seq.py"), "--size", args.size]
    subprocess.run(script + ["--export", work, "--save", model], check=True)
    for pair in args.pairs.split(","):
        name, precision = pair.split(":")
        peer = Side(name, script + ["--peer", name, "--model", model, "--work", work, "--serve"])
        ours = Side("RAGKit", [args.program, work, model, precision])
        records = interleave({peer: "run", ours: "run"}, args.rounds)
        for side in (peer, ours):
            side.quit()
        pairs_of_ids = list(zip(records[peer][-1]["ids"], records[ours][-1]["ids"]))
        if precision == "float32" and min(same_beginning(a, b) for a, b in pairs_of_ids) <= 2:
            sys.exit(f"not the same work: ids differ from the beginning: {pairs_of_ids[0]}")
        tokens = sum(len(row) - 1 for _, row in pairs_of_ids)
        rates = {side: tokens / statistics.median(seconds(records[side])) for side in (peer, ours)}
        print(f"BART alone: {ratio(seconds(records[peer]), seconds(records[ours]))} ({args.size}, ours {precision} {rates[ours]:.0f} tokens/s, {name} "
              f"{rates[peer]:.0f}), {sum(a == b for a, b in pairs_of_ids)} of {len(pairs_of_ids)} answers have the same ids, "
              f"peaks {ours.peak:.0f} and {peer.peak:.0f} MB", flush=True)
