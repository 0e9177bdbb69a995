"""The learned density at scale: repeated cells, memory, the electron count."""

import ase
import ase.build
import numpy as np
import pytest

from rhotem.core import MemoryLimitError, PeriodicGrid
from rhotem.density.convert import as_kind
from rhotem.learned import source
from rhotem.learned.repeats import find_repetition
from rhotem.learned.source import Model
from rhotem.structure.model import Structure

#: Shipped, and small.
WEIGHTS = "fast"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(WEIGHTS, positive="off")


def salt(repeat: tuple[int, int, int], moved: float = 0.0) -> Structure:
    """NaF, a triclinic choice of its primitive cell, off the origin."""
    atoms = ase.build.bulk("NaF", "rocksalt", a=4.6)
    atoms.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1]]) @ atoms.cell.array, scale_atoms=False)
    atoms.positions += [0.3, -0.2, 1e-14]
    atoms = atoms.repeat(repeat)
    atoms.positions[-1] += moved
    return Structure(atoms)


def test_repeats_are_found_up_to_what_the_grid_allows():
    structure = salt((4, 3, 2))
    found = find_repetition(structure, (24, 24, 24))
    assert found is not None and found.counts == (4, 3, 2)
    assert sorted(structure.numbers[found.atoms]) == [9, 11]
    assert find_repetition(structure, (10, 9, 5)).counts == (2, 3, 1)
    assert find_repetition(structure, (7, 7, 7)) is None
    assert find_repetition(salt((4, 3, 2), moved=1e-4), (24, 24, 24)) is None


def test_a_repeated_cell_is_the_cell_repeated(model):
    """And the same as with one atom moved by next to nothing, where nothing repeats."""
    structure, cell = salt((2, 3, 2)), salt((1, 1, 1))
    small = PeriodicGrid(cell.cell, (9, 10, 12))
    big = PeriodicGrid(structure.cell, (18, 30, 24))
    field, one = model(structure, big), model(cell, small)
    peak = np.abs(one.values).max()
    np.testing.assert_allclose(field.values, np.tile(one.values, (2, 3, 2)), atol=1e-5 * peak)
    almost = model(salt((2, 3, 2), moved=2e-6), big)
    np.testing.assert_allclose(almost.values, field.values, atol=1e-5 * peak)
    assert field.record["grid_count_correction_e"] == pytest.approx(
        12 * one.record["grid_count_correction_e"], rel=1e-3
    )


def test_little_memory_changes_nothing_and_too_little_is_refused():
    atoms = salt((5, 4, 4)).atoms
    atoms.positions += np.random.default_rng(0).normal(0.0, 0.02, atoms.positions.shape)
    structure = Structure(atoms)
    grid = PeriodicGrid.from_spacing(structure.cell, 0.4)
    whole, little = (Model(WEIGHTS, positive="off", memory=m)(structure, grid) for m in (None, 5.06e8))
    peak = np.abs(whole.values).max()
    np.testing.assert_allclose(little.values, whole.values, atol=1e-5 * peak)
    np.testing.assert_allclose(little.one_centre[7].values, whole.one_centre[7].values, atol=1e-5)
    with pytest.raises(MemoryLimitError, match="coarser grid"):
        Model(WEIGHTS, memory=5.0e8)(structure, grid)


def test_the_plan_is_said_before():
    said: list[str] = []
    structure = salt((2, 2, 2))
    Model(WEIGHTS, positive="off", memory=2e9, announce=said.append)(structure, PeriodicGrid(structure.cell, (9, 9, 9)))
    assert len(said) == 1 and "16 atoms, 2 kinds of surroundings, 1 tile," in said[0]


def test_the_count_is_exact_in_a_cell_of_two_thousand_atoms(model):
    atoms = ase.build.bulk("LiF", "rocksalt", a=4.03, cubic=True).repeat((6, 6, 7))
    del atoms[[5, 100, 321, 322]]
    structure = Structure(atoms)
    field = model(structure, PeriodicGrid.from_spacing(structure.cell, 0.4))
    sharp = field.one_centre.coefficients[:, :, 0] @ model.model.readout.blocks[0].electrons
    electrons = field.grid.integrate(field.values) + sharp.sum()
    assert abs(electrons) < 1e-6 * 4 * len(structure)


def test_one_centre_parts_are_made_when_asked_for(model):
    field = model(salt((1, 1, 1)), PeriodicGrid(salt((1, 1, 1)).cell, (8, 8, 8)))
    assert len(field.one_centre) == 2 and [t.atom for t in field.one_centre] == [0, 1]
    assert field.one_centre[-1].atom == 1 and len(field.one_centre[:1]) == 1
    with pytest.raises(IndexError):
        field.one_centre[2]
    assert np.isfinite(as_kind(field, "deformation").values).all()


def test_only_small_cells_are_asked_whether_they_are_negative(monkeypatch):
    """Superposing free atoms takes longer than the density itself; whoever wants to know says so."""
    monkeypatch.setattr(source, "REPORTED", 2)
    few, many = salt((1, 1, 1)), salt((2, 1, 1), moved=0.01)
    said = []
    for structure, asked in ((few, "auto"), (many, "auto"), (many, "report")):
        grid = PeriodicGrid.from_spacing(structure.cell, 0.5)
        said.append("negative_electrons" in Model(WEIGHTS, positive=asked)(structure, grid).record)
    assert said == [True, False, True]
