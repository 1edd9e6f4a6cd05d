"""Times clipping and AdamW by RAGKit and by torch (fused) in turn, and prints milliseconds and their ratio.

    swift build -c release
    VENV/bin/python compare_optimizer.py --python VENV/bin/python [--rounds 20] [--millions 145]

Both must have the same parameters after the same number of updates.
"""
import argparse
import json
import os
import statistics
import sys
import tempfile

from side import Side, interleave, ratio, seconds

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
records = interleave({peer: "run", ours: "run"}, args.rounds)
for side in (peer, ours):
    side.quit()
for a, b in zip(*([record["value"] for record in [side.ready] + records[side]] for side in (peer, ours))):
    if abs(a - b) > 1e-5 * abs(a):
        sys.exit(f"not the same work: parameters of {a} and {b} after as many updates")
count = sum(a * (b[0] if b else 1) for a, *b in peer.ready["shapes"])
for side in (peer, ours):
    middle = statistics.median(seconds(records[side]))
    print(f"{side.name:8} median {1e3 * middle:.0f} ms, least {1e3 * min(seconds(records[side])):.0f} ms, "
          f"{32e-9 * count / middle:.1f} GB/s of the 32 bytes a parameter that must move, peak {side.peak:.0f} MB")
print(f"AdamW and clipping: {ratio(seconds(records[peer]), seconds(records[ours]))} ({1e-6 * count:.0f} million parameters, torch fused, "
      f"{os.cpu_count()} processors)")
