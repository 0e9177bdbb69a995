"""Chemistry and assemblies: counts, symmetry and geometry that crystallography prescribes."""

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list

from rhotem.core import InputError
from rhotem.structure.assemble import interface, layered_oxide, slab
from rhotem.structure.build import antisite, deintercalate, displaced, strained, substitute, vacancy
from rhotem.structure.check import check
from rhotem.structure.edits.sheets import sheets
from rhotem.structure.indices import symmetry
from rhotem.structure.model import Structure
from rhotem.structure.orient import orient
from rhotem.structure.phases import phase


def formula(structure):
    return structure.atoms.get_chemical_formula()


def test_half_charged_cobaltate_is_the_row_ordering_of_reimers_and_dahn():
    """Li0.5CoO2: Li in rows, monoclinic (J. N. Reimers, J. R. Dahn, J. Electrochem. Soc. 139, 2091 (1992))."""
    half = deintercalate(phase("LiCoO2", primitive=True), 0.5)
    assert formula(half) == "Co2LiO4"
    assert "monoclinic" in crystal_system(symmetry(half).number)
    # every Li has two Li neighbours in its layer at the lattice constant, four of the six sites around are empty
    i, j = neighbor_list("ij", half.atoms, 3.0)
    li = half.numbers == 3
    assert np.bincount(i[li[i] & li[j]], minlength=len(li))[li].tolist() == [2]


def crystal_system(number):
    limits = [2, 15, 74, 142, 167, 194, 230]
    names = ["triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic"]
    return names[int(np.searchsorted(limits, number))]


def test_charge_states_count():
    full = phase("LiFePO4")
    assert formula(deintercalate(full, 1.0)) == "Fe4O16P4"
    assert formula(deintercalate(full, 0.0)) == formula(full)
    assert formula(deintercalate(full, 0.25)) == "Fe4Li3O16P4"
    random = deintercalate(full, 0.5, rng=np.random.default_rng(1))
    assert formula(random) == "Fe4Li2O16P4"
    assert formula(deintercalate(phase("NaCoO2", primitive=True), 1 / 3)) == "Co3Na2O6"
    with pytest.raises(InputError, match="0 to 1"):
        deintercalate(full, 1.2)
    with pytest.raises(InputError, match="has no Mg"):
        deintercalate(full, 0.5, "Mg")


def test_random_choices_follow_the_generator():
    big = Structure(phase("LiNiO2").atoms.repeat((3, 3, 1)))
    first = substitute(big, "Ni", "Mn", 1 / 9, rng=np.random.default_rng(7))
    second = substitute(big, "Ni", "Mn", 1 / 9, rng=np.random.default_rng(7))
    assert np.array_equal(first.numbers, second.numbers)
    assert (first.numbers == 25).sum() == 3


def test_antisite_exchanges_neighbours_and_moments():
    structure = phase("LiNiO2")
    moments = np.where(structure.numbers == 28, 1.0, 0.0)
    mixed = antisite(Structure(structure.atoms, moments=moments), "Li", "Ni", 2)
    changed = np.flatnonzero(mixed.numbers != structure.numbers)
    assert len(changed) == 4 and formula(mixed) == formula(structure)
    assert np.array_equal(mixed.moments == 1.0, mixed.numbers == 28)
    with pytest.raises(InputError, match="with itself"):
        antisite(structure, "Li", "Li")


def test_vacancy():
    assert formula(vacancy(phase("LiCoO2"), "O", 1)) == "Co3Li3O5"
    with pytest.raises(InputError, match="there are 6"):
        vacancy(phase("LiCoO2"), "O", 7)


def test_strain_is_pure():
    structure = phase("SrTiO3")
    sheared = strained(structure, [[0.01, 0.02, 0], [0.02, 0, 0], [0, 0, -0.01]])
    gradient = np.linalg.solve(structure.cell, sheared.cell)
    assert np.allclose(gradient, gradient.T)
    assert np.allclose(sheared.atoms.get_scaled_positions(), structure.atoms.get_scaled_positions())
    assert sheared.volume / structure.volume == pytest.approx(np.linalg.det(gradient))
    with pytest.raises(InputError):
        strained(structure, [1, 2])


def test_displacements_have_the_variance_asked_for():
    big = Structure(bulk("Si", cubic=True).repeat(8))
    u = displaced(big, 0.006, np.random.default_rng(0)).positions - big.positions
    assert np.allclose((u**2).mean(axis=0), 0.006, rtol=0.05)  # 4096 atoms: sd of the mean is 2 %
    assert np.abs(displaced(big, 0.0, np.random.default_rng(0)).positions - big.positions).max() == 0


@pytest.mark.parametrize("stacking, number", [("O1", 164), ("O3", 166), ("P2", 194), ("P3", 160)])
def test_stackings_have_delmas_symmetry(stacking, number):
    made = layered_oxide("Co", "Na", stacking, a=2.85, slab=2.0, gap=3.4)
    assert symmetry(made).number == number
    assert check(made) == ()
    i, j = neighbor_list("ij", made.atoms, 2.6)
    z = made.numbers
    around_co = np.bincount(i[(z[i] == 27) & (z[j] == 8)], minlength=len(z))[z == 27]
    around_na = np.bincount(i[(z[i] == 11) & (z[j] == 8)], minlength=len(z))[z == 11]
    assert set(around_co) == {6} and set(around_na) == {6}
    # octahedral: opposite oxygens at 180°; prismatic: none
    na = int(np.flatnonzero(z == 11)[0])
    vectors = neighbor_list("iD", made.atoms, 2.6)
    bonds = vectors[1][(vectors[0] == na)]
    bonds = bonds / np.linalg.norm(bonds, axis=1)[:, None]
    assert (np.isclose((bonds @ bonds.T).min(), -1.0, atol=1e-6)) == (stacking[0] == "O")


def test_o3_stacking_is_the_phase():
    known = phase("LiCoO2")
    c, z = 14.0536, 0.2397
    made = layered_oxide("Co", "Li", "O3", 2.8161, slab=2 * (z - 1 / 6) * c, gap=2 * (1 / 3 - z) * c)
    for structure in (known, made):
        assert symmetry(structure).number == 166
    ours = np.sort(neighbor_list("d", made.atoms, 5.0))
    assert np.allclose(ours, np.sort(neighbor_list("d", known.atoms, 5.0)), atol=1e-6)


def test_rocksalt_100_is_not_polar_and_111_is():
    salt = Structure(bulk("NaCl", "rocksalt", a=5.64))
    flat = slab(salt, (1, 0, 0), 10.0, 12.0)
    assert not flat.info["polar"]
    assert np.allclose(flat.cell[2, :2], 0)
    # every layer holds as many Na as Cl, 2.82 Å apart
    heights, counts = np.unique(np.round(flat.positions[:, 2], 3), return_counts=True)
    assert np.allclose(np.diff(heights), 2.82, atol=1e-3) and set(counts) == {2}
    assert slab(salt, (1, 1, 1), 10.0).info["polar"]
    assert "dipole" in slab(salt, (1, 1, 1), 10.0).info["notes"][0]


@pytest.mark.parametrize("plane", [(1, 0, 4), (0, 0, 3), (1, 1, 0), (0, 1, -1, 2)])
def test_slabs_are_the_crystal_inside(plane):
    """Bulk coordination in the middle, composition kept, empty layer as thick as asked for."""
    bulk_crystal = phase("LiCoO2")
    made = slab(bulk_crystal, plane, 18.0, 10.0)
    counts = made.atoms.symbols.formula.count()
    assert counts["Li"] == counts["Co"] and counts["O"] == 2 * counts["Co"]
    middle = made.positions[:, 2].mean()
    co = [i for i in range(len(made)) if made.numbers[i] == 27]
    inner = min(co, key=lambda i: abs(made.positions[i, 2] - middle))
    i, d = neighbor_list("id", made.atoms, 4.5)
    k, e = neighbor_list("id", bulk_crystal.atoms, 4.5)
    cobalt = int(np.flatnonzero(bulk_crystal.numbers == 27)[0])
    assert np.allclose(np.sort(d[i == inner]), np.sort(e[k == cobalt]), atol=1e-6)
    z = np.sort(made.positions[:, 2])
    empty = made.cell[2, 2] - (z[-1] - z[0])
    assert 10.0 <= empty < 10.0 + 5.0
    # lateral vectors are lattice vectors of the crystal: their area holds whole atoms per layer
    assert np.allclose(made.cell[:2, 2], 0) and np.allclose(made.cell[2, :2], 0)
    filled = np.linalg.det(made.cell[:2, :2]) * (made.cell[2, 2] - 10.0)
    assert filled / len(made) == pytest.approx(bulk_crystal.volume / len(bulk_crystal))


def test_lco_104_is_the_nonpolar_surface():
    """(104) of LiCoO2 is type 1, (003) is polar (D. Kramer, G. Ceder, Chem. Mater. 21, 3799 (2009))."""
    assert not slab(phase("LiCoO2"), (1, 0, 4), 10.0).info["polar"]
    assert slab(phase("LiCoO2"), (0, 0, 3), 10.0).info["polar"]


def test_interface_stacks_two_orientations():
    one = orient(phase("SrTiO3"), (0, 0, 1))
    two = orient(phase("SrTiO3"), (0, 0, 1), up=(1, 1, 0))
    cell = interface(one, two, (8.0, 8.0), max_strain=0.03)
    assert np.allclose(cell.structure.cell, np.diag(cell.lengths))
    assert "repeats along x" in cell.structure.info["notes"][0]
    same = interface(one, one, (8.0, 8.0))
    assert len(same.structure) == 2 * 3 * len(one.structure)  # the crystal itself again, nothing merged
    assert symmetry(same.structure).number == 221
    with pytest.raises(InputError, match="do not match"):
        interface(one, two, max_strain=0.0001)


@pytest.mark.parametrize(
    "made",
    [
        phase("NMC811"),
        deintercalate(phase("LiCoO2", primitive=True), 0.5),
        vacancy(Structure(phase("LiCoO2").atoms.repeat((2, 2, 1))), "Li"),
        strained(phase("LiNiO2"), [0.01, 0, 0]),
    ],
)
def test_directions_keep_the_names_of_the_parent(made):
    """[100] of a derived crystal is the hexagonal [100] of the layered oxide: oxygen planes lie edge-on."""
    cell = orient(made, (1, 0, 0), up=(0, 0, 1))
    assert cell.labels["zone"] == "[100]" and cell.space_group == "R-3m"
    heights = np.sort(cell.structure.positions[cell.structure.numbers == 8][:, 1])
    steps = np.diff(heights)
    steps = steps[steps > 0.2]
    assert 1.9 < steps.min() < 2.2 and 2.5 < steps.max() < 2.8
    # and once more after turning: the names turn with the crystal
    again = orient(cell.crystal, (1, 0, 0), up=(0, 0, 1))
    assert np.allclose(again.lengths, cell.lengths)


DOUBLED = """
from rhotem.structure.edits.table import Edit
from rhotem.structure.edits.strain import strained
from rhotem.structure.edits.table import number

EDIT = Edit("swell", 65, "0.01", "Let it swell.", lambda s, text, chance: strained(s, [number(text)] * 3))
"""


def test_an_edit_is_one_file(tmp_path, monkeypatch):
    """The command and the recipes of labels know it from there alone."""
    import typer
    from typer.testing import CliRunner

    from rhotem.cli.structure import _with_edits, build
    from rhotem.labels.recipes import Recipe
    from rhotem.structure import edits
    from rhotem.structure.read import read_structure

    (tmp_path / "swelling.py").write_text(DOUBLED)
    monkeypatch.setattr(edits, "__path__", [*edits.__path__, str(tmp_path)])
    plain, swollen = Recipe(prototype="rocksalt").build(), Recipe(prototype="rocksalt", edits={"swell": 0.1}).build()
    assert swollen.volume == pytest.approx(1.331 * plain.volume, rel=1e-12)
    assert swollen.info["recipe"]["edits"] == {"swell": 0.1}
    app = typer.Typer()
    app.command()(_with_edits(build))
    result = CliRunner().invoke(app, ["LiF", "-o", str(tmp_path / "a.cif"), "--swell", "0.1"])
    assert result.exit_code == 0, result.output
    assert read_structure(tmp_path / "a.cif").volume == pytest.approx(1.331 * phase("LiF").volume, rel=1e-5)


def test_recipes_take_every_edit_and_refuse_unknown_ones():
    from rhotem.labels.recipes import Recipe

    mixed = Recipe(prototype="o3", supercell=(3, 3, 1), edits={"antisite": "Li:Co", "strain": [0.01, 0.0, 0.0]}, seed=3)
    atoms = mixed.build().atoms
    assert (
        atoms.get_chemical_formula() == Recipe(prototype="o3", supercell=(3, 3, 1)).build().atoms.get_chemical_formula()
    )
    assert mixed.build().info["ordering"] != Recipe(prototype="o3", supercell=(3, 3, 1)).build().info["ordering"]
    assert np.array_equal(atoms.positions, mixed.build().atoms.positions)
    with pytest.raises(InputError, match="edit twist: there is none"):
        Recipe(prototype="o3", edits={"twist": "1"}).build()


def test_percentages_are_whole_atoms():
    from rhotem.structure.edits import Chance, apply

    chance = Chance(np.random.default_rng(0))
    crystal = phase("LiCoO2")
    assert formula(apply(crystal, {"vacancy": "O:50%"}, chance)) == "Co3Li3O3"
    assert formula(apply(crystal, {"vacancy": "Li:33.3%"}, chance)) == "Co3Li2O6"
    mixed = apply(crystal, {"antisite": "Li:Co:66.7%"}, chance)
    assert (mixed.numbers != crystal.numbers).sum() == 4
    for value, said in (("O:10%", r"is 0\.6 atoms"), ("O:120%", "up to 100"), ("O:x%", "not a number")):
        with pytest.raises(InputError, match=said):
            apply(crystal, {"vacancy": value}, chance)


@pytest.mark.parametrize(
    "name, count, atoms, spread", [("MoS2", 1, 3, 3.17), ("hBN", 2, 4, 3.33), ("graphite", 3, 6, 6.71)]
)
def test_sheets_are_whole_and_as_many_as_asked_for(name, count, atoms, spread):
    """Atoms of so many layers of the crystal, the distances of neighbours as there, vacuum as asked."""
    crystal = phase(name)
    made = sheets(crystal, count, 12.0)
    assert len(made) == atoms and check(made) == ()
    assert np.ptp(made.positions[:, 2]) == pytest.approx(spread, abs=0.02)
    assert made.cell[2, 2] == pytest.approx(np.ptp(made.positions[:, 2]) + 12.0)
    assert made.cell[2, :2] == pytest.approx([0, 0])
    nearest = [neighbor_list("d", one.atoms, 2.6).min() for one in (crystal, made)]
    assert nearest[0] == pytest.approx(nearest[1], abs=1e-6)


def test_a_sheet_is_whole_wherever_the_cell_begins():
    """MoS2 moved along its third vector, so that the border of the cell cuts a sheet."""
    crystal = phase("MoS2")
    for shift in np.linspace(0, 1, 7):
        moved = crystal.atoms.copy()
        moved.positions += shift * moved.cell.array[2]
        moved.wrap()
        assert formula(sheets(Structure(moved), 1)) == "MoS2"


def test_sheets_are_refused_where_bonds_go_across():
    with pytest.raises(InputError, match="hold LiCoO2 together along its third vector"):
        sheets(phase("LiCoO2"))
    with pytest.raises(InputError, match="expected a positive length"):
        sheets(phase("hBN"), 1, 0.0)


@pytest.mark.parametrize("count", [0, 1001])
def test_no_more_sheets_than_fit_a_microscope(count):
    """A mistyped number once filled hours and memory."""
    with pytest.raises(InputError, match="expected 1 to 1000"):
        sheets(phase("hBN"), count)
