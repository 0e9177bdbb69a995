"""The guard before abTEM's ChargeDensityPotential, and the agreement of both routes."""

import ase
import ase.build
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.free_atoms import FreeAtoms
from rhotem.potential.slices import build_potential
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell

from .abtem_density import charge_density_meaning, charge_density_slices, largest_deviation


def lif() -> ImagingCell:
    return ImagingCell.from_orthogonal(Structure(ase.build.bulk("LiF", "rocksalt", 4.026, cubic=True)))


def valence_meaning(atoms, density, shape, thickness):
    """A code that gives the nuclei the charge of the core only: Z − 2 for carbon."""
    from abtem.potentials.charge_density import ChargeDensityPotential

    ions = atoms.copy()
    ions.numbers = np.maximum(atoms.numbers - 2, 1)
    return np.asarray(
        ChargeDensityPotential(ions, density, gpts=shape, slice_thickness=thickness).build(lazy=False).array
    )


def test_installed_version_takes_all_electrons():
    assert charge_density_meaning() == "all-electron"


def test_other_meanings_are_refused():
    cell = lif()
    grid = PeriodicGrid(cell.structure.cell, (40, 40, 8))
    field = FreeAtoms()(cell.structure, PeriodicGrid(cell.structure.cell, (40, 40, 40)))
    assert charge_density_meaning(valence_meaning) == "unknown"
    with pytest.raises(InputError, match="all electrons"):
        charge_density_slices(field, grid, valence_meaning)


def test_both_routes_agree_on_lif():
    """Free atoms through abTEM's Poisson solver and through Mott–Bethe: low-order coefficients within 2 %."""
    cell = lif()
    grid = PeriodicGrid(cell.structure.cell, (48, 48, 8))
    field = FreeAtoms()(cell.structure, PeriodicGrid(cell.structure.cell, (48, 48, 48)))
    theirs = charge_density_slices(field, grid)
    ours = build_potential(cell, grid, field)
    assert largest_deviation(ours, theirs, 1.2) < 0.02
