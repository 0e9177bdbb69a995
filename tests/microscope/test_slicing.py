"""Atoms on slice boundaries lose their high-angle scattering; the cell is shifted so that none is cut."""

import ase
import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.microscope.plan import make_plan
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, Microscope
from rhotem.microscope.simulate import simulate
from rhotem.microscope.slicing import centre_layers, layer_offset, slice_number
from rhotem.potential.slices import build_potential
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell


def haadf(cell, slices, moved):
    grid = PeriodicGrid(cell.structure.cell, (96, 96, slices))
    potential = build_potential(cell, grid, parametrization="lobato", displacements=moved)
    microscope, detectors = Microscope(convergence=22), [Annular(name="HAADF", inner=60, outer=180)]
    scan = Scan((6, 6), potential.extent)
    plan = make_plan(potential, microscope, scan, detectors, algorithm="bloch", window=4.0)
    return simulate([potential], microscope, scan, detectors, plan=plan)["HAADF"]


def test_haadf_with_one_slice_per_plane_is_that_of_thin_slices():
    """Aluminium [001], planes 2.02 Å apart, 4 nm, atoms vibrating: 0.25 Å slices are the reference."""
    atoms = ase.Atoms("Al4", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)], cell=[4.05] * 3)
    plain = ImagingCell.from_orthogonal(Structure(atoms)).repeated(1, 1, 10)
    moved = np.random.default_rng(1).normal(0, 0.08, (40, 3))
    centred = centre_layers(plain, 20)
    reference = haadf(centred, 160, moved)
    assert np.abs(haadf(centred, 20, moved) - reference).max() < 0.02 * reference.max()
    assert haadf(plain, 20, moved).mean() < 0.85 * reference.mean()


def test_offset_puts_planes_into_the_middle_of_slices():
    heights = np.array([0.0, 1.4, 2.8, 4.2])
    assert layer_offset(heights, np.ones(4), 4, 5.6) == pytest.approx(0.7, abs=0.03)
    assert layer_offset(heights + 0.5, np.ones(4), 4, 5.6) == pytest.approx(0.2, abs=0.03)


def test_heavy_atoms_decide():
    heights = np.array([0.0, 0.5, 1.0])
    offset = layer_offset(heights, np.array([1.0, 100.0, 1.0]), 1, 1.5)
    assert 0.45 < (0.5 + offset) % 1.5 < 1.05


@pytest.mark.parametrize("planes, spacing, number", [(6, 1.408, 6), (2, 1.408, 2), (4, 2.02, 8), (3, 1.8, 3)])
def test_number_of_slices_fits_the_planes(planes, spacing, number):
    """Six planes in 8.4 Å take six slices, not the five that 2 Å would allow; 2.02 Å apart takes two for each."""
    atoms = ase.Atoms(f"Co{planes}", [(1, 1, i * spacing) for i in range(planes)], cell=[3, 3, planes * spacing])
    assert slice_number(ImagingCell.from_orthogonal(Structure(atoms)), 2.0) == number
