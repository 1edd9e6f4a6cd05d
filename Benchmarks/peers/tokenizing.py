"""Tokenizer throughput on one thread: the Rust `tokenizers` library and RAGKit in turn, JSON lines.

    swift build -c release --product tokenize        (in Benchmarks)
    VENV/bin/python peers/tokenizing.py --text FILE.tsv --tokenizer DIR [DIR ...] [--program .build/release/tokenize] [--rounds 7] [--mb 6]

The last field of each line of FILE is a text. DIR needs a tokenizer.json for the peer; RAGKit reads the same directory. Both sides encode
all texts with their special tokens: the peer in one `encode_batch` (`encode_batch_fast`, without offsets, is timed as well), RAGKit one by
one. First all ids are compared. Each round asks each side once, so that a slow minute of the machine falls on both; processor
time says more where others use the machine. Without --program only
the peer is timed.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--text", required=True)
ap.add_argument("--tokenizer", nargs="+", required=True)
ap.add_argument("--program")
ap.add_argument("--rounds", type=int, default=7)
ap.add_argument("--mb", type=float, default=6)
args = ap.parse_args()

texts, size = [], 0
with open(args.text, encoding="utf-8", newline="\n") as file:
    for line in file:
        fields = [field for field in line.rstrip("\n").split("\t") if field]
        if not fields:
            continue
        texts.append(fields[-1])
        size += len(fields[-1].encode())
        if size >= args.mb * 1e6:
            break


class Peer:
    def __init__(self, tokenizer, method):
        self.call, self.seconds, self.cpu = getattr(tokenizer, method), [], []

    def run(self):
        start, cpu = time.perf_counter(), time.process_time()
        self.call(texts)
        self.seconds.append(time.perf_counter() - start)
        self.cpu.append(time.process_time() - cpu)

    def quit(self):
        pass


class Ours:
    def __init__(self, folder):
        self.seconds, self.cpu = [], []
        self.process = subprocess.Popen([args.program, folder, args.text, str(args.mb)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = json.loads(self.process.stdout.readline())

    def run(self):
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        record = json.loads(self.process.stdout.readline())
        self.seconds.append(record["seconds"])
        self.cpu.append(record["cpu_seconds"])

    def quit(self):
        self.process.communicate("quit\n")


def digest(encodings):
    value, count = 0, 0
    for encoding in encodings:
        for number in encoding.ids:
            value = (value ^ number) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
            count += 1
    return count, str(value)


for folder in args.tokenizer:
    tokenizer = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json")
    sides = {"tokenizers": Peer(tokenizer, "encode_batch"), "tokenizers, no offsets": Peer(tokenizer, "encode_batch_fast")}
    record = {"bench": "tokenize", "tokenizer": os.path.basename(os.path.normpath(folder)), "texts": len(texts), "mb": size / 1e6, "tokenizers": tokenizers.__version__}
    if args.program:
        sides["RAGKit"] = Ours(folder)
        count, value = digest(tokenizer.encode_batch(texts))
        ready = sides["RAGKit"].ready
        record["ids"], record["same_ids"] = count, (ready["ids"], ready["digest"]) == (count, value)
        record["ragkit_load_s"] = ready["load_s"]
    for _ in range(args.rounds):
        for side in random.sample(list(sides.values()), len(sides)):
            side.run()
    for name, side in sides.items():
        side.quit()
        record[f"{name} MB/s"] = round(size / 1e6 / statistics.median(side.seconds), 2)
        record[f"{name} MB/s of processor time"] = round(size / 1e6 / statistics.median(side.cpu), 2)
    if args.program:
        ours, cpu = sides["RAGKit"].seconds, statistics.median(sides["RAGKit"].cpu)
        for name in list(sides)[:2]:
            ratios = sorted(a / b for a, b in zip(sides[name].seconds, ours))
            record[f"ratio to {name}"] = round(statistics.median(sides[name].seconds) / statistics.median(ours), 2)
            record[f"ratio to {name}, by round"] = [round(ratios[0], 2), round(ratios[-1], 2)]
            record[f"ratio to {name}, processor time"] = round(statistics.median(sides[name].cpu) / cpu, 2)
    print(json.dumps(record), flush=True)
