"""One side of a comparison: a program that prints a JSON line when ready and one for each command it is asked."""
import json
import os
import random
import statistics
import subprocess


class Side:
    def __init__(self, name, command, **settings):
        self.name, self.peak = name, 0
        environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")} | settings
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.ready = json.loads(self.process.stdout.readline())

    def run(self, command="run"):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        record = json.loads(self.process.stdout.readline())
        self.peak = record["peak_rss_mb"]
        return record

    def quit(self):
        self.process.communicate("quit\n")


def interleave(commands, rounds):
    """What each of some sides answers to its command, asked in turn, in another order each round."""
    records = {side: [] for side in commands}
    for _ in range(rounds):
        for side in random.sample(list(commands), len(commands)):
            records[side].append(side.run(commands[side]))
    return records


def seconds(records):
    return [record["seconds"] for record in records]


def ratio(peer, ours, draws=2000):
    """How many times as long the peer takes: the ratio of the medians of interleaved rounds, with the interval that holds 95 % of
    the ratios of resampled rounds."""
    pairs, source = list(zip(peer, ours)), random.Random(1)

    def of(rounds):
        return statistics.median(a for a, _ in rounds) / statistics.median(b for _, b in rounds)
    drawn = sorted(of(source.choices(pairs, k=len(pairs))) for _ in range(draws))
    return f"ratio of medians {of(pairs):.2f} (95 %: {drawn[draws // 40]:.2f} to {drawn[-draws // 40]:.2f}, {len(pairs)} rounds)"
