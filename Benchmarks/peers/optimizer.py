"""Clipping all gradients together and an update of torch's fused AdamW, timed on the CPU.

    python optimizer.py --serve [--millions 145]

Parameters have the shapes of BART-base's, repeated until there are enough. All have one value and all gradients another, so
that another library can show that it computes the same.
"""
import argparse

from serving import parse, serve

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--millions", type=float, default=145)
args = parse(parser)

import torch

torch.set_num_threads(args.threads)
LAYER = [(768, 768), (768,)] * 4 + [(3072, 768), (3072,), (768, 3072), (768,)]
shapes = [(50265, 768)]
while sum(torch.Size(shape).numel() for shape in shapes) < args.millions * 1e6:
    shapes += LAYER
parameters = [torch.nn.Parameter(torch.full(shape, 0.02)) for shape in shapes]
for parameter in parameters:
    parameter.grad = torch.full_like(parameter, 0.01)
optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.001, fused=True)


def run():
    # A norm that is never reached: gradients are multiplied by 1, as long as it takes, and stay the same in every run.
    torch.nn.utils.clip_grad_norm_(parameters, 1e9, foreach=True)
    optimizer.step()


serve(run, lambda _: dict(value=parameters[-1][0].item()), shapes=shapes)
