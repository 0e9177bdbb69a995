"""A label made without GPAW, whose every number is known."""

import numpy as np
import pytest
from ase.build import bulk

from rhotem.core import PeriodicGrid
from rhotem.labels.label import Label
from rhotem.structure.model import Structure


def dipole_label(a: float = 4.03, charge: float = 0.0, **meta: object) -> Label:
    """LiF with half an electron moved from Li to F in Gaussians of σ = 0.4 Å: integral −charge, analytic."""
    atoms = bulk("LiF", "rocksalt", a=a)
    grid = PeriodicGrid(atoms.cell.array, (28, 28, 28))
    values = np.zeros(grid.shape)
    for position, electrons in zip(atoms.positions, (-0.5 - charge, 0.5), strict=True):
        difference = (grid.points() - position) @ np.linalg.inv(grid.cell)
        vectors = [
            (difference + np.array([i, j, k])) @ grid.cell for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)
        ]
        gaussian = sum(np.exp(-0.5 * (v**2).sum(-1) / 0.4**2) for v in vectors)
        values += electrons * gaussian / grid.integrate(gaussian)
    known = {
        "prototype": "rocksalt",
        "composition": "FLi",
        "ordering": "x",
        "converged": True,
        "valence_electrons": 8.0,
    }
    structure = Structure(atoms, charge=charge)
    return Label(structure, values, None, np.zeros((2, 3)), np.zeros(2), known | meta)


@pytest.fixture
def label() -> Label:
    return dipole_label()
