"""Arrangement of neighbours: what it must not depend on, an independent expansion, and what it tells apart."""

import ase
import ase.build
import numpy as np
import pytest
from ase.neighborlist import primitive_neighbor_list
from scipy.special import sph_harm_y

from rhotem.learned.arrangement import FIRST, FUNCTIONS, LARGE, LMAX, REACH, ArrangementBank, arrangement
from rhotem.learned.novelty import UNKNOWN, of_structure
from rhotem.learned.relatives import PAULING
from rhotem.structure.model import Structure
from rhotem.training.error_bars.arrangement import ALIKE, learn_arrangements


def crystal(kind="rocksalt", name="LiF", a=4.03, rattle=0.0) -> Structure:
    atoms = ase.build.bulk(name, kind, a=a)
    atoms.rattle(rattle, seed=1)
    return Structure(atoms)


def expanded(structure: Structure) -> np.ndarray:
    """The same with SciPy's harmonics and ASE's neighbours."""
    s = structure
    first = primitive_neighbor_list("id", [True] * 3, s.cell, s.positions, 5.0)
    nearest = [first[1][first[0] == k].min() for k in range(len(s))]
    unit = np.median(nearest)
    i, j, d, v = primitive_neighbor_list("ijdD", [True] * 3, s.cell, s.positions, REACH * unit)
    x, chi = d / unit, PAULING[s.numbers]
    places = np.linspace(FIRST, REACH, FUNCTIONS)
    radial = np.exp(-0.5 * ((x[:, None] - places) / (places[1] - places[0])) ** 2)
    radial *= (np.cos(np.pi * x / REACH / 2) ** 2 / x)[:, None]
    radial = np.concatenate([radial, radial * np.tanh((chi[j] - chi[i]) / LARGE)[:, None]], axis=1)
    polar, azimuth = np.arccos(np.clip(v[:, 2] / d, -1.0, 1.0)), np.arctan2(v[:, 1], v[:, 0])
    result = []
    for atom in range(len(s)):
        own, parts = i == atom, []
        for l in range(LMAX + 1):
            y = np.stack([sph_harm_y(l, m, polar[own], azimuth[own]) for m in range(-l, l + 1)])
            c = radial[own].T @ y.T
            p = (c @ c.conj().T).real / np.sqrt(2 * l + 1)
            parts += [
                p[a, b] * (1.0 if a == b else np.sqrt(2.0)) for a, b in zip(*np.triu_indices(len(p)), strict=True)
            ]
        result.append(np.array(parts) / np.linalg.norm(parts))
    return np.array(result)


def test_is_the_power_spectrum_of_an_independent_expansion():
    structure = crystal(rattle=0.1)
    np.testing.assert_allclose(arrangement(structure), expanded(structure), atol=1e-10)


def test_does_not_depend_on_how_a_crystal_is_described():
    s = crystal(rattle=0.1)
    given = arrangement(s)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    for sign in (1.0, -1.0):
        turned = Structure(ase.Atoms(s.numbers, sign * s.positions @ turn, cell=sign * s.cell @ turn, pbc=True))
        np.testing.assert_allclose(arrangement(turned), given, atol=1e-10)
    larger = Structure(ase.Atoms(s.numbers, 1.1 * s.positions, cell=1.1 * s.cell, pbc=True))
    np.testing.assert_allclose(arrangement(larger), given, atol=1e-10)
    double = Structure(s.atoms.repeat((2, 1, 1)))
    np.testing.assert_allclose(arrangement(double), np.tile(given, (2, 1)), atol=1e-10)
    np.testing.assert_allclose(arrangement(double, np.array([3, 0])), given[[1, 0]], atol=1e-10)


def test_an_atom_without_neighbours_has_none():
    alone = Structure(ase.Atoms("Ar", cell=[20.0] * 3, pbc=True))
    assert not arrangement(alone).any()


def test_electronegativities_are_those_of_the_tables():
    element = pytest.importorskip("pymatgen.core").Element
    for z in (1, 3, 8, 9, 12, 15, 22, 27, 40, 57, 82, 92):
        assert pytest.approx(element.from_Z(z).X, abs=0.005) == PAULING[z]


@pytest.fixture(scope="module")
def bank() -> ArrangementBank:
    """Rock salts of a few compounds, displaced a little."""
    names = [("LiF", 4.03), ("NaF", 4.62), ("MgO", 4.21), ("LiCl", 5.13), ("CaO", 4.81)]
    prints = [arrangement(crystal("rocksalt", name, a, rattle=0.03)) for name, a in names]
    return learn_arrangements(prints, range(5))


def test_new_compounds_of_a_prototype_are_known_and_other_prototypes_are_not(bank):
    """Neither elements nor bond lengths matter, the sites do."""
    known = bank.novelty(crystal("rocksalt", "KF", 5.34, rattle=0.03))
    assert known.max() < 1.0
    other = bank.novelty(crystal("zincblende", "LiF", 4.4, rattle=0.03))
    assert other.min() > known.max() + 1.0
    ordered = Structure(ase.build.bulk("Cu", "fcc", a=3.6))  # no anions on the sites of rock salt
    assert bank.novelty(ordered).min() > known.max() + 1.0


def test_every_training_atom_has_one_that_is_kept_nearby():
    rng = np.random.default_rng(0)
    prints = [arrangement(crystal("rocksalt", "MgO", 4.21, rattle=r)) for r in (0.0, 0.05, 0.1)]
    prints += [prints[0] + 1e-6 * rng.normal(size=prints[0].shape) for _ in range(5)]
    bank = learn_arrangements(prints, [0, 1, 2, 0, 0, 0, 0, 0])
    every = np.concatenate(prints)
    distance = np.linalg.norm(every[:, None] - bank.fingerprints, axis=2).min(1)
    assert distance.max() <= ALIKE * bank.usual + 1e-9
    assert len(bank.fingerprints) <= 6  # of copies one is kept


def test_a_full_bank_is_spread_over_all(monkeypatch):
    """However many labels there are, error bars stay small files."""
    monkeypatch.setattr("rhotem.training.error_bars.arrangement.MOST", 20)
    angles = np.linspace(0.0, np.pi, 400)
    prints = [np.stack([np.cos(angles), np.sin(angles)], axis=1)[k::4] for k in range(4)]
    kept = learn_arrangements(prints, range(4)).fingerprints
    assert len(kept) == 20
    at = np.sort(np.arctan2(kept[:, 1], kept[:, 0]))
    assert np.diff(at).max() < 2.5 * np.pi / 19 and at[0] < np.pi / 19 and at[-1] > np.pi * 18 / 19


def test_stored_and_back(bank):
    again = ArrangementBank.from_arrays(bank.arrays())
    expected = bank.novelty(crystal("zincblende", "LiF", 4.4))
    np.testing.assert_allclose(again.novelty(crystal("zincblende", "LiF", 4.4)), expected, atol=0.02)
    assert ArrangementBank.from_arrays({}) is None


def test_score_of_a_structure_adds_chemistry_and_arrangement():
    novelty, arranged = np.array([0.0, 1.0, 1.0, 1.0]), np.array([2.0, 2.0, 2.0, 9.0])
    assert of_structure(novelty, arranged) == pytest.approx(3.0)  # one strange atom in four is a defect
    assert of_structure(np.array([0.0, UNKNOWN]), arranged[:2]) == UNKNOWN
