"""Times one training step of RAGKit and of transformers in turn, and prints both medians and their ratio.

    swift build -c release
    VENV/bin/python compare.py --python VENV/bin/python [--rounds 10] [--precision fp32|onednn] [--size small|base]

Each round asks each side for one step, so that a slow minute of the machine falls on both.
"""
import argparse
import os
import statistics
import sys
import tempfile

from side import Side, interleave, ratio, seconds

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--python", default=sys.executable, help="an interpreter with the peer's packages (see peers/README.md)")
parser.add_argument("--rounds", type=int, default=10)
parser.add_argument("--precision", default="fp32", choices=("fp32", "onednn", "bf16"), help="the peer's")
parser.add_argument("--padding", default="max_length", choices=("max_length", "longest"), help="of the peer's contexts")
parser.add_argument("--keep-memory", action="store_true", help="the peer's malloc gives no memory back to the system")
parser.add_argument("--size", default="small", choices=("small", "base"))
parser.add_argument("--ours", default="float32", help="our precision: float32, bfloat16, int8 (generation only)")
parser.add_argument("--program", default=os.path.join(HERE, ".build", "release", "train-step"))
args = parser.parse_args()

KEPT = str(8 << 30)
malloc = dict(MALLOC_MMAP_THRESHOLD_=KEPT, MALLOC_TRIM_THRESHOLD_=KEPT, MALLOC_TOP_PAD_=str(256 << 20)) if args.keep_memory else {}

with tempfile.TemporaryDirectory() as scratch:
    work, models = os.path.join(scratch, "work.json"), os.path.join(scratch, "models")
    peer = Side("transformers", [args.python, os.path.join(HERE, "peers", "trainstep.py"), "--size", args.size,
                                 "--precision", args.precision, "--padding", args.padding, "--export", work, "--save", models, "--serve"], **malloc)
    ours = Side("RAGKit", [args.program, work, models, args.ours])
    found, expected = ours.ready["loss_without_dropout"], ours.ready["loss_of_the_reference"]
    if abs(found - expected) > 1e-4 * abs(expected):
        sys.exit(f"not the same work: loss {found}, the reference's is {expected}")
    print(f"the same work: loss without dropout {found:.4f}, the reference's {expected:.4f}")
    records = interleave({peer: "run", ours: "run"}, args.rounds)
    times = {side.name: seconds(records[side]) for side in records}
    counted = ours.run("profile")
    floor = counted["gflop"] / counted["peak_gflops"]
    print(f"{counted['gflop']:.1f} GFLOP in our products, {floor:.3f} s at the {counted['peak_gflops']:.0f} GFLOP/s of a large Float32 "
          f"product here; our median is {statistics.median(times[ours.name]) / floor:.2f} times that")
    for side in (peer, ours):
        side.quit()
        print(f"{side.name:14} median {statistics.median(times[side.name]):.3f} s, least {min(times[side.name]):.3f} s, "
              f"peak {side.peak:.0f} MB, {len(times[side.name])} rounds")
    print(f"peak memory: {ours.peak / peer.peak:.2f} of the peer's")
    print(f"training step: {ratio(times[peer.name], times[ours.name])} ({args.size}, transformers {args.precision} padded to {args.padding}"
          f"{', memory kept' if args.keep_memory else ''}, ours {args.ours}, {os.cpu_count()} processors)")
