"""Makes the small files of weights beside this script.

    python make_checkpoints.py

Needs torch and safetensors; made with torch 2.15. `expected.safetensors` holds, as contiguous Float32, what reading
the others has to give.
"""
import collections
import io
import json
import os
import tarfile

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))


def path(*names):
    full = os.path.join(HERE, *names)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    return full


def tensors():
    """Tensors that lie in their storages in every way that torch.save keeps."""
    random = torch.Generator().manual_seed(7)
    base = torch.randn(4, 6, generator=random)
    cube = torch.randn(2, 3, 5, generator=random)
    state = collections.OrderedDict()
    state["plain"] = base
    state["tied"] = base
    state["transposed"] = base.t()
    state["rows"] = base[1:3]
    state["column"] = base[:, 2]
    state["every_other"] = base[::2, 1::3]
    state["permuted"] = cube.permute(2, 0, 1)
    state["part_of_cube"] = cube[1, :, 1:4]
    state["scalar"] = torch.tensor(2.5)
    state["empty"] = torch.zeros(0, 3)
    state["parameter"] = torch.nn.Parameter(torch.randn(3, generator=random))
    state["half"] = torch.randn(3, 5, generator=random).half()
    state["half_transposed"] = state["half"].t()
    state["brain"] = torch.randn(7, generator=random).bfloat16()
    state["double"] = torch.randn(2, 2, generator=random, dtype=torch.float64)
    return state


def expected(state):
    return {name: tensor.detach().float().contiguous().clone() for name, tensor in state.items()}


def pickles(state):
    torch.save(state, path("weights.bin"))
    torch.save(dict(state), path("protocol4.bin"), pickle_protocol=4)
    module = torch.nn.Linear(2, 3)
    torch.nn.init.constant_(module.weight, 0.5)
    torch.nn.init.constant_(module.bias, -1)
    torch.save(module.state_dict(), path("with_metadata.bin"))  # the dictionary carries an attribute
    torch.save({"ids": torch.arange(4), "x": torch.ones(2)}, path("integers.bin"))
    torch.serialization.set_crc32_options(False)
    torch.save({"x": torch.ones(2)}, path("without_checksums.bin"))
    torch.serialization.set_crc32_options(True)
    torch.save({"state_dict": {"x": torch.ones(2)}, "epoch": 3}, path("training.bin"))
    torch.save(module, path("module.bin"))  # a whole object: asks for its class


def shards(state):
    names = [n for n in state if n not in ("transposed", "tied", "rows", "column", "every_other")]
    halves = [names[0::2], names[1::2]]
    for folder, ending in (("sharded-bin", "bin"), ("sharded-safetensors", "safetensors")):
        stem = "pytorch_model" if ending == "bin" else "model"
        files = [f"{stem}-{i + 1:05}-of-00002.{ending}" for i in range(2)]
        for file, part in zip(files, halves):
            content = {n: state[n] for n in part}
            if ending == "bin":
                torch.save(content, path(folder, file))
            else:
                save_file({n: t.detach().contiguous() for n, t in content.items()}, path(folder, file))
        index = {"metadata": {"total_size": 0}, "weight_map": {n: files[i] for i in range(2) for n in halves[i]}}
        with open(path(folder, f"{stem}.{ending}.index.json"), "w") as out:
            json.dump(index, out, indent=2)


def foreign():
    """Files that are something else than they should be."""
    torch.save({"x": torch.ones(2)}, path("legacy.bin"), _use_new_zipfile_serialization=False)
    # The shape of facebookresearch/DPR's checkpoints.
    names = ["question_model.embeddings.word_embeddings.weight", "ctx_model.embeddings.word_embeddings.weight"]
    state = {"model_dict": {n: torch.ones(2) for n in names}, "optimizer_dict": {}, "offset": 0, "encoder_params": {}}
    torch.save(state, path("dpr.cp"), _use_new_zipfile_serialization=False)
    torch.save(state, path("dpr-zip.cp"))
    with tarfile.open(path("tar.bin"), "w") as tar:
        info = tarfile.TarInfo("weights")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"abcd"))
    with open(path("lfs.bin"), "w") as out:
        out.write("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 1234\n")


def main():
    state = tensors()
    save_file(expected(state), path("expected.safetensors"))
    pickles(state)
    shards(state)
    foreign()


if __name__ == "__main__":
    main()
