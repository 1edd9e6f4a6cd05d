"""Tables of how time and memory grow with documents, passage length, batch and width, with fitted exponents, as Markdown.

    swift build -c release
    python3 growth.py [--runs 5]

The exponent e is that of time ~ size^e, by least squares over all sizes of a table, and over its last two.
"""
import argparse
import json
import math
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--runs", type=int, default=5)
parser.add_argument("--program", default=os.path.join(HERE, ".build", "release", "growth"))
args = parser.parse_args()

TABLES = [
    ("step", "documents", [1, 2, 5, 10, 20], []),
    ("step", "documents", [1, 2, 5, 10, 20], ["checkpointing=1"]),
    ("step", "passage", [32, 64, 128, 256, 512], []),
    ("step", "batch", [1, 2, 4, 8, 16], []),
    ("step", "width", [128, 256, 512, 768], []),
    ("encode", "passages", [64, 128, 256, 512, 1024], []),
    ("encode", "passage", [32, 64, 128, 256, 512], []),
]


def exponent(points):
    logs = [(math.log(x), math.log(y)) for x, y in points]
    x0 = sum(x for x, _ in logs) / len(logs)
    y0 = sum(y for _, y in logs) / len(logs)
    return sum((x - x0) * (y - y0) for x, y in logs) / sum((x - x0) ** 2 for x, _ in logs)


for mode, name, sizes, options in TABLES:
    rows = []
    for size in sizes:
        output = subprocess.run([args.program, mode, f"{name}={size}", f"runs={args.runs}", *options], check=True, capture_output=True, text=True)
        record = json.loads(output.stdout)
        rows.append((size, record["seconds"], record["peak_rss_mb"]))
    times = [(size, seconds) for size, seconds, _ in rows]
    print(f"\n{' '.join([mode, *options])} by {name}: exponent {exponent(times):.2f}, of the last two sizes {exponent(times[-2:]):.2f}\n")
    print(f"| {name} | " + " | ".join(str(size) for size in sizes) + " |")
    print("| --- |" + " ---: |" * len(sizes))
    print("| seconds | " + " | ".join(f"{seconds:.3f}" for _, seconds, _ in rows) + " |")
    print("| peak MB | " + " | ".join(f"{peak:.0f}" for _, _, peak in rows) + " |", flush=True)
