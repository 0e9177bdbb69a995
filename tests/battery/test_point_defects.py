"""Point defects and states of charge: exact compositions, places, and electrostatic energies against pymatgen."""

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from rhotem.battery.builders.antisite import antisites
from rhotem.battery.builders.delithiate import delithiated
from rhotem.battery.builders.dopant import dopants
from rhotem.battery.builders.vacancy import vacancies
from rhotem.battery.contacts import contacts
from rhotem.battery.orderings import ranked
from rhotem.core import InputError
from rhotem.structure.build import repeated
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase


def counts(specimen):
    return specimen.structure.atoms.symbols.formula.count()


@pytest.mark.parametrize("name, pair, amount, exchanged", [
    ("NMC811", ("Li", "Ni"), "5%", 1), ("LiFePO4", ("Li", "Fe"), "12.5%", 1), ("LiNiO2", ("Li", "Ni"), "10%", 1),
])  # fmt: skip
def test_antisites_are_exact_and_neighbours(name, pair, amount, exchanged, rng):
    crystal = phase(name)
    made = antisites(crystal, pair, amount, rng)
    share = {e: n / len(made.structure) for e, n in counts(made).items()}
    assert share == pytest.approx({e: n / len(crystal) for e, n in crystal.atoms.symbols.formula.count().items()})
    wrong = [d for d in made.defects if d["kind"] == "antisite" and d["instead_of"] == pair[0]]
    assert len(wrong) / counts(made)[pair[0]] == pytest.approx(float(amount[:-1]) / 100, abs=1e-9)
    assert len(made.defects) == 2 * len(wrong) and (made.role == "antisite").sum() == 2 * len(wrong)
    # the partner is the nearest atom of the other element: no other lies nearer in the perfect crystal
    one, two = (np.array(d["position_A"]) for d in made.defects[:2])
    i, j, d = neighbor_list("ijd", crystal.atoms, 5.0)
    symbols = np.array(crystal.atoms.get_chemical_symbols())
    from ase.geometry import find_mic

    apart = find_mic(one - two, made.structure.cell)[1]
    assert apart == pytest.approx(d[(symbols[i] == pair[0]) & (symbols[j] == pair[1])].min(), abs=0.4)


@pytest.mark.parametrize("name, element, amount", [("LiCoO2", "O", "2"), ("LiMn2O4", "Li", "25%"), ("LiF", "F", "1")])
def test_vacancies_leave_the_rest_where_it_was(name, element, amount, rng):
    crystal = phase(name)
    made = vacancies(crystal, element, amount, rng)
    full = crystal.atoms.symbols.formula.count()
    gone = 2 if amount == "2" else 0.25 * full[element] if "%" in amount else 1
    assert counts(made) == {**full, element: full[element] - gone}
    holes = np.array([d["position_A"] for d in made.defects])
    whole = np.concatenate([made.structure.positions, holes])
    assert np.allclose(np.sort(whole, axis=0), np.sort(crystal.positions, axis=0), atol=1e-5)


def test_together_and_apart(rng):
    crystal = repeated(phase("LiCoO2"), 4, 4, 1)

    def mean(spread):
        made = vacancies(crystal, "Li", "5", np.random.default_rng(3), spread=spread)
        holes = Structure(crystal.atoms[:5].copy())
        holes.atoms.positions = [d["position_A"] for d in made.defects]
        return holes.atoms.get_all_distances(mic=True)[np.triu_indices(5, 1)].mean()

    assert mean("together") < mean("random") < mean("apart")


@pytest.mark.parametrize("name, replace, amount", [("LiNiO2", ("Ni", "Al"), "5%"), ("LiFePO4", ("Fe", "Mn"), "50%")])
def test_dopants(name, replace, amount, rng):
    made = dopants(phase(name), replace, amount, rng)
    number = counts(made)
    assert number[replace[1]] / (number[replace[0]] + number[replace[1]]) == pytest.approx(float(amount[:-1]) / 100)
    assert {d["element"] for d in made.defects} == {replace[1]} and len(made.defects) == number[replace[1]]


def test_percentages_that_no_cell_holds(rng):
    with pytest.raises(InputError, match="no cell of up to 400 atoms"):
        vacancies(phase("LiCoO2"), "Li", "0.01%", rng)
    with pytest.raises(InputError, match=r"is 0\.15 atoms"):
        vacancies(phase("LiCoO2"), "Li", "5%", rng, repeat="1,1,1")
    with pytest.raises(InputError, match="up to 100"):
        vacancies(phase("LiCoO2"), "Li", "120%", rng)
    with pytest.raises(InputError, match="has no Mg"):
        antisites(phase("LiCoO2"), ("Mg", "Co"), "1", rng)


@pytest.mark.parametrize("name, count", [("LiCoO2", 2), ("Na3V2(PO4)3", 3)])
def test_energies_of_orderings_are_those_of_pymatgen(name, count, rng):
    """Ewald sums of an independent code; the metals share the charge of the ions that left."""
    from pymatgen.analysis.ewald import EwaldSummation
    from pymatgen.core import Lattice
    from pymatgen.core import Structure as Other

    crystal = repeated(phase(name), 2, 1, 1) if name == "LiCoO2" else phase(name)
    element, metal, charges = ("Li", "Co", {"Li": 1, "O": -2}) if name == "LiCoO2" else (
        "Na", "V", {"Na": 1, "O": -2, "P": 5})  # fmt: skip
    orderings = ranked(crystal, element, count, rng, most=4)
    assert [o.energy for o in orderings] == sorted(o.energy for o in orderings)
    for ordering in orderings[:3]:
        atoms = crystal.atoms[np.setdiff1d(np.arange(len(crystal)), ordering.leaving)]
        rest = sum(charges.get(s, 0) for s in atoms.symbols)
        states = {**charges, metal: -rest / list(atoms.symbols).count(metal)}
        species = list(atoms.symbols)
        other = Other(Lattice(atoms.cell.array), species, atoms.get_scaled_positions())
        other.add_oxidation_state_by_element(states)
        energy = EwaldSummation(other, compute_forces=False).total_energy
        assert ordering.energy == pytest.approx(energy, abs=2e-3)


def test_a_potential_can_rank():
    """Pairs of Lennard-Jones atoms: of two that leave a row of three, those stay that are nearest to its minimum."""
    import ase
    from ase.calculators.lj import LennardJones

    from rhotem.battery.orderings import Ordering, by_potential

    row = ase.Atoms("Li3", [[5, 5, 5], [8.37, 5, 5], [13, 5, 5]], cell=[30, 15, 15], pbc=True)
    ways = [Ordering(np.array([n]), 0.0) for n in range(3)]
    found = by_potential(Structure(row), ways, LennardJones(sigma=3.0, epsilon=1.0, rc=12.0, smooth=False))
    assert int(found[0].leaving[0]) == 2 and found[0].energy == pytest.approx(-1.0, abs=0.01)


def test_half_charged_cobaltate_keeps_its_axes_and_is_ordered_in_rows(rng):
    """Li0.5CoO2: rows of Li (J. N. Reimers, J. R. Dahn, J. Electrochem. Soc. 139, 2091 (1992))."""
    crystal = phase("LiCoO2")
    made = delithiated(crystal, "50%", rng, repeat="2,1,1")
    assert np.allclose(made.structure.cell, crystal.cell * [[2], [1], [1]])
    i, j = neighbor_list("ij", made.structure.atoms, 3.0)
    li = made.structure.numbers == 3
    assert np.bincount(i[li[i] & li[j]], minlength=len(li))[li].tolist() == [2, 2, 2]
    assert made.structure.info["notes"][-1].endswith("mean valence of Co 3.50")
    assert contacts(made.structure, [crystal])[0].ratio > 0.99


def test_what_cannot_be_charged(rng):
    with pytest.raises(InputError, match="nothing gives electrons"):
        delithiated(phase("LiF"), "1", rng)
    with pytest.raises(InputError, match=r"mean valence of 5\.00"):
        delithiated(phase("Li2MnO3"), "50%", rng)
    with pytest.raises(InputError, match="different orderings"):
        delithiated(phase("LiFePO4"), "4", rng, rank=2)
