"""WebDataset: a tar for every shard, ``SHARD-000012.image.npy`` … and ``.json`` for every picture."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np

from rhotem.library.dataset.layouts.base import Layout
from rhotem.library.dataset.store import TABLE, Dataset


def write(dataset: Dataset, split: str | None, folder: Path) -> int:
    """A tar for every shard; owners and times are none, so that equal pictures have equal bytes."""
    number = 0
    for shard in dataset.shards(split):
        arrays, pictures = shard.read()
        starts, table = arrays.pop("starts"), arrays.pop("table")
        with tarfile.open(folder / f"{shard.about['split']}-{shard.about['id']}.tar", "w") as tar:
            for i, said in enumerate(pictures):
                key = f"{shard.about['id']}-{i:06d}"
                for name, values in {**arrays, "table": None}.items():
                    one = table[starts[i] : starts[i + 1]] if values is None else values[i]
                    stream = io.BytesIO()
                    np.save(stream, one)
                    _add(tar, f"{key}.{name}.npy", stream.getvalue())
                text = json.dumps({**shard.about, **said, "table": TABLE}, sort_keys=True)
                _add(tar, f"{key}.json", text.encode())
                number += 1
    return number


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


LAYOUT = Layout("webdataset", "one tar a shard, for streaming", write, needs=())
