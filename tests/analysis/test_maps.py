"""Maps: strain put in comes out, bond valences of sound crystals, profiles of known charges, refusals."""

import csv
import json
from dataclasses import replace

import ase
import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.analysis.maps.bond_valence import bond_length, bond_valence_sums
from rhotem.analysis.maps.make import Wanted, layers, make_maps, mean_height
from rhotem.analysis.maps.profiles import profile
from rhotem.analysis.maps.strain import atomic_strain
from rhotem.cli.maps import app
from rhotem.core import InputError, PeriodicGrid, RhoTEMError
from rhotem.core.units import EPS0
from rhotem.density.field import DensityField
from rhotem.structure.build import repeated
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase


def deformed(structure, gradient, shift=(0, 0, 0)):
    atoms = structure.atoms.copy()
    atoms.set_cell(structure.cell @ gradient.T, scale_atoms=True)
    atoms.positions += shift
    return Structure(atoms)


def test_a_strain_that_was_put_in_comes_out_and_a_rotation_is_none():
    crystal = phase("LiCoO2")
    gradient = np.array([[1.02, 0.01, 0.0], [0.0, 0.99, 0.005], [0.0, 0.0, 1.03]])
    turn = np.array([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    found = atomic_strain(deformed(repeated(crystal, 2, 2, 1), turn @ gradient, (0.3, -0.2, 0.1)), crystal)
    assert found.repeats == (2, 2, 1)
    wanted = np.broadcast_to(0.5 * (gradient.T @ gradient - np.eye(3)), (48, 3, 3))
    np.testing.assert_allclose(found.strain, wanted, atol=1e-9)
    np.testing.assert_allclose(found.volumetric, np.linalg.det(gradient) - 1)
    assert np.abs(found.displacement).max() < 1e-9  # all of it is the cell's
    rotated = atomic_strain(deformed(crystal, turn), crystal)
    assert np.abs(rotated.strain).max() < 1e-9 and np.abs(rotated.shear).max() < 1e-9


def test_a_moved_atom_is_found_and_strains_its_neighbours_only():
    crystal = repeated(phase("LiF"), 3, 3, 3)
    moved = crystal.atoms.copy()
    moved.positions[10] += (0.2, 0, 0)
    found = atomic_strain(Structure(moved), phase("LiF"))
    size = np.linalg.norm(found.displacement, axis=1)
    assert size.argmax() == 10 and size[10] == pytest.approx(0.2, abs=0.01)
    far = crystal.atoms.get_distances(10, range(len(crystal)), mic=True) > 4.3
    assert far.any() and found.shear[far].max() < 1e-3 < found.shear[~far].max()


def test_a_missing_atom_is_no_strain_and_an_interstitial_has_none():
    crystal = repeated(phase("LiF"), 2, 2, 2)
    atoms = crystal.atoms.copy()
    del atoms[5]
    atoms += ase.Atoms("H", [crystal.cell.sum(axis=0) / 8 + 0.25 * np.array([1, 1, 1])])
    found = atomic_strain(Structure(atoms), phase("LiF"))
    assert np.isnan(found.strain[-1]).all() and np.nanmax(np.abs(found.strain)) < 1e-6


@pytest.mark.parametrize(
    ("name", "valences"),
    [
        ("NiO", {"Ni": 2, "O": -2}),
        ("CoO", {"Co": 2, "O": -2}),
        ("LiF", {"Li": 1, "F": -1}),
        ("Li2O", {"Li": 1, "O": -2}),
        ("NaF", {"Na": 1, "F": -1}),
        ("SrTiO3", {"Sr": 2, "Ti": 4, "O": -2}),
        ("TiO2", {"Ti": 4, "O": -2}),
        ("LiFePO4", {"Li": 1, "Fe": 2, "P": 5, "O": -2}),
        ("FePO4", {"Fe": 3, "P": 5, "O": -2}),
        ("LiCoO2", {"Li": 1, "Co": 3, "O": -2}),
        ("Li2CO3", {"Li": 1, "C": 4, "O": -2}),
        ("Li3PO4", {"Li": 1, "P": 5, "O": -2}),
        ("Na3V2(PO4)3", {"Na": 1, "V": 3, "P": 5, "O": -2}),
    ],
)
def test_bond_valences_of_measured_crystals_are_their_valences(name, valences):
    crystal = phase(name)
    sums, symbols = bond_valence_sums(crystal), np.array(crystal.atoms.get_chemical_symbols())
    for element, valence in valences.items():
        assert sums[symbols == element].mean() == pytest.approx(valence, rel=0.15), element
    assert sums.sum() == pytest.approx(0.0, abs=1e-9)  # every bond counts for both


def test_bond_lengths_of_elements_agree_with_pymatgen():
    pymatgen = pytest.importorskip("pymatgen.core.bond_valence")
    from pymatgen.core import Element

    for one, two in (("Sn", "O"), ("Zn", "S"), ("In", "Cl")):
        (r1, c1), (r2, c2) = (
            (pymatgen.BV_PARAMS[Element(e)]["r"], pymatgen.BV_PARAMS[Element(e)]["c"]) for e in (one, two)
        )
        theirs = r1 + r2 - r1 * r2 * (np.sqrt(c1) - np.sqrt(c2)) ** 2 / (c1 * r1 + c2 * r2)
        assert bond_length(one, two) == pytest.approx(theirs)


def sheets(charge, apart, width=0.4):
    """Two sheets of electrons, ``charge`` e gained at one and lost at the other, Gaussian of σ ``width``, in 40 Å."""
    cell = np.diag([4.0, 5.0, 40.0])
    structure = Structure(ase.Atoms("Li2", [[0, 0, 10.0], [0, 0, 10.0 + apart]], cell=cell, pbc=True))
    grid = PeriodicGrid.from_spacing(cell, 0.2)
    z = np.arange(grid.shape[2]) * 40.0 / grid.shape[2]
    bell = [np.exp(-0.5 * ((z - at) / width) ** 2) / (width * np.sqrt(2 * np.pi)) for at in (10.0, 10.0 + apart)]
    values = np.broadcast_to(charge / 20.0 * (bell[0] - bell[1]), grid.shape).copy()
    return structure, DensityField("deformation", structure, grid, values)


def test_charged_sheets_are_a_capacitor():
    """Between two sheets ±σ the potential differs by σd/ε0 (1 − d/L) in a periodic cell of length L."""
    structure, field = sheets(0.1, 12.0)
    free = DensityField("deformation", structure, field.grid, np.zeros(field.grid.shape))
    with_sheets, without = (profile(structure, one, 2, 0.0) for one in (field, free))
    drop = with_sheets.potential - without.potential
    low, high = (np.argmin(np.abs(with_sheets.height - z)) for z in (10.0, 22.0))
    ideal = 0.1 / 20.0 / EPS0 * 12.0 * (1 - 12.0 / 40.0)
    assert drop[high] - drop[low] == pytest.approx(ideal, rel=0.06)  # less the width of the sheets
    middle = np.argmin(np.abs(with_sheets.height - 16.0))
    field_strength = np.gradient(drop, with_sheets.height)[middle]
    assert field_strength == pytest.approx(0.1 / 20.0 / EPS0 * (1 - 12.0 / 40.0), rel=1e-3)
    # electrons: 0.1 e gained at the first, lost at the second
    assert with_sheets.gained[middle] == pytest.approx(0.1, rel=1e-6)
    assert with_sheets.gained[-1] == pytest.approx(0.0, abs=1e-6)
    assert np.trapezoid(with_sheets.density[:middle], with_sheets.height[:middle]) == pytest.approx(0.1, rel=1e-3)


def test_smoothing_keeps_the_charge_and_a_spread_is_that_of_the_members():
    structure, field = sheets(0.1, 12.0)
    wide = profile(structure, field, 2, 1.0)
    assert wide.density.max() < profile(structure, field, 2, 0.0).density.max()
    middle = np.argmin(np.abs(wide.height - 16.0))
    assert wide.gained[middle] == pytest.approx(0.1, rel=1e-6)
    members = [replace(field, values=field.values * scale) for scale in (0.9, 1.0, 1.1)]
    found = profile(structure, field, 2, 0.0, members)
    none = DensityField("deformation", structure, field.grid, np.zeros(field.grid.shape))
    part = found.potential - profile(structure, none, 2, 0.0).potential
    np.testing.assert_allclose(found.potential_error, 0.1 * np.abs(part - part.mean()), atol=1e-9)


def test_layers_of_an_oxide():
    crystal = phase("LiCoO2")
    from rhotem.analysis.maps.make import height_of

    names = layers(height_of(crystal, 2), float(crystal.heights[2]))
    assert len(set(names)) == 12  # 3 x (Li, O, Co, O)
    symbols = np.array(crystal.atoms.get_chemical_symbols())
    assert all(len(set(symbols[np.array(names) == name])) == 1 for name in set(names))


def test_regions_come_by_height_and_one_around_the_cells_end_stays_there(tmp_path):
    assert mean_height(np.array([0.1, 9.8]), 10.0) == pytest.approx(9.95)
    assert mean_height(np.array([0.3, 9.9]), 10.0) == pytest.approx(0.1)
    assert mean_height(np.array([2.0, 3.0, 7.0]), 20.0) == pytest.approx(4.0)
    assert mean_height(np.array([4.0]), 10.0) == pytest.approx(4.0)
    out = tmp_path / "m"
    result = CliRunner().invoke(app, ["LiCoO2", "--of", "bond-valence", "--out", str(out)])
    assert result.exit_code == 0 and "bond valence  Co +" in result.output
    told = json.loads((out / "record.json").read_text())
    heights = [row["height_A"] for row in told["regions"]]
    assert heights == sorted(heights) and told["notes"] == []
    cobalt = [row["bond_valence"]["Co"] for row in told["regions"] if row["elements"].startswith("Co")]
    assert cobalt == pytest.approx([3.0] * 3, rel=0.15)
    with open(out / "regions.csv") as stream:
        assert {"bond_valence_Co", "bond_valence_Li", "bond_valence_O"} < set(next(csv.DictReader(stream)))


def test_bond_valences_of_a_metal_are_said_to_mean_nothing():
    made = make_maps(phase("Si"), Wanted(("bond-valence",)))
    assert not made.valence.any() and "Si: no neighbour" in made.notes[0]


def test_files_of_maps(tmp_path):
    out = tmp_path / "maps"
    arguments = ["LiF", "--reference", "LiF", "--source", "free-atoms", "--out", str(out), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert {"maps.png", "atoms.csv", "regions.csv", "profile.csv", "record.json"} == set(told["files"])
    with open(out / "atoms.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(phase("LiF")) and abs(float(rows[0]["volumetric"])) < 1e-9
    assert all(abs(float(row["hirshfeld_e"])) < 1e-12 for row in rows)  # free atoms have given nothing


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["LiF", "--of", "strain"], "--reference"),
        (["LiF", "--of", "colour"], "expected some of"),
        (["LiF", "--axis", "z"], "expected a, b or c"),
        (["LiF", "--of", "strain", "--reference", "LiCoO2"], "whole repeats"),
        (["LiF", "--of", "potential", "--smooth", "-1", "--source", "free-atoms"], "0 or more"),
    ],
)
def test_what_is_wrong_ends_in_one_line_and_leaves_nothing(tmp_path, arguments, line):
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "m")])
    assert isinstance(result.exception, RhoTEMError), result.output
    assert line in str(result.exception) and "\n" not in str(result.exception)
    assert not (tmp_path / "m").exists()


def test_elements_without_parameters_are_refused():
    odd = Structure(ase.Atoms("HeO", [[0, 0, 0], [0, 0, 2.0]], cell=np.eye(3) * 6, pbc=True))
    with pytest.raises(InputError, match="no parameters of He"):
        bond_valence_sums(odd)
    with pytest.raises(InputError, match="expected some"):
        make_maps(phase("LiF"), Wanted(kinds=()))
