"""Times clipping and AdamW by RAGKit and by torch (fused) in turn, and prints milliseconds and their ratio.

    swift build -c release
    VENV/bin/python compare_optimizer.py --python VENV/bin/python [--rounds 20] [--millions 145]

Both must have the same parameters after the same number of updates.
"""
import argparse
import json
import os
import random
import statistics
import sys
import tempfile

from side import Side, ratio

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--python", default=sys.executable, help="an interpreter with the peer's packages (see peers/README.md)")
parser.add_argument("--rounds", type=int, default=20)
parser.add_argument("--millions", type=float, default=145)
parser.add_argument("--program", default=os.path.join(HERE, ".build", "release", "optimizer"))
args = parser.parse_args()

peer = Side("torch", [args.python, os.path.join(HERE, "peers", "optimizer.py"), "--millions", str(args.millions), "--serve"])
with tempfile.TemporaryDirectory() as scratch:
    work = os.path.join(scratch, "work.json")
    json.dump({"shapes": peer.ready["shapes"]}, open(work, "w"))
    ours = Side("RAGKit", [args.program, work])
seconds, found = {peer.name: [], ours.name: []}, {peer.name: [peer.ready["value"]], ours.name: [ours.ready["value"]]}
for _ in range(args.rounds):
    for side in random.sample([peer, ours], 2):
        record = side.run()
        seconds[side.name].append(record["seconds"])
        found[side.name].append(record["value"])
for side in (peer, ours):
    side.quit()
for a, b in zip(found[peer.name], found[ours.name]):
    if abs(a - b) > 1e-5 * abs(a):
        sys.exit(f"not the same work: parameters of {a} and {b} after as many updates")
count = sum(a * (b[0] if b else 1) for a, *b in peer.ready["shapes"])
for side in (peer, ours):
    middle = statistics.median(seconds[side.name])
    print(f"{side.name:8} median {1e3 * middle:.0f} ms, least {1e3 * min(seconds[side.name]):.0f} ms, "
          f"{32e-9 * count / middle:.1f} GB/s of the 32 bytes a parameter that must move, peak {side.peak:.0f} MB")
print(f"AdamW and clipping: {ratio(seconds[peer.name], seconds[ours.name])} ({1e-6 * count:.0f} million parameters, torch fused, "
      f"{os.cpu_count()} processors)")
