import numpy as np
import pytest
import spglib

from rhotem.core import InputError
from rhotem.labels.recipes import Interface, Phase, Recipe, Slab, ordering_key
from rhotem.labels.sampler import FAMILIES, electrons, sample
from rhotem.structure.phases import reference_compound as ideal
from rhotem.structure.phases import structure_types

#: Cation–anion distances (Å) of the reference compounds as published; a wrong coordinate changes them.
BONDS = {
    "olivine": {"P-O": (1.50, 1.58), "Fe-O": (2.02, 2.30), "Li-O": (2.05, 2.25)},
    "heterosite": {"P-O": (1.48, 1.58), "Fe-O": (1.85, 2.2)},
    "spinel": {"Mn-O": (1.93, 1.99), "Li-O": (1.93, 2.0)},
    "o3": {"Co-O": (1.90, 1.94), "Li-O": (2.06, 2.12)},
    "p2": {"Co-O": (1.88, 1.98), "Na-O": (2.3, 2.5)},
    "o2": {"Co-O": (1.85, 1.97), "Li-O": (2.0, 2.2)},
    "rocksalt": {"Li-F": (2.00, 2.02)},
    "antifluorite": {"Li-O": (1.99, 2.01)},
    "li2co3": {"C-O": (1.25, 1.33), "Li-O": (1.85, 2.2)},
    "lioh": {"O-H": (0.94, 1.0), "Li-O": (1.93, 2.0)},
    "li2o2": {"O-O": (1.50, 1.60)},
    "na2o2": {"O-O": (1.45, 1.55)},
    "lipf6": {"P-F": (1.49, 1.65)},
    "graphite": {"C-C": (1.41, 1.43)},
    "lic6": {"C-C": (1.42, 1.45)},
    "quartz": {"Si-O": (1.59, 1.62)},
    "berlinite": {"P-O": (1.50, 1.56), "Fe-O": (1.82, 1.88)},
    "li3po4-beta": {"P-O": (1.52, 1.57), "Li-O": (1.85, 2.05)},
    "li2msio4": {"Si-O": (1.56, 1.68), "Mn-O": (1.95, 2.1)},
    "corundum": {"Al-O": (1.84, 1.88)},
    "rutile": {"Ti-O": (1.94, 1.96)},
    "anatase": {"Ti-O": (1.92, 1.95)},
    "vf3": {"Fe-F": (1.90, 1.95)},
    "li3n": {"Li-N": (1.92, 1.96)},
    "gamma-lialo2": {"Al-O": (1.74, 1.79), "Li-O": (1.9, 2.1)},
    "li2mo3": {"Mn-O": (1.85, 1.95), "Li-O": (1.95, 2.2)},
    # International Tables C 9.5 and 9.6, and the structure papers
    "hbn": {"B-N": (1.44, 1.46)},
    "mos2-2h": {"Mo-S": (2.40, 2.43)},
    "mos2-1h": {"Mo-S": (2.39, 2.43)},
    "cdi2": {"Cd-I": (2.97, 3.00)},
    "litharge": {"Pb-O": (2.30, 2.33)},
    "libo2": {"B-O": (1.46, 1.50), "Li-O": (1.94, 1.98)},
    "scheelite": {"W-O": (1.77, 1.80), "Ca-O": (2.43, 2.48)},
    "na2wo4": {"W-O": (1.76, 1.80)},
    "k2ptcl6": {"Pt-Cl": (2.31, 2.36)},
    "li3incl6": {"In-Cl": (2.48, 2.55), "Li-Cl": (2.5, 2.7)},
    "na3sbs4": {"Sb-S": (2.30, 2.35)},
    "argyrodite": {"P-S": (2.03, 2.08), "Li-S": (2.25, 2.5)},
    "arsenic": {"As-As": (2.50, 2.53)},
    "selenium": {"Se-Se": (2.35, 2.39)},
    "tellurium": {"Te-Te": (2.82, 2.86)},
    "iodine": {"I-I": (2.69, 2.74)},
    "gallium": {"Ga-Ga": (2.44, 2.50)},
    "boron": {"B-B": (1.65, 1.72)},
    "h2o-molecule": {"O-H": (0.955, 0.96)},
    "n2-molecule": {"N-N": (1.095, 1.10)},
    "o2-molecule": {"O-O": (1.205, 1.21)},
}


@pytest.mark.parametrize("name", sorted(n for n, p in structure_types().items() if p.family != "molecule"))
def test_prototypes_have_the_space_group_they_claim(name):
    atoms = ideal(name)
    text = spglib.get_spacegroup((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), 1e-3)
    found = int(text.split("(")[1].rstrip(")"))
    assert found == structure_types()[name].group


@pytest.mark.parametrize("name", sorted(BONDS))
def test_prototypes_have_published_bond_lengths(name):
    from ase.neighborlist import neighbor_list

    atoms = ideal(name)
    i, j, d = neighbor_list("ijd", atoms, 3.0)
    symbols = np.array(atoms.get_chemical_symbols())
    for pair, (low, high) in BONDS[name].items():
        a, b = pair.split("-")
        shortest = d[(symbols[i] == a) & (symbols[j] == b)].min()
        assert low < shortest < high, pair


@pytest.mark.parametrize("a", [4.9, 5.08, 5.411, 6.058, 6.2, 6.482])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_planes_of_a_slab_are_full(a, layers):
    """Every (110) plane of zincblende has one atom of each kind, whatever the lattice constant rounds to."""
    slab = Recipe(prototype="zincblende", cell=(a, a, a, 90, 90, 90), slab={"miller": (1, 1, 0), "layers": layers})
    atoms = slab.build().atoms
    heights, counts = np.unique(atoms.positions[:, 2].round(3), return_counts=True)
    assert counts.tolist() == [2] * (2 * layers)
    assert np.ptp(heights) == pytest.approx((2 * layers - 1) * a / 8**0.5, abs=1e-2)
    assert atoms.cell[2, 2] == pytest.approx(np.ptp(heights) + 8.0, abs=1e-2)


def test_ordering_is_that_of_the_arrangement():
    key = ordering_key(ideal("o3"))
    assert key == ordering_key(ideal("o3", primitive=False))
    assert key == ordering_key(ideal("o3").repeat((2, 1, 1)))
    assert key != ordering_key(ideal("p2"))
    rattled = Recipe(prototype="o3", rattle=0.05, strain=0.02, seed=1).build()
    assert rattled.info["ordering"] == Recipe(prototype="o3").build().info["ordering"]


def test_the_prototypes_own_cell_changes_nothing():
    """Lattice parameters are of the conventional cell, also where they are those of the prototype."""
    for name in ("zintl-b32", "diamond", "o3", "bcc"):
        own = Recipe(prototype=name, cell=structure_types()[name].cell).build().atoms
        wider = Recipe(
            prototype=name,
            cell=(*(1.1 * a for a in structure_types()[name].cell[:3]), *structure_types()[name].cell[3:]),
        )
        assert own.get_volume() == pytest.approx(ideal(name).get_volume(), rel=1e-12)
        assert wider.build().atoms.get_volume() == pytest.approx(1.331 * own.get_volume(), rel=1e-9)


def test_decoration_vacancies_and_charge():
    recipe = Recipe(
        prototype="o3", supercell=(3, 1, 1), decorate={"Co": {"Ni": 1, "Mn": 1}}, remove={"Li": 2}, charge=1.0, seed=4
    )
    structure = recipe.build()
    assert structure.atoms.get_chemical_formula() == "CoLiMnNiO6"
    assert structure.charge == 1.0
    assert np.array_equal(structure.positions, recipe.build().positions)


def test_replaced_elements_change_the_lattice_as_measured():
    """Lattice constants of NaF and MgO against LiF; radii are good to 3 %."""
    lif = Recipe(prototype="rocksalt").build().volume ** (1 / 3)
    for replace, measured in (({"Li": "Na"}, 4.634), ({"Li": "Mg", "F": "O"}, 4.212)):
        other = Recipe(prototype="rocksalt", replace=replace).build().volume ** (1 / 3)
        assert other / lif == pytest.approx(measured / 4.026, rel=0.07)


@pytest.mark.parametrize(
    ("prototype", "miller", "atoms", "area"),
    [("rocksalt", (1, 0, 0), 8, 4.026**2 / 2), ("fcc", (1, 1, 1), 2, 4.05**2 * 3**0.5 / 4), ("o3", (1, 0, 4), 8, None)],
)
def test_slabs_are_smallest_cells_with_vacuum(prototype, miller, atoms, area):
    slab = Recipe(prototype=prototype, slab=Slab(miller=miller, layers=2, vacuum=9.0)).build()
    cell, z = slab.cell, slab.atoms.get_scaled_positions()[:, 2] * slab.cell[2, 2]
    assert len(slab) == atoms
    assert cell[2, 2] - np.ptp(z) == pytest.approx(9.0, abs=1e-6)
    if area:
        assert np.linalg.norm(np.cross(cell[0], cell[1])) == pytest.approx(area, rel=1e-6)


def salt_on_metal(**options):
    """Li2O(110) with two, Li(110) with three layers."""
    lower = Phase(prototype="antifluorite", miller=(1, 1, 0), layers=2)
    upper = Phase(prototype="bcc", cell=(3.44, 3.44, 3.44, 90, 90, 90), miller=(1, 1, 0), layers=3)
    return Recipe(prototype="interface", interface=Interface(lower=lower, upper=upper, max_strain=0.06), **options)


def test_an_interface_is_two_phases_with_matched_planes():
    """Li2O(110): a/√2 × a with one Li2O a layer; Li(110): a × √2 a with two atoms, strained to it."""
    structure = salt_on_metal().build()
    assert structure.atoms.get_chemical_formula() == "Li10O2"
    np.testing.assert_allclose(sorted(structure.atoms.cell.lengths())[:2], [4.619 / 2**0.5, 4.619], atol=1e-6)
    record = structure.info["interface"]
    np.testing.assert_allclose(record["strain_upper"], 4.619 / (2**0.5 * 3.44) - 1, atol=1e-6)
    np.testing.assert_allclose(record["strain_lower"], 0.0, atol=1e-9)
    assert structure.info["prototype"] == structure.info["family"] == "interface"


def test_distorted_interfaces_share_their_parent():
    from rhotem.labels.splits import parent_of

    ideal_one = salt_on_metal().build()
    copies = [salt_on_metal(rattle=0.03, strain=0.01, seed=seed).build() for seed in (1, 1, 2)]
    assert {parent_of(c.info) for c in copies} == {parent_of(ideal_one.info)}
    assert np.array_equal(copies[0].positions, copies[1].positions)
    assert not np.allclose(copies[0].positions, copies[2].positions)
    assert Recipe.model_validate(copies[2].info["recipe"]).build().positions == pytest.approx(copies[2].positions)


def test_interfaces_take_decoration_and_vacancies():
    structure = salt_on_metal(decorate={"O": {"S": 1}}, remove={"Li": 1}, seed=3).build()
    assert structure.atoms.get_chemical_formula() == "Li9OS"


@pytest.mark.parametrize(
    "wrong",
    [{"prototype": "o3", "interface": {}}, {"prototype": "interface"}, {"prototype": "interface", "scale": 1.1}],
)
def test_interface_recipes_that_contradict_themselves_are_refused(wrong):
    given = salt_on_metal().model_dump(exclude={"prototype"}) if "interface" in wrong or "scale" in wrong else {}
    with pytest.raises(ValueError, match="interface"):
        Recipe(**given | {k: v for k, v in wrong.items() if k != "interface"})


def test_recipes_without_interface_are_written_as_before():
    """Decided plans are found by a hash of this text."""
    text = Recipe(prototype="o3", seed=2).model_dump_json()
    assert "interface" not in text
    assert "interface" in salt_on_metal().model_dump_json()


def test_too_much_to_remove_is_refused():
    with pytest.raises(InputError, match="only 1 there"):
        Recipe(prototype="o3", remove={"Li": 2}).build()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_gives_sound_structures(family):
    from ase.neighborlist import neighbor_list

    drawn = list(sample(4, seed=1, families=[family], candidates=1))
    assert len(drawn) == 4
    for structure in drawn:
        d = neighbor_list("d", structure.atoms, 2.5)
        assert len(d) == 0 or d.min() > 0.7
        assert 5 < structure.volume / len(structure) < 90
        assert len(structure) <= 28
        assert electrons(structure) <= 200


def test_sampler_repeats_itself_and_avoids_what_is_known():
    first = [s.info["name"] for s in sample(5, seed=9, candidates=3)]
    assert first == [s.info["name"] for s in sample(5, seed=9, candidates=3)]
    known = list(sample(15, seed=9, candidates=1))
    assert first != [s.info["name"] for s in sample(5, seed=9, candidates=3, known=known[:3])]


def test_a_scoring_callable_decides():
    chosen = list(sample(3, seed=2, candidates=4, select=lambda structures, n: list(range(n))))
    largest = list(
        sample(3, seed=2, candidates=4, select=lambda s, n: sorted(range(len(s)), key=lambda i: -len(s[i]))[:n])
    )
    assert sum(map(len, largest)) > sum(map(len, chosen))
