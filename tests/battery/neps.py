"""Potentials with random weights, and the crystal that they are for."""

import numpy as np
from ase.build import bulk

from rhotem.structure.model import Structure

ALUMINIUM = Structure(bulk("Al", "fcc", 4.0, cubic=True))
#: Sizes of the potentials below: radial and angular functions, sums of Legendre order 4, one descriptor of four bodies.
RADIAL, ANGULAR, BASIS, NEURONS, ORDER = 4, 3, 5, 6, 4


def random_nep(path, elements, seed, depth=1.0):
    """A potential in GPUMD's format with random weights: nonsense of the right symmetry, as deep as ``depth``."""
    rng = np.random.default_rng(seed)
    count = len(elements)
    size = RADIAL + 1 + (ANGULAR + 1) * (ORDER + 1)
    layers = rng.normal(0.0, 0.3, (count, NEURONS * (size + 2)))
    layers[:, -NEURONS:] *= depth
    numbers = [layers.ravel(), [0.7]]
    numbers += [rng.normal(0.0, 0.5, (count**2) * (n + 1) * (BASIS + 1)) for n in (RADIAL, ANGULAR)]
    numbers += [np.full(size, 0.3)]
    head = [f"nep4 {count} {' '.join(elements)}", "cutoff 5 4 200 100", f"n_max {RADIAL} {ANGULAR}"]
    head += [f"basis_size {BASIS} {BASIS}", f"l_max {ORDER} 2 0", f"ANN {NEURONS} 0"]
    path.write_text("\n".join([*head, *(f"{x:.7e}" for part in numbers for x in part)]) + "\n")
    return path
