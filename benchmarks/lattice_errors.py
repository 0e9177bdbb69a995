"""Coverage of the errors of a lattice on simulated scans: `python benchmarks/lattice_errors.py 40 0 0 0.3`.

Arguments: scans, jitter of rows and random walk of the specimen per row in Å, noise in the height of Sr.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "experiment"))
from scans import Scan, measured, scanned

from rhotem.analysis.run import structure
from rhotem.experiment.calibrate.lattice import find_lattice
from rhotem.experiment.calibrate.projection import project


def main(number: int, jitter: float, walk: float, noise: float) -> None:
    """Print the share of numbers within one and two errors."""
    crystal = structure("SrTiO3")
    projection = project(crystal, (0, 0, 1))
    apart: dict[str, list[float]] = {name: [] for name in ("pixel_x", "pixel_y", "rotation", "drift")}
    for seed in range(number):
        rng = np.random.default_rng(seed)
        pixel, turn = 0.2 * (1 + rng.uniform(-0.03, 0.03)), rng.uniform(-40, 40)
        scan = Scan(pixel, turn, 0.0, (rng.normal() * 0.002, rng.normal() * 0.002), jitter, walk)
        image = scanned(projection, scan, (256, 256), rng)
        image = image + rng.normal(size=image.shape) * noise
        found = find_lattice(measured(image, 0.2), crystal, (0, 0, 1))
        sizes = np.linalg.norm(scan.matrix, axis=0)
        apart["pixel_x"].append((found.pixel_x.value - sizes[0]) / found.pixel_x.error)
        apart["pixel_y"].append((found.pixel_y.value - sizes[1]) / found.pixel_y.error)
        apart["rotation"].append(((found.rotation.value - turn + 45) % 90 - 45) / found.rotation.error)
        apart["drift"] += [(v.value - d) / v.error for v, d in zip(found.drift, scan.drift, strict=True)]
    for name, values in apart.items():
        z = np.abs(values)
        print(f"{name:<10} {100 * (z < 1).mean():.0f} % within one error, {100 * (z < 2).mean():.0f} % within two")


if __name__ == "__main__":
    main(int(sys.argv[1]), *(float(a) for a in sys.argv[2:5]))
