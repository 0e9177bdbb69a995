"""Symmetry across the beam: plane groups of known crystals, and a potential that has it or not."""

import ase
import numpy as np
import pytest
import spglib
from ase.build import bulk
from ase.spacegroup import crystal

from rhotem.analysis import run
from rhotem.potential.slices import build_potential
from rhotem.structure.beam_symmetry import Operation, beam_period, beam_symmetry, deviation, lateral_translations
from rhotem.structure.indices import spglib_cell
from rhotem.structure.model import Structure
from rhotem.structure.orient import orient
from rhotem.structure.phases import phase


def perovskite() -> Structure:
    places = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]
    return Structure(crystal(("Sr", "Ti", "O"), places, spacegroup=221, cellpar=[3.905] * 3 + [90] * 3))


@pytest.mark.parametrize(
    "structure, zone, order",
    [
        (perovskite(), (0, 0, 1), 8),  # p4mm
        (perovskite(), (1, 1, 0), 4),  # p2mm
        (Structure(bulk("Si")), (0, 0, 1), 4),  # 4₁ changes the surfaces, what is left is p2mm
        (Structure(bulk("Au")), (1, 1, 1), 2),  # of p3m1 a rectangle keeps the mirror
        (Structure(bulk("ZnS", "zincblende", 5.41)), (1, 1, 0), 2),  # polar: a mirror
    ],
)
def test_operations_are_those_of_the_plane_group(structure, zone, order):
    cut = run.specimen(structure, zone, thickness=0.5, preset="pacbed")
    found = beam_symmetry(cut.cell.structure)
    kept = {one.matrix.tobytes() for one in found}
    assert {(a.matrix @ b.matrix).tobytes() for a in found for b in found} == kept
    shape = [n // r for n, r in zip(cut.grid.shape, cut.repeats, strict=True)]
    grid = type(cut.grid)(cut.cell.structure.cell, tuple(shape))
    slices = build_potential(cut.cell, grid).array
    assert max(deviation(one, slices) for one in found) < 1e-4
    square = np.diag(1 / cut.cell.lengths[:2] ** 2)
    assert len([m for m in found if np.allclose(m.matrix.T @ square @ m.matrix, square)]) == order
    wrong = Operation(np.array([[-1, 0], [0, 1]]), np.array([0.13, 0.0]))
    assert deviation(wrong, slices) > 0.1


def test_a_crystal_without_symmetry_has_the_identity():
    places = [(0.7, 0.9, 0.4), (2.9, 2.6, 1.4), (1.1, 4.2, 2.2)]
    atoms = ase.Atoms("TiOF", positions=places, cell=(4.1, 5.3, 3.0), pbc=True)
    assert [one.matrix.tolist() for one in beam_symmetry(Structure(atoms))] == [[[1, 0], [0, 1]]]


def test_moments_break_it():
    """Two atoms with opposite moments are not mirror images of each other."""
    atoms = ase.Atoms("Fe2", positions=[(0, 0, 0), (2, 2, 0)], cell=(4, 4, 3), pbc=True)
    assert len(beam_symmetry(Structure(atoms))) == 8
    one = ase.Atoms("Fe3", positions=[(0, 0, 0), (1, 0, 0), (3, 0, 0)], cell=(4, 4, 3), pbc=True)
    plain = len(beam_symmetry(Structure(one)))
    assert len(beam_symmetry(Structure(one, moments=np.array([0.0, 2.0, -2.0])))) < plain


@pytest.mark.parametrize("times", [(1, 1, 1), (1, 1, 6), (2, 1, 4)])
@pytest.mark.parametrize("name, zone", [("LiCoO2", (1, 0, 0)), ("LiFePO4", (0, 1, 0)), ("Au", (1, 1, 0))])
def test_period_along_the_beam_is_that_of_the_lattice(name, zone, times):
    """spglib's pure translations say the same, whatever multiple of the cell is given."""
    crystal = Structure(bulk("Au", cubic=True)) if name == "Au" else run.structure(name)
    cell = run.specimen(crystal, zone, thickness=0.1).cell.repeated(*times).structure
    found = spglib.get_symmetry(spglib_cell(cell))
    turns, shifts = found["rotations"], found["translations"]
    own = shifts[(turns == np.eye(3)).all(axis=(1, 2)) & (np.abs(shifts[:, :2]) < 1e-3).all(axis=1), 2]
    assert beam_period(cell) == pytest.approx(cell.cell[2, 2] * min([*own[own > 1e-3], 1.0]), abs=1e-3)


def test_one_missing_atom_makes_the_cell_the_period():
    cell = run.specimen(perovskite(), (0, 0, 1), thickness=0.1).cell.repeated(1, 1, 4).structure
    assert beam_period(cell) == pytest.approx(3.905)
    assert beam_period(Structure(cell.atoms[1:])) == pytest.approx(4 * 3.905)


@pytest.mark.parametrize(
    ("name", "zone", "expected"),
    [
        ("SrTiO3", (0, 0, 1), [(0, 0)]),
        ("LiCoO2", (0, 0, 1), [(0, 0), (1 / 2, 1 / 2)]),
        ("LiNiO2", (1, 0, 0), [(0, 0), (1 / 3, 1 / 3), (2 / 3, 2 / 3)]),
        ("Si", (1, 1, 0), [(0, 0)]),
    ],
)
def test_lateral_translations_are_those_of_the_centring(name, zone, expected):
    """Rectangular cells of rhombohedral and hexagonal lattices repeat; of silicon atoms would move along the beam."""
    found = lateral_translations(orient(phase(name), zone, primitive=True).structure)
    np.testing.assert_allclose(found, expected, atol=1e-6)
