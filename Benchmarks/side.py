"""One side of a comparison: a program that prints a JSON line when ready and one for each command it is asked."""
import json
import os
import subprocess


class Side:
    def __init__(self, name, command):
        self.name, self.peak = name, 0
        environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
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
