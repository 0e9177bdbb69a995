"""Phases: space group, composition, density, bond lengths and bond valences are those of the literature."""

import json
import re
from importlib.resources import files

import numpy as np
import pytest
from ase.data import chemical_symbols
from ase.formula import Formula
from ase.neighborlist import neighbor_list

from rhotem.core import InputError
from rhotem.structure.check import check
from rhotem.structure.indices import symmetry
from rhotem.structure.phases import ALIASES, describe, is_phase, names, phase, structure_types

#: Space group number, formula, X-ray density in g/cm³ (handbooks, original papers).
KNOWN = {
    "LiCoO2": (166, "LiCoO2", 5.05),
    "LiNiO2": (166, "LiNiO2", 4.78),
    "NMC111": (None, "Li3NiMnCoO6", 4.77),
    "NMC622": (None, "Li5Ni3MnCoO10", 4.76),
    "NMC811": (None, "Li10Ni8MnCoO20", 4.78),
    "LiMn2O4": (227, "LiMn2O4", 4.28),
    "LiNi0.5Mn1.5O4": (212, "Li2NiMn3O8", 4.45),
    "LiFePO4": (62, "LiFePO4", 3.60),
    "FePO4": (62, "FePO4", 3.69),
    "Li2MnO3": (12, "Li2MnO3", 3.88),
    "Li4Ti5O12": (None, "Li4Ti5O12", 3.48),
    "Na3V2(PO4)3": (15, "Na3V2P3O12", 3.16),
    "NaCoO2": (166, "NaCoO2", 5.03),
    "graphite": (194, "C", 2.26),
    "LiC6": (191, "LiC6", 2.20),
    "Li7La3Zr2O12": (142, "Li7La3Zr2O12", 5.11),
    "Li3PO4": (62, "Li3PO4", 2.45),
    "Li2CO3": (15, "Li2CO3", 2.11),
    "LiF": (225, "LiF", 2.64),
    "Li2O": (225, "Li2O", 2.01),
    "Li": (229, "Li", 0.534),
    "Na": (229, "Na", 0.968),
    "Si": (227, "Si", 2.329),
    "NaF": (225, "NaF", 2.80),
    "TiO2": (136, "TiO2", 4.25),
    "hBN": (194, "BN", 2.28),
    "MoS2": (194, "MoS2", 5.0),
    "WS2": (194, "WS2", 7.73),
    "silicalite": (62, "SiO2", 1.79),
    "SrTiO3": (221, "SrTiO3", 5.12),
    "NiO": (225, "NiO", 6.81),
    "CoO": (225, "CoO", 6.44),
    "MnO": (225, "MnO", 5.36),
    "LiOH": (129, "LiOH", 1.46),
    "Li6PS5Cl": (216, "Li6PS5Cl", 1.86),
    "NaV2(PO4)3": (167, "NaV2P3O12", 3.09),
}

#: Sums of R. D. Shannon's radii (Acta Cryst. A 32, 751 (1976)) of divalent metals, high spin, and O2- in Å.
ROCKSALTS = {"NiO": 2.09, "CoO": 2.145, "MnO": 2.23}

#: Å; first coordination shells.
BONDS = {
    ("P", "O"): (1.50, 1.60),
    ("C", "O"): (1.25, 1.32),
    ("Co", "O"): (1.89, 1.98),
    ("Ni", "O"): (1.93, 2.10),
    ("Mn", "O"): (1.85, 2.0),
    ("Fe", "O"): (1.85, 2.27),
    ("Ti", "O"): (1.93, 2.02),
    ("V", "O"): (1.88, 2.08),
    ("Zr", "O"): (2.05, 2.15),
    ("La", "O"): (2.40, 2.70),
    ("Mo", "S"): (2.38, 2.44),
    ("W", "S"): (2.38, 2.44),
    ("Si", "O"): (1.56, 1.62),
    ("B", "N"): (1.43, 1.46),
    ("Si", "Si"): (2.35, 2.355),
    ("P", "S"): (2.0, 2.1),
    ("O", "H"): (0.89, 1.0),
}
#: Shortest distance only: their shells are wide.
NEAREST = {("Li", "O"): (1.86, 2.20), ("Na", "O"): (2.25, 2.50), ("Li", "F"): (2.0, 2.03), ("C", "C"): (1.41, 1.44)}

#: Bond-valence parameter R0 in Å, b = 0.37 Å: I. D. Brown, D. Altermatt, Acta Cryst. B 41, 244 (1985); formal charge.
VALENCE = {
    "Li": (1.466, 1),
    "P": (1.617, 5),
    "C": (1.390, 4),
    "Ti": (1.815, 4),
    "La": (2.172, 3),
    "Zr": (1.928, 4),
    "V": (1.743, 3),
    "Sr": (2.118, 2),
}
#: V4+ of the charged NASICON: R0 from the same source.
CHARGED = {"NaV2(PO4)3": {"V": (1.784, 4)}}


def test_the_list_is_complete():
    assert set(names()) == set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_symmetry_composition_density(name):
    number, formula, density = KNOWN[name]
    structure = phase(name)
    assert check(structure) == ()
    assert describe(name)["reference"] == structure.info["reference"]
    assert re.search(r"\((19|20)\d\d\)", structure.info["reference"])
    counts = structure.atoms.symbols.formula.count()
    wanted = Formula(formula).count()
    ratio = {el: counts[el] / wanted[el] for el in wanted}
    assert set(counts) == set(wanted) and len({round(r, 6) for r in ratio.values()}) == 1
    if number is not None:
        assert symmetry(structure).number == number
    mass = structure.atoms.get_masses().sum() * 1.66053907
    assert mass / structure.volume == pytest.approx(density, rel=0.01)


@pytest.mark.parametrize("name", KNOWN)
def test_bond_lengths(name):
    atoms = phase(name).atoms
    i, j, d = neighbor_list("ijd", atoms, 3.0)
    symbols = np.array(atoms.get_chemical_symbols())
    if name in ROCKSALTS:
        assert d[symbols[i] != symbols[j]].min() == pytest.approx(ROCKSALTS[name], abs=0.02)
        return
    for pairs, shell in ((BONDS, True), (NEAREST, False)):
        for (one, two), (low, high) in pairs.items():
            found = d[(symbols[i] == one) & (symbols[j] == two)]
            if len(found):
                assert low <= found.min() <= high, (one, two, found.min())
                if shell:  # nothing between the shell and the next one
                    assert not ((found > high) & (found < high + 0.15)).any(), (one, two)


@pytest.mark.parametrize("name", [n for n in KNOWN if "O" in Formula(KNOWN[n][1]).count()])
def test_bond_valences(name):
    """Sums of bond valences within 22 % of the formal charge: wrong coordinates miss by far more."""
    atoms = phase(name).atoms
    i, j, d = neighbor_list("ijd", atoms, 3.4)
    symbols = np.array(atoms.get_chemical_symbols())
    for element, (r0, charge) in {**VALENCE, **CHARGED.get(name, {})}.items():
        if name == "Li4Ti5O12" and element == "Li":
            continue  # on the sites of Ti: the average structure is too tight for it
        pairs = (symbols[i] == element) & (symbols[j] == "O")
        sums = np.bincount(i[pairs], np.exp((r0 - d[pairs]) / 0.37), minlength=len(atoms))[symbols == element]
        if len(sums):
            assert np.abs(sums / charge - 1).max() < 0.22 + 0.03 * (element == "Li"), (element, sums)


def test_ordered_choices_are_even():
    """NMC111: no two Mn4+ are nearest neighbours in a layer; the choice is the same every time."""
    atoms = phase("NMC111").atoms
    i, j = neighbor_list("ij", atoms, 3.0)
    mn = atoms.numbers == chemical_symbols.index("Mn")
    assert not (mn[i] & mn[j]).any()
    assert np.array_equal(phase("NMC111").positions, atoms.positions)
    assert "ordered" in phase("NMC811").info["notes"][0]


def test_primitive_cells():
    assert len(phase("LiCoO2", primitive=True)) == 4
    assert len(phase("Si", primitive=True)) == 2
    assert len(phase("LiMn2O4", primitive=True)) == 14


def test_names():
    assert phase("lfp").info["name"] == "LiFePO4"
    with pytest.raises(InputError, match=r"rhotem structure phase lists them$"):
        phase("unobtainium")
    with pytest.raises(InputError, match=r"did you mean LiCoO2"):
        phase("LiCoO3")


@pytest.mark.parametrize(
    "typed, name",
    [("NCM811", "NMC811"), ("nmc 811", "NMC811"), ("NMC-622", "NMC622"), ("LiCoO₂", "LiCoO2"), ("Li_2_O", "Li2O")],
)
def test_other_spellings_of_names(typed: str, name: str):
    assert describe(typed) == describe(name)
    assert is_phase(typed) and not is_phase("LiCO2")


def test_spellings_mean_one_phase_each():
    """Hyphens and case are left out: no two names may become one."""
    plain = [name.lower() for name in (*names(), *ALIASES)]
    assert len(set(plain)) == len(plain) and not any(mark in name for name in plain for mark in " -_")


def test_the_table_is_plain():
    table = json.loads(files("rhotem.structure").joinpath("phases.json").read_text("utf-8"))
    for entry in table.values():
        assert set(entry) <= {"title", "class", "spacegroup", "setting", "cell", "sites", "reference"}


def test_structure_types_are_phases_too():
    """Recipes of labels and commands know the same crystals; a type that was measured is the measured one."""
    types = structure_types()
    zinc_blende = phase("zincblende")
    assert zinc_blende.atoms.get_chemical_formula(empirical=True) == "SZn"
    assert phase("antifluorite").volume == pytest.approx(phase("Li2O").volume, rel=1e-12)
    assert types["lic6"].cell == tuple(describe("LiC6")["cell"])
    assert phase("LIC6").info["name"] == "LiC6"
    water = phase("h2o-molecule").atoms
    assert water.get_distance(0, 1) == pytest.approx(0.957, abs=1e-3)
    assert water.get_angle(1, 0, 2) == pytest.approx(104.5, abs=0.1)


def test_repeats_keep_the_axes_of_the_average():
    """NMC811 in 5 x 2 x 1 hexagonal cells: the composition exact, [001] and [100] those of the layered oxide."""
    made = phase("NMC811", repeats=(5, 2, 1))
    assert np.allclose(made.atoms.cell.cellpar(), [5 * 2.872, 2 * 2.872, 14.203, 90, 90, 120])
    assert made.atoms.symbols.formula.count() == {"Li": 30, "Ni": 24, "Mn": 3, "Co": 3, "O": 60}
    assert len(phase("LiCoO2", repeats=(2, 2, 1))) == 48
    with pytest.raises(InputError, match="take other repeats"):
        phase("NMC811", repeats=(1, 1, 1))
