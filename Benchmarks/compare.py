"""Times one training step of RAGKit and of transformers in turn, and prints both medians and their ratio.

    swift build -c release
    VENV/bin/python compare.py --python VENV/bin/python [--rounds 10] [--precision fp32|onednn] [--size small|base]

Each round asks each side for one step, so that a slow minute of the machine falls on both.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--python", default=sys.executable, help="an interpreter with the peer's packages (see peers/README.md)")
parser.add_argument("--rounds", type=int, default=10)
parser.add_argument("--precision", default="fp32", choices=("fp32", "onednn"))
parser.add_argument("--size", default="small", choices=("small", "base"))
parser.add_argument("--program", default=os.path.join(HERE, ".build", "release", "train-step"))
args = parser.parse_args()


class Side:
    def __init__(self, name, command):
        self.name, self.seconds, self.peak = name, [], 0
        environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.ready = json.loads(self.process.stdout.readline())

    def run(self):
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        record = json.loads(self.process.stdout.readline())
        self.seconds.append(record["seconds"])
        self.peak = record["peak_rss_mb"]

    def quit(self):
        self.process.communicate("quit\n")


with tempfile.TemporaryDirectory() as scratch:
    work, models = os.path.join(scratch, "work.json"), os.path.join(scratch, "models")
    peer = Side("transformers", [args.python, os.path.join(HERE, "peers", "trainstep.py"), "--size", args.size,
                                 "--precision", args.precision, "--export", work, "--save", models, "--serve"])
    ours = Side("RAGKit", [args.program, work, models])
    found, expected = ours.ready["loss_without_dropout"], ours.ready["loss_of_the_reference"]
    if abs(found - expected) > 1e-4 * abs(expected):
        sys.exit(f"not the same work: loss {found}, the reference's is {expected}")
    print(f"the same work: loss without dropout {found:.4f}, the reference's {expected:.4f}")
    for _ in range(args.rounds):
        for side in random.sample([peer, ours], 2):
            side.run()
    for side in (peer, ours):
        side.quit()
        print(f"{side.name:14} median {statistics.median(side.seconds):.3f} s, least {min(side.seconds):.3f} s, "
              f"peak {side.peak:.0f} MB, {len(side.seconds)} rounds")
    ratios = sorted(a / b for a, b in zip(peer.seconds, ours.seconds))
    print(f"ratio of medians {statistics.median(peer.seconds) / statistics.median(ours.seconds):.2f}, "
          f"by round {ratios[0]:.2f} to {ratios[-1]:.2f} ({args.size}, {args.precision}, {os.cpu_count()} processors)")
