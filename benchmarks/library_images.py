"""Images answered from a library: random foci, sources and thicknesses of every entry, written to Zarr.

python benchmarks/library_images.py LIBRARY OUT.zarr [--number 100000]
"""

import argparse
import time
from pathlib import Path

import numpy as np
import zarr

from rhotem.library.store import Library


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--number", type=int, default=100_000)
    given = parser.parse_args()
    rng, made, pixels = np.random.default_rng(0), 0, 0
    store = zarr.open_group(given.out, mode="w")
    with Library.open(given.library) as library:
        entries = library.entries()
        began, clock = time.process_time(), time.perf_counter()
        for done, entry in enumerate(entries):
            held = library.response(entry.id)
            names = [name for detector in held.detectors for name in detector.image_names()]
            each = -(-(given.number - made) // ((len(entries) - done) * len(names)))
            series = held.series(
                thickness=rng.choice(held.thicknesses, each),
                defocus=rng.uniform(*held.range.defocus, each),
                source_size=rng.uniform(0.0, 1.0, each),
            )
            for name, images in series.items():
                store.create_array(f"{entry.id}/{name}", data=images)
                made, pixels = made + len(images), pixels + images.size
    spent = time.process_time() - began
    print(
        f"{made} images ({1e-6 * pixels:.0f} million pixels) of {len(entries)} entries: {spent:.0f} CPU s, "
        f"{time.perf_counter() - clock:.0f} s on the clock, {3600 * made / spent:.3g} an hour and core"
    )


if __name__ == "__main__":
    main()
