"""Compiled kernels that run distilled potentials, against nep-adapters, which knows nothing of them."""

import numpy as np
import pytest

from rhotem.battery.distillation.gradient import DESCRIPTORS
from rhotem.battery.distillation.parameters import Parameters
from rhotem.battery.nep import NepCalculator
from rhotem.structure.phases import phase

ELEMENTS = ["Li", "Co", "O"]


@pytest.fixture
def potential(tmp_path, rng):
    pytest.importorskip("nep_adapters")
    made = Parameters.random(ELEMENTS, rng)
    made.parts()[1][...] = rng.normal(size=made.parts()[1].shape)
    made.scale, made.constant = rng.uniform(0.2, 0.5, DESCRIPTORS), 0.7
    (tmp_path / "nep.txt").write_text(made.text())
    return NepCalculator(tmp_path / "nep.txt")


@pytest.fixture
def oxide(rng):
    """Small, sheared and hot: atoms see their own copies, and some nuclei repel."""
    atoms = phase("LiCoO2", primitive=True).atoms.repeat((2, 2, 1))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0.0, 0.03, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0.0, 0.2, atoms.positions.shape)
    return atoms


def agree(potential, atoms):
    ours = potential.quick.results(atoms)
    found = potential.engine.predict_structures([atoms])
    virial = np.asarray(found.structure_virials[0]).reshape(3, 3) * len(atoms)
    stress = -0.5 * (virial + virial.T) / atoms.get_volume()
    np.testing.assert_allclose(ours["energies"], found.potential, atol=2e-6)
    np.testing.assert_allclose(ours["forces"], found.forces, atol=5e-4)
    np.testing.assert_allclose(ours["stress"], stress.ravel()[[0, 4, 8, 5, 2, 1]], atol=1e-5)
    assert ours["energy"] == pytest.approx(float(found.energy[0]), abs=2e-6 * len(atoms))
    return found


def test_they_give_what_nep_adapters_gives(potential, oxide, rng):
    """On the way: atoms that move a little and far, that leave the cell, and a cell that changes."""
    agree(potential, oxide)
    listed = potential.quick.listed
    for size in (0.05, 0.3):
        oxide.positions += rng.normal(0.0, size, oxide.positions.shape)
        agree(potential, oxide)
    assert potential.quick.listed is not listed
    oxide.positions[3] += 2.0 * oxide.cell.array[0] - oxide.cell.array[2]
    agree(potential, oxide)
    oxide.set_cell(oxide.cell.array * 0.98, scale_atoms=True)
    agree(potential, oxide)
    del oxide[[1, 5]]
    agree(potential, oxide)


def test_nuclei_that_repel_are_as_nep_adapters_has_them(potential, oxide):
    """Li and O at 0.9 Å: tens of eV/Å from the repulsion of nuclei."""
    li, o = (int(np.flatnonzero(oxide.symbols == symbol)[0]) for symbol in ("Li", "O"))
    way = oxide.get_distance(li, o, mic=True, vector=True)
    oxide.positions[o] = oxide.positions[li] + 0.9 * way / np.linalg.norm(way)
    assert np.abs(agree(potential, oxide).forces).max() > 10.0


def test_nuclei_closer_than_the_table_are_left_to_nep_adapters(potential, oxide):
    oxide.positions[1] = oxide.positions[0] + [0.3, 0.0, 0.0]
    assert potential.quick.results(oxide) is None
    np.testing.assert_allclose(potential.get_forces(oxide), potential.engine.predict_structures([oxide]).forces)


def test_sums_do_not_depend_on_when_neighbours_were_listed(potential, oxide, rng):
    """Bit for bit: a run that goes on after a stop lists anew, and must take the same path."""
    potential.quick.results(oxide)
    listed = potential.quick.listed
    oxide.positions += rng.uniform(-0.2, 0.2, oxide.positions.shape)
    before = potential.quick.results(oxide)
    assert potential.quick.listed is listed
    potential.quick.listed = None
    after = potential.quick.results(oxide)
    assert len(potential.quick.listed.others) != len(listed.others)
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name])


def test_a_potential_of_another_shape_has_none(tmp_path):
    pytest.importorskip("nep_adapters")
    from tests.battery.neps import random_nep

    assert NepCalculator(random_nep(tmp_path / "nep.txt", ELEMENTS, 1)).quick is None
