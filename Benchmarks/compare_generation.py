"""Times RAG-token and RAG-sequence generation of RAGKit and of transformers in turn, and prints both and their ratios.

    swift build -c release --product generate
    VENV/bin/python compare_generation.py --python VENV/bin/python [--rounds 3] [--precision fp32|onednn|bf16] [--size small|base]

Each round asks each side for one batch of each kind, so that a slow minute of the machine falls on both. Both must write the
same ids (random weights leave a near tie here and there, so most of them).
"""
import argparse
import os
import random
import statistics
import sys
import tempfile

from side import Side, ratio

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--python", default=sys.executable, help="an interpreter with the peer's packages (see peers/README.md)")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--precision", default="fp32", choices=("fp32", "onednn", "bf16"), help="the peer's")
parser.add_argument("--size", default="small", choices=("small", "base"))
parser.add_argument("--batch", type=int, default=4, help="questions")
parser.add_argument("--kinds", default="token,sequence")
parser.add_argument("--ours", default="float32", help="our precision: float32, bfloat16, int8 (generation only)")
parser.add_argument("--program", default=os.path.join(HERE, ".build", "release", "generate"))
args = parser.parse_args()
KINDS = args.kinds.split(",")

with tempfile.TemporaryDirectory() as scratch:
    work, model = os.path.join(scratch, "work.json"), os.path.join(scratch, "model")
    peer = Side("transformers", [args.python, os.path.join(HERE, "peers", "generate.py"), "--size", args.size, "--batch", str(args.batch),
                                 "--precision", args.precision, "--export", work, "--save", model, "--serve"])
    ours = Side("RAGKit", [args.program, work, model, args.ours])
    records = {side.name: {kind: [] for kind in KINDS} for side in (peer, ours)}
    for round in range(args.rounds):
        for kind in KINDS:
            for side in random.sample([peer, ours], 2):
                records[side.name][kind].append(side.run(f"run {kind}"))
                print(f"round {round + 1}: {side.name} {kind} {records[side.name][kind][-1]['seconds']:.2f} s", file=sys.stderr, flush=True)
    for side in (peer, ours):
        side.quit()
    for kind in KINDS:
        seconds = {name: [record["seconds"] for record in kinds[kind]] for name, kinds in records.items()}
        pairs = list(zip(records[peer.name][kind][-1]["ids"], records[ours.name][kind][-1]["ids"]))
        same = sum(a == b for a, b in pairs)
        first = min((next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), len(a)) for a, b in pairs), default=0)
        if first <= 2 and args.ours == "float32" and args.precision != "bf16":
            sys.exit(f"not the same work: {kind} ids differ from the beginning: {pairs[0]}")
        for side in (peer, ours):
            middle = statistics.median(seconds[side.name])
            print(f"RAG-{kind:9} {side.name:14} median {middle:.2f} s, least {min(seconds[side.name]):.2f} s, "
                  f"{len(pairs) / middle:.3f} questions/s, peak {side.peak:.0f} MB")
        print(f"RAG-{kind} generation: {ratio(seconds[peer.name], seconds[ours.name])}; {same} of {len(pairs)} answers have the same ids "
              f"({args.size}, {args.batch} questions, {args.precision}, ours {args.ours}, {os.cpu_count()} processors)")
