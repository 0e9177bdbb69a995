"""Where the error of a model sits: by element of the nearest atom and distance from it.

    python benchmarks/model_error_map.py MODEL CONFIG.toml [PART]

Prints the share of Σ|Δn̂ − Δn|, the share of Σ|Δn| and their ratio, means over the structures of a part (family).
"""

import sys
from collections import defaultdict

import numpy as np
from ase.data import chemical_symbols
from scipy.spatial import cKDTree

from rhotem.learned.model import load_model
from rhotem.learned.pairs import images_near_cell
from rhotem.training.config import read_config
from rhotem.training.dataset import read_labels
from rhotem.training.split import split

SHELLS = ((0.0, 0.15), (0.15, 0.4), (0.4, 0.8), (0.8, 1.2), (1.2, np.inf))


def main(name: str, path: str, part: str = "family") -> None:
    model, _ = load_model(name)
    config = read_config(path)
    labels = split(read_labels(config.data.labels), config.data, config.train.seed).held_out[part]
    found: dict[tuple[str, float], np.ndarray] = defaultdict(lambda: np.zeros(2))
    for label in labels:
        s = label.structure
        values = model.readout.values(model.readout.prepare(s), s, label.grid)
        error, size = np.abs(values - label.treated).ravel(), np.abs(label.treated).ravel()
        images, owner = images_near_cell(s.positions, s.cell, 4.0)
        distance, nearest = cKDTree(images).query(label.grid.points().reshape(-1, 3))
        z = s.numbers[owner[nearest]]
        for element in np.unique(z):
            for low, high in SHELLS:
                here = (z == element) & (distance >= low) & (distance < high)
                sums = np.array([error[here].sum(), size[here].sum()]) / size.sum() / len(labels)
                found[chemical_symbols[element], low] += sums
    total = sum(v[0] for v in found.values())
    print(f"{part}: mean error {total:.3f} of {len(labels)} structures\nelement  from Å  of the error  of |Δn|  ratio")
    for (element, low), (error_share, size_share) in sorted(found.items()):
        ratio = error_share / max(size_share, 1e-9)
        print(f"{element:7s} {low:7.2f} {error_share / total:13.3f} {size_share:8.3f} {ratio:6.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
