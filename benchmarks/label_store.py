"""Throughput of the label store: random voxels handed to a training loop, on one core.

    OMP_NUM_THREADS=1 python benchmarks/label_store.py data/labels/whole data/labels/voxels

Bar: 1,000,000 voxels/s (positions, densities and weights as arrays) from memory-mapped files.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from rhotem.labels.store import build


def rate(store, structures: int, voxels: int, seconds: float) -> float:
    """Voxels per second over at least ``seconds``."""
    rng = np.random.default_rng(0)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for batch in store.batches(store.ids, structures, voxels, rng):
            count += sum(len(drawn.deformation) for _, drawn in batch)
    return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="+", type=Path, help="label files or directories of them")
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        store, _ = build(Path(folder) / "store", options.labels)
        size = sum(len(store.table(name)) for name in store.ids)
        print(f"{len(store.ids)} labels, {size / 1e6:.1f} M voxels; built in {time.perf_counter() - start:.1f} s")
        print(f"{'structures per batch':>22} {'voxels of each':>15} {'M voxels/s':>11}")
        for structures, voxels in ((1, 1000), (8, 500), (8, 4000), (16, 20000)):
            print(f"{structures:22d} {voxels:15d} {rate(store, structures, voxels, options.seconds) / 1e6:11.2f}")


if __name__ == "__main__":
    main()
