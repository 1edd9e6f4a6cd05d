"""Writes expected.json: the buckets of T5's relative positions as transformers 4.46.3 computes them.

    python make_fixture.py

One entry for each setting; `buckets` are those of the distances -`reach` ... `reach` (key position minus query
position), a run of equal buckets as [bucket, how often].
"""
import itertools
import json
import os

import torch
from transformers.models.t5.modeling_t5 import T5Attention

SETTINGS = [(32, 128), (32, 64), (8, 20), (10, 24), (64, 1000), (4, 3), (7, 16), (128, 800), (32, 17)]
REACH = 1100

cases = []
for (count, limit), both in itertools.product(SETTINGS, (True, False)):
    distances = torch.arange(-REACH, REACH + 1)
    buckets = T5Attention._relative_position_bucket(distances, bidirectional=both, num_buckets=count, max_distance=limit)
    runs = [[bucket, len(list(run))] for bucket, run in itertools.groupby(buckets.tolist())]
    cases.append({"count": count, "max_distance": limit, "bidirectional": both, "buckets": runs})
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "expected.json"), "w", encoding="utf-8") as f:
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    f.write(f'{{"reach":{REACH},"cases":[\n{lines}\n]}}\n')
