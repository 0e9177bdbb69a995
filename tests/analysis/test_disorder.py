"""Random exchange of atoms and scaled thermal motion: what changes, and what stays."""

import numpy as np
import pytest

from rhotem.analysis import run
from rhotem.analysis.disorder import ExchangedPotentials, ScaledPotentials
from rhotem.core import InputError


@pytest.fixture(scope="module")
def cut():
    preset = run.adjusted_preset("layered-oxide", energy=200.0, convergence=15.0, detectors=["ABF=8-15"])
    return run.specimen(run.structure("LiNiO2"), zone=(0, 0, 1), thickness=2.9, preset=preset)


def symbols(made, number):
    return np.array(made._arranged(number).structure.atoms.get_chemical_symbols())


def test_larger_shares_hold_smaller_ones_and_elements_are_kept(cut):
    before = np.array(cut.block.structure.atoms.get_chemical_symbols())
    lithium = int((before == "Li").sum())
    changed = []
    for share in (0.0, 0.25, 0.5):
        made = ExchangedPotentials(cut, ("Li", "Ni"), share, phonons=2, seed=3)
        after = symbols(made, 1)
        assert sorted(after) == sorted(before)
        assert ((before == "Li") & (after == "Ni")).sum() == round(share * lithium)
        changed.append(set(np.flatnonzero(after != before)))
    assert not changed[0] and changed[1] < changed[2]
    two = [symbols(ExchangedPotentials(cut, ("Li", "Ni"), 0.5, phonons=2, seed=s), n) for s, n in ((3, 0), (4, 1))]
    assert (two[0] != two[1]).any()


def test_shares_between_whole_atoms_are_right_in_the_mean(cut):
    before = np.array(cut.block.structure.atoms.get_chemical_symbols())
    lithium = int((before == "Li").sum())
    made = ExchangedPotentials(cut, ("Li", "Ni"), 0.3, phonons=1)
    counts = [((before == "Li") & (symbols(made, n) == "Ni")).sum() for n in range(300)]
    assert np.mean(counts) == pytest.approx(0.3 * lithium, abs=0.1)


def test_without_exchange_the_potential_is_that_of_the_crystal(cut):
    plain = next(iter(run.potential(cut, run.density(cut, "free-atoms"), phonons=1, seed=5)))
    none = next(iter(ExchangedPotentials(cut, ("Li", "Ni"), 0.0, phonons=1, seed=5)))
    assert none.array == pytest.approx(plain.array, abs=1e-4 * float(np.abs(plain.array).max()))


def test_scaled_motion_is_along_the_same_directions(cut):
    field = run.density(cut, "free-atoms")
    one = next(run.potential(cut, field, phonons=1, seed=2).displacements())
    two = next(ScaledPotentials(cut, field, 2.25, phonons=1, seed=2).displacements())
    assert two == pytest.approx(1.5 * one)


def test_bad_exchanges_are_refused(cut):
    with pytest.raises(InputError, match="has no Co"):
        ExchangedPotentials(cut, ("Li", "Co"), 0.1)
    with pytest.raises(InputError, match="expected 0 to 100"):
        ExchangedPotentials(cut, ("Li", "Ni"), 1.5)
    with pytest.raises(InputError, match="expected a positive number"):
        ScaledPotentials(cut, run.density(cut, "free-atoms"), 0.0)
