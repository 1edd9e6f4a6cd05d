"""What the peers of encoding, of BART alone and of the optimizer have in common. Import it before numpy and torch."""
import argparse
import json
import os
import resource
import sys
import time


def parse(parser):
    """The arguments, with the threads set that they ask for."""
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--serve", action="store_true")
    args = parser.parse_args()
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(args.threads)
    return args


def model_parser(description, sizes):
    """Arguments of a peer whose work and model are exported once, for everybody."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default="transformers")
    parser.add_argument("--size", default="base", choices=sizes)
    parser.add_argument("--export", metavar="FILE")
    parser.add_argument("--save", metavar="DIR")
    parser.add_argument("--model", metavar="DIR")
    parser.add_argument("--work", metavar="FILE")
    return parser


def convert(folder):
    """The folder of a model as CTranslate2 reads it, made from one that transformers reads."""
    import ctranslate2
    import transformers
    result = folder + "-ct2"
    if not os.path.exists(result):
        # Newer converters pass `dtype`, which transformers 4.46.3 calls `torch_dtype`.
        load = transformers.PreTrainedModel.from_pretrained.__func__
        transformers.PreTrainedModel.from_pretrained = classmethod(
            lambda cls, *values, dtype=None, **options: load(cls, *values, **options))
        ctranslate2.converters.TransformersConverter(folder).convert(result, force=True)
    return result


def answer(**values):
    values["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(values), flush=True)


def serve(run, shown, **ready):
    """Runs once to warm up, says that it is ready, then makes a timed run for each line on standard input, until "quit".

    `shown` makes what the driver compares of what a run returns.
    """
    first = shown(run())
    answer(ready=True, **ready, **first)
    for line in sys.stdin:
        if line.strip() == "quit":
            break
        start = time.perf_counter()
        found = run()
        answer(seconds=time.perf_counter() - start, **shown(found))
