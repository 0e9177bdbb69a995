"""Relaxation and contacts: a potential with a known minimum, a potential that is missing, distances by hand."""

import sys

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from rhotem.battery import relax as relaxing
from rhotem.battery.contacts import contacts, too_near
from rhotem.battery.finish import finished
from rhotem.battery.relax import Settings, relax
from rhotem.battery.specimen import Specimen
from rhotem.core import ConvergenceError, InputError, MissingDependencyError
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase


class Einstein(Calculator):
    """Every atom on a spring of 2 eV/Å² to its place."""

    implemented_properties = ("energy", "forces")

    def __init__(self, places):
        super().__init__()
        self.places = places

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        apart = atoms.positions - self.places
        self.results = {"energy": float((apart**2).sum()), "forces": -2.0 * apart}


def argon(a=5.26):
    return Structure(bulk("Ar", "fcc", a=a, cubic=True), info={"notes": ["a crystal, not relaxed"]})


@pytest.mark.parametrize("optimiser", ["fire", "lbfgs"])
def test_a_pair_comes_to_rest_at_the_minimum(optimiser):
    """Two Lennard-Jones atoms: 2^(1/6) σ apart, energy −ε."""
    pair = ase.Atoms("Ar2", [[5, 5, 5], [8.0, 5, 5]], cell=[20, 20, 20], pbc=True)
    calculator = LennardJones(sigma=3.0, epsilon=0.5, rc=9.0, smooth=False)
    steps = []
    settings = Settings(fmax=1e-5, steps=500, optimiser=optimiser)
    made, record = relax(Structure(pair), settings, lambda stage, done, total: steps.append(done), calculator)
    assert made.atoms.get_distance(0, 1) == pytest.approx(3.0 * 2 ** (1 / 6), abs=1e-3)
    assert record["converged"] and record["energy_eV"] < record["energy_before_eV"]
    assert record["largest_move_A"] == pytest.approx((3.0 * 2 ** (1 / 6) - 3.0) / 2, abs=1e-3)
    assert steps == list(range(record["steps"] + 1))


def test_the_cell_relaxes_only_if_asked():
    calculator = EMT()
    start = Structure(bulk("Cu", "fcc", a=3.8, cubic=True))
    still, _ = relax(start, Settings(fmax=0.01), calculator=calculator)
    assert np.allclose(still.cell, start.cell)
    made, record = relax(start, Settings(fmax=0.005, cell=True), calculator=calculator)
    assert record["cell_relaxed"] and made.cell[0, 0] == pytest.approx(3.59, abs=0.03)  # EMT's copper
    assert np.allclose(start.cell, np.eye(3) * 3.8)


def test_steps_end_and_are_said():
    start = argon()
    start.atoms.rattle(0.3, seed=1)
    calculator = LennardJones(sigma=3.4, epsilon=0.0104, rc=8.0)
    made, record = relax(start, Settings(fmax=1e-6, steps=3), calculator=calculator)
    assert record["steps"] == 3 and not record["converged"]
    assert made.info["notes"] == [
        "a crystal",
        next(n for n in made.info["notes"] if "3 steps, not converged" in n),
    ]


def test_what_stops_a_relaxation(monkeypatch):
    with pytest.raises(InputError, match="expected a positive force"):
        Settings(fmax=-1.0)
    crowded = Structure(ase.Atoms("Ar2", [[0, 0, 0], [0.6, 0, 0]], cell=[9, 9, 9], pbc=True))
    with pytest.raises(ConvergenceError, match="atoms overlap or the potential is lost"):
        relax(crowded, calculator=LennardJones(sigma=3.4, epsilon=0.01, rc=4.0))
    known = LennardJones()
    known.type_map = {3: 0, 8: 1}
    with pytest.raises(InputError, match="does not know Ar"):
        relax(argon(), calculator=known)
    monkeypatch.setitem(sys.modules, "sevenn.calculator", None)
    monkeypatch.setitem(sys.modules, "sevenn", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'rhotem\[battery\]'"):
        relax(argon(), Settings(potential="sevennet"))
    with pytest.raises(InputError, match=r"choose sevennet-0, .*or a folder"):
        Settings(potential="magic")
    with pytest.raises(InputError, match="does not know Po"):
        relax(Structure(bulk("Po", "sc", 3.3)))


def test_the_default_needs_no_package(monkeypatch):
    """Rock salt comes back to a lattice constant within 2 % of experiment (LiF, 4.027 Å)."""
    for name in ("torch", "sevenn"):
        monkeypatch.setitem(sys.modules, name, None)
    start = phase("LiF")
    made, record = relax(start, Settings(cell=True, fmax=0.02))
    assert record["potential"] == "sevennet-0" and record["converged"]
    assert made.volume ** (1 / 3) == pytest.approx(start.volume ** (1 / 3), rel=0.02)
    assert made.volume != start.volume


def test_contacts_by_hand():
    salt = phase("LiF")
    squeezed = Structure(salt.atoms.copy())
    squeezed.atoms.positions[1] += [0.5, 0, 0]
    found = {c.elements: c for c in contacts(squeezed, [salt])}
    assert found[("Li", "F")].bulk == pytest.approx(4.027 / 2) and found[("Li", "Li")].bulk == pytest.approx(
        2.8475, abs=1e-3
    )
    assert found[("Li", "F")].distance == pytest.approx(4.027 / 2 - 0.5)
    assert [c.elements for c in too_near(squeezed, [salt])] == [("Li", "F")]
    # a pair that no crystal has: mean of the like ones; metals that share sites count as one
    mixed = Structure(ase.Atoms("OF", [[0, 0, 0], [2.5, 0, 0]], cell=[9, 9, 9], pbc=True))
    expected = (4.619 / np.sqrt(2) + 4.027 / np.sqrt(2)) / 2
    assert contacts(mixed, [salt, phase("Li2O")])[0].bulk == pytest.approx(expected, abs=1e-3)
    metals = Structure(ase.Atoms("MnCo", [[0, 0, 0], [2.8, 0, 0]], cell=[9, 9, 9], pbc=True))
    assert contacts(metals, [phase("NMC811")])[0].bulk == pytest.approx(2.872, abs=1e-3)


def test_finishing_says_what_is_too_near(monkeypatch):
    salt = phase("LiF")
    squeezed = Structure(salt.atoms.copy())
    squeezed.atoms.positions[1] += [0.5, 0, 0]
    made, record = finished(Specimen.of(squeezed, salt), {})
    assert "--relax may mend it" in made.structure.info["notes"][-1] and "relaxation" not in record
    monkeypatch.setattr(relaxing, "potential_calculator", lambda name: Einstein(salt.positions))
    made, record = finished(Specimen.of(squeezed, salt), {"relax": True, "steps": 200, "fmax": 0.01})
    assert record["relaxation"]["converged"] and record["nearest_contacts"][0]["ratio"] > 0.8
    assert not [n for n in made.structure.info["notes"] if "below 80 %" in n]
