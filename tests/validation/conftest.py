"""The crystals of V2 and V3, run by GPAW once per session with meshes just large enough."""

from collections.abc import Callable, Generator
from functools import cache
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene
from ase.spacegroup import crystal

from rhotem.structure.model import Structure

#: Γ-centred meshes.
MESHES = {
    "LiF": (3, 3, 3),
    "Si": (3, 3, 3),
    "hBN": (3, 3, 2),
    "MoS2": (3, 3, 1),
    "SrTiO3": (2, 2, 2),
    "LiCoO2": (2, 2, 2),
    "hBN-monolayer": (6, 6, 1),
}

#: Cutoffs in eV where the numbers themselves are compared with others', not only two routes from one density.
CUTOFFS = {"hBN-monolayer": 600.0}


def atoms(name: str) -> Atoms:
    """Experimental lattice constants; LiF as the reference data have it."""
    if name == "LiF":
        return bulk("LiF", "rocksalt", a=4.03, cubic=True)
    if name == "Si":
        return bulk("Si", a=5.431)
    if name == "hBN":
        sites = [(1 / 3, 2 / 3, 0), (2 / 3, 1 / 3, 0.5), (2 / 3, 1 / 3, 0), (1 / 3, 2 / 3, 0.5)]
        return Atoms("B2N2", scaled_positions=sites, cell=[2.504, 2.504, 6.661, 90, 90, 120], pbc=True)
    if name == "hBN-monolayer":
        layer = graphene("BN", a=2.504, vacuum=4.0)
        layer.pbc = True
        return layer
    if name == "MoS2":
        sites = [(1 / 3, 2 / 3, 0.25), (1 / 3, 2 / 3, 0.621)]
        return crystal(["Mo", "S"], sites, spacegroup=194, cellpar=[3.160, 3.160, 12.294, 90, 90, 120])
    if name == "SrTiO3":
        sites = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
        return Atoms("SrTiO3", scaled_positions=sites, cell=np.eye(3) * 3.905, pbc=True)
    sites, lattice = [(0, 0, 0.5), (0, 0, 0), (0, 0, 0.2605)], [2.8156, 2.8156, 14.0542, 90, 90, 120]
    return crystal(["Li", "Co", "O"], sites, spacegroup=166, cellpar=lattice, primitive_cell=True)


def calculated(name: str) -> tuple[Structure, Any]:
    """Structure and converged GPAW calculator."""
    from rhotem.labels.gpaw_settings import DftSettings
    from rhotem.labels.gpaw_source import run

    structure = Structure(atoms(name))
    return structure, run(structure, DftSettings(ecut=CUTOFFS.get(name, 400.0), kpts=MESHES[name]))


@pytest.fixture(scope="session")
def dft() -> Generator[Callable[[str], tuple[Structure, Any]], None, None]:
    """Structure and converged GPAW calculator of a crystal by name, calculated once."""
    cached = cache(calculated)
    yield cached
    cached.cache_clear()
