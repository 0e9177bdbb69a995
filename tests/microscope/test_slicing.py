"""Atoms on slice boundaries lose their high-angle scattering; the cell is shifted so that none is cut."""

import ase
import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.microscope.plan import make_plan
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, Microscope
from rhotem.microscope.simulate import simulate
from rhotem.microscope.slicing import beside, off_planes, slice_number, sliced
from rhotem.potential.slices import build_potential
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell, orient
from rhotem.structure.phases import phase


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
    centred, number = sliced(plain, 2.1, 2.1)
    assert number == 20
    reference = haadf(centred, 160, moved)
    assert np.abs(haadf(centred, 20, moved) - reference).max() < 0.02 * reference.max()
    assert haadf(plain, 20, moved).mean() < 0.85 * reference.mean()


def test_shift_puts_planes_into_the_middle_of_slices():
    heights = np.array([0.0, 1.4, 2.8, 4.2])
    for start, shift in ((0.0, 0.7), (0.5, 0.2)):
        off, found = beside(heights + start, np.ones(4), 1.4)
        assert off == pytest.approx(0, abs=1e-9) and found == pytest.approx(shift, abs=1e-9)


def test_heavy_atoms_decide():
    heights = np.array([0.0, 0.5, 1.0])
    offset = beside(heights, np.array([1.0, 100.0, 1.0]), 1.5)[1]
    assert (0.5 + offset) % 1.5 == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("planes, spacing, number", [(6, 1.408, 6), (2, 1.408, 2), (4, 2.02, 8), (3, 1.8, 3)])
def test_number_of_slices_fits_the_planes(planes, spacing, number):
    """Six planes in 8.4 Å take six slices, not the five that 2 Å would allow; 2.02 Å apart takes two for each."""
    atoms = ase.Atoms(f"Co{planes}", [(1, 1, i * spacing) for i in range(planes)], cell=[3, 3, planes * spacing])
    assert slice_number(ImagingCell.from_orthogonal(Structure(atoms)), 2.0) == number


def test_thinner_slices_are_of_the_same_specimen():
    """Both surfaces stay where they are, between planes: not ever nearer to the first plane as slices get thinner."""
    silicon = orient(phase("Si"), (1, 1, 0), primitive=True)
    usual, number = sliced(silicon, 2.0, 2.0)
    for thickest in (1.9, 1.0, 0.5, 0.2):
        finer, more = sliced(silicon, thickest, 2.0)
        assert finer.lengths[2] / more <= thickest
        assert (more // number) % 2 == 1 and more % number == 0
        np.testing.assert_array_equal(finer.structure.positions, usual.structure.positions)
    heights = np.sort(usual.structure.positions[:, 2] % silicon.lengths[2])
    assert heights[0] == pytest.approx(silicon.lengths[2] - heights[-1], abs=0.05)


def test_surfaces_lie_in_the_widest_gap():
    """Two planes 0.9 Å apart and a gap of 3.1 Å: the cell ends in the gap."""
    atoms = ase.Atoms("Co2", [(1, 1, 1.0), (1, 1, 1.9)], cell=[3, 3, 4.0])
    cell, _ = sliced(ImagingCell.from_orthogonal(Structure(atoms)), 1.0, 1.0)
    heights = cell.structure.positions[:, 2] % 4.0
    assert heights.min() > 1.0 and heights.max() < 3.0


def test_focus_does_not_move_with_the_slices():
    """A probe focused on a plane of atoms that lie in mid-slice, at 1 nm: bright field with one, three and nine slices
    per plane. Without travel to the middle of the first slice the probe is 0.65 to 0.9 Å off, 3 % of the range."""
    plain = ImagingCell.from_orthogonal(Structure(ase.Atoms("Si", [(0, 0, 0)], cell=[3, 3, 1.95]))).repeated(1, 1, 5)
    cell, _ = sliced(plain, 1.96, 1.96)
    images = []
    for parts in (1, 3, 9):
        grid = PeriodicGrid(cell.structure.cell, (60, 60, 5 * parts))
        potential = build_potential(cell, grid, parametrization="lobato", oversampling=2)
        microscope, detectors = Microscope(convergence=22), [Annular(name="BF", outer=11)]
        scan = Scan((8, 8), potential.extent)
        plan = make_plan(potential, microscope, scan, detectors, algorithm="bloch", window=9.0)
        images.append(simulate([potential], microscope, scan, detectors, plan=plan)["BF"])
    coarse, finer = (np.abs(image - images[2]).max() / np.ptp(images[2]) for image in images[:2])
    print(coarse, finer)
    assert coarse < 0.01 and finer < 0.005


@pytest.mark.parametrize("name, zone", [("LiFePO4", (0, 1, 0)), ("Si", (1, 1, 1)), ("SrTiO3", (1, 1, 2))])
def test_planes_at_any_heights_are_in_the_middle_of_slices(name, zone):
    """O of LiFePO4 [010] are 0.28 Å beside a plane of Li, planes of Si [111] 0.78 and 2.35 Å apart."""
    cell = orient(phase(name), zone, primitive=True)
    for thickest in (2.0, 0.5):
        finer, number = sliced(cell, thickest, 2.0)
        assert off_planes(finer, number) < 0.03


def test_disorder_is_not_sliced_ever_thinner():
    rng = np.random.default_rng(0)
    atoms = ase.Atoms("Si200", rng.uniform(0, 20, (200, 3)), cell=[20, 20, 20])
    assert 10 <= slice_number(ImagingCell.from_orthogonal(Structure(atoms)), 2.0) <= 20


def test_vacuum_does_not_make_disorder_look_like_planes():
    """A disordered film of 20 Å in 60 Å: its slices are those of the film, not four times as many."""
    rng = np.random.default_rng(0)
    atoms = ase.Atoms("Si200", rng.uniform(0, 20, (200, 3)), cell=[20, 20, 60])
    cell, number = sliced(ImagingCell.from_orthogonal(Structure(atoms)), 2.0, 2.0, slab=True)
    heights = np.mod(cell.structure.positions[:, 2], 60)
    assert 10 <= len(np.unique(np.floor(heights / (60 / number)))) <= 22
