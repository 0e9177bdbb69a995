"""Pictures a second that the loaders give: ``python benchmarks/loader.py DATASET``; one process, CPU time and clock."""

import sys
import time

import torch

from rhotem.library.dataset import open_dataset
from rhotem.training.pictures.loader import Pictures, PictureStream

BATCH = 32


def main() -> None:
    """Print a table."""
    shards = open_dataset(sys.argv[1]).shards()[:12]
    began = time.process_time()
    pictures = Pictures(shards)
    rows = [("reading into memory", len(pictures), time.process_time() - began)]
    began = time.process_time()
    for step in range(100):
        pictures.batch(BATCH, 0, step)
    rows.append(("batches from memory", 100 * BATCH, time.process_time() - began))
    began = time.process_time()
    number = sum(len(batch) for batch in PictureStream(shards, BATCH))
    rows.append(("stream, one process", number, time.process_time() - began))
    loader = torch.utils.data.DataLoader(PictureStream(shards, BATCH), batch_size=None, num_workers=2)
    began = time.perf_counter()
    number = sum(len(batch) for batch in loader)
    rows.append(("stream, two workers (clock)", number, time.perf_counter() - began))
    for name, number, seconds in rows:
        print(f"{name:30} {number:6d} pictures {seconds:7.2f} s {number / seconds:8.0f} a second")


if __name__ == "__main__":
    main()
