"""Slabs: vacuum, dipole and step against the electrostatics of charged sheets."""

import ase
import numpy as np
import pytest
from ase.build import bulk, surface

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import EPS0
from rhotem.density.field import DensityField
from rhotem.potential import build_potential
from rhotem.potential.slab import find_vacuum, planar_average, referred_to_vacuum, slab_reference
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell

AREA, WIDTH, CHARGE = 9.0, 0.5, 0.3
BELOW, ABOVE = 4.0, 7.0


def dipole_slab(length=24.0, offset=0.0):
    """0.3 electrons moved from the upper atom to the lower one, as planes of Gaussian profile: p = +q d / A."""
    z = np.array([BELOW, ABOVE]) + offset
    atoms = ase.Atoms("Ne2", positions=[[0, 0, z[0]], [0, 0, z[1]]], cell=[3.0, 3.0, length], pbc=True)
    structure = Structure(atoms)
    grid = PeriodicGrid(structure.cell, (4, 4, int(length * 10)))
    s = np.arange(grid.shape[2]) * 0.1
    profile = np.zeros(grid.shape[2])
    for centre, sign in ((z[0], 1), (z[1], -1)):
        d = np.mod(s - centre + length / 2, length) - length / 2
        profile += sign * CHARGE / AREA * np.exp(-(d**2) / (2 * WIDTH**2)) / np.sqrt(2 * np.pi) / WIDTH
    return structure, DensityField("deformation", structure, grid, np.broadcast_to(profile, grid.shape).copy())


def test_step_of_a_double_layer():
    structure, field = dipole_slab()
    slab = slab_reference(structure, field, parametrization="lobato")
    assert slab.axis == 2 and slab.vacuum_width == pytest.approx(21.0)
    assert slab.dipole == pytest.approx(CHARGE * 3.0 / AREA, rel=1e-6)
    # Electrons below, missing above: the potential is higher above.
    assert slab.step == pytest.approx(CHARGE * 3.0 / AREA / EPS0, rel=1e-6)
    assert slab.unevenness < 1e-4 and not slab.symmetric


@pytest.mark.parametrize("length", [20.0, 32.0])
def test_corrected_potential_is_that_of_the_slab_alone(length):
    """−(ΔV/2) erf below, +(ΔV/2) erf above: the closed form of two Gaussian planes, whatever the vacuum."""
    from scipy.special import erf

    structure, field = dipole_slab(length)
    flat = lambda z, g: np.full_like(g, 1e-12)  # noqa: E731  (no free atoms, only the double layer)
    slab = slab_reference(structure, field, parametrization=flat)
    s = np.linspace(BELOW - 3, ABOVE + 3, 200)
    got = planar_average(structure, field, 2, s, flat) + slab.correction(s)

    def plane(d):
        """∫∫ of a Gaussian: |d|/2 smoothed."""
        return 0.5 * (d * erf(d / np.sqrt(2) / WIDTH) + np.sqrt(2 / np.pi) * WIDTH * np.exp(-(d**2) / 2 / WIDTH**2))

    exact = CHARGE / AREA / EPS0 * (plane(s - BELOW) - plane(s - ABOVE))
    np.testing.assert_allclose(got, exact, atol=1e-3 * slab.step)


def test_vacuum_across_the_cell_boundary():
    whole, moved = (slab_reference(*dipole_slab(offset=x), parametrization="lobato") for x in (0.0, 15.7))
    assert moved.step == pytest.approx(whole.step, rel=1e-6)
    assert moved.shift == pytest.approx(whole.shift, abs=1e-4)
    assert np.mod(moved.vacuum_centre - whole.vacuum_centre, 24.0) == pytest.approx(15.7)


def test_free_atoms_need_no_correction():
    """Neutral free atoms: their V_0 already has its zero in the vacuum."""
    slab_atoms = surface(bulk("NaCl", "rocksalt", a=5.64, cubic=True), (0, 0, 1), 2, vacuum=12.0)
    slab_atoms.pbc = True
    slab = slab_reference(Structure(slab_atoms), None, parametrization="lobato")
    assert slab.symmetric and slab.step == 0.0
    assert abs(slab.shift) < 2e-3 and slab.unevenness < 2e-3


def test_bulk_and_charged_cells_are_refused():
    assert find_vacuum(Structure(bulk("Si"))) is None
    with pytest.raises(InputError, match="bulk"):
        slab_reference(Structure(bulk("Si")), None)
    with pytest.raises(InputError, match="charged slab"):
        slab_reference(Structure(dipole_slab()[0].atoms, charge=1.0), None)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
def test_slices_are_zero_in_the_vacuum(order):
    """Beam along and across the normal; mean of both sides zero, the step as reported."""
    structure, field = dipole_slab()
    axes = list(order)
    atoms = ase.Atoms(
        structure.numbers, positions=structure.positions[:, axes], cell=structure.cell[axes][:, axes], pbc=True
    )
    turned = Structure(atoms)
    values = np.transpose(field.values, axes)
    turned_field = DensityField("deformation", turned, PeriodicGrid(turned.cell, values.shape), values)
    cell = ImagingCell.from_orthogonal(turned)
    shape = tuple(96 if side > 20 else 12 for side in cell.lengths)
    grid = PeriodicGrid(turned.cell, shape)
    potential = build_potential(cell, grid, turned_field, parametrization=lambda z, g: 1.0 / (1.0 + g**2))
    slab = slab_reference(turned, turned_field, parametrization=lambda z, g: 1.0 / (1.0 + g**2))
    got = referred_to_vacuum(potential, cell, slab)
    where = int(np.argmax(cell.lengths))
    mean = got.array.transpose(1, 2, 0) / got.thickness
    profile = mean.mean(axis=tuple(i for i in range(3) if i != where))
    s = (np.arange(96) + (0.5 if where == 2 else 0.0)) * 24.0 / 96
    below, above = profile[(s > 19) & (s < 23)], profile[(s > 12) & (s < 16)]
    assert below.mean() == pytest.approx(-slab.step / 2, abs=2e-3)
    assert above.mean() == pytest.approx(slab.step / 2, abs=2e-3)
    assert got.mean_inner_potential == pytest.approx(got.array.mean(dtype=float) / got.thickness, abs=1e-4)
