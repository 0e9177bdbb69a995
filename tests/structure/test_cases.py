"""The cases of tests/data/structures: every file is read as `expected.csv` says, or refused in one line."""

import csv
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli import main
from rhotem.core import InputError
from rhotem.structure.read import read_structure

DATA = Path(__file__).parent.parent / "data" / "structures"
ROWS = {row["id"]: row for row in csv.DictReader((DATA / "expected.csv").open(encoding="utf-8"))}

#: Formula of the cell as read.
READ = {
    "A01": "Na4Cl4", "B02": "Li3Co3O6", "B04": "Li4F4", "C01": "Li4Fe4P4O16", "C04": "Li4H4", "D01": "Si8",
    "D02": "Li8Mn16O32", "D03": "Li4Fe4P4O16", "D04": "Na2Mn2O4", "D07": "LiCoO2", "D08": "Li4F4", "D10": "Mn4O4",
    "F01": "Li4F4", "G01": "Li4Fe4P4O16", "G02": "Li2Mn4O4", "G03": "Li4F4", "G05": "Li4F4", "H01": "Na2Co2O4",
    "I01": "Li4F4", "I02": "Li4F4", "I03": "Li4F4", "I04": "Li4F4", "I06": "Li4F4", "I08": "Li4F4", "I09": "NaOH2",
    "I10": "Li4H4", "I11": "Li4F4", "I12": "Li4F4", "J01": "SrTiO3", "J02": "SrTiO3", "J06": "LiF", "K01": "LiCoO",
    "K02": "LiO", "K03": "LiF", "L01": "Li", "L02": "Li", "F03": "Li", "L04": "LiH", "M01": "Li",
}  # fmt: skip
#: Words of the refusal.
REFUSED = {
    "A03": "types 1, 2 have no element names",
    "B01": "line 17, 'Co1 Co 0 0 0 Uani', has 6 values for the 5 columns",
    "C03": r"Li1 \(Li\) and Ni1 \(Ni\) are at one place, and no occupancies",
    "C05": r"3 of 12 sites are partly occupied \(Co 0.1 \+ Mn 0.1 \+ Ni 0.8\)",
    "C06": r"3 of 12 sites are partly occupied \(Co 0.3333 \+ Mn 0.3333 \+ Ni 0.3333\)",
    "C07": r"1 of 5 sites are partly occupied \(Sr 0.5\)",
    "C08": r"1 of 5 sites are partly occupied \(Ca 0.5 \+ Sr 0.5\)",
    "J04": "no three-dimensional cell.*--vacuum",
    "J05": "no three-dimensional cell.*--vacuum",
}
#: Formula of the ordered cell, for files with shared or half-empty sites.
ORDERED = {"C06": "Li3NiCoMnO6", "C07": "SrTi2O6", "C08": "SrCaTi2O6"}
#: Words that a remark must have.
REMARKED = {"I02": "H1", "C04": "D is read as H", "I10": "T is read as H", "K03": "VASP 4", "B04": "no group"}
#: Densities in g/cm³ by an independent reader (pymatgen, gemmi).
DENSITIES = {"A01": 2.16, "D01": 2.33, "D02": 4.28, "D03": 3.60, "D07": 5.06, "D08": 2.63}


def counts(formula: str) -> dict[str, int]:
    from ase.formula import Formula

    return Formula(formula).count()


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main.app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_every_row_has_its_test() -> None:
    assert set(ROWS) == set(READ) | set(REFUSED)
    assert all((DATA / row["file"]).exists() for row in ROWS.values())


@pytest.mark.parametrize("case", sorted(READ))
def test_read(case: str) -> None:
    structure = read_structure(DATA / ROWS[case]["file"])
    assert structure.atoms.symbols.formula.count() == counts(READ[case])
    if case in DENSITIES:
        density = structure.atoms.get_masses().sum() / structure.volume * 1.66053907
        assert density == pytest.approx(DENSITIES[case], abs=0.01)
    if case in REMARKED:
        assert any(REMARKED[case] in note for note in structure.info["notes"])


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_refused_in_one_line(case: str) -> None:
    with pytest.raises(InputError, match=REFUSED[case]) as caught:
        read_structure(DATA / ROWS[case]["file"])
    assert "\n" not in str(caught.value) and ROWS[case]["file"] in str(caught.value)


@pytest.mark.parametrize("case", sorted(ORDERED))
def test_ordered(case: str) -> None:
    structure = read_structure(DATA / ROWS[case]["file"], ordering="auto")
    assert structure.atoms.symbols.formula.count() == counts(ORDERED[case])


@pytest.mark.parametrize("case", ["C01", "C04"])
def test_nothing_to_order(case: str) -> None:
    structure = read_structure(DATA / ROWS[case]["file"], ordering="auto")
    assert structure.atoms.symbols.formula.count() == counts(READ[case])


def test_mixture_is_ordered_within_its_tolerance() -> None:
    read = read_structure(DATA / ROWS["C05"]["file"], ordering="auto").atoms.symbols.formula.count()
    metals = read["Ni"] + read["Co"] + read["Mn"]
    assert read["Li"] == metals and read["O"] == 2 * metals
    assert [read[e] / metals for e in ("Ni", "Co", "Mn")] == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_body_centred_setting_has_sodium_at_the_body_centre() -> None:
    """D04: Na at (0, ½, 0) and (½, 0, ½), not (½, 0, 0)."""
    atoms = read_structure(DATA / ROWS["D04"]["file"]).atoms
    places = atoms.get_scaled_positions()[atoms.symbols == "Na"]
    assert sorted(places.round(4).tolist()) == [[0.0, 0.5, 0.0], [0.5, 0.0, 0.5]]


def test_thirds_are_on_the_special_position() -> None:
    """H01: 0.33, 0.67 is (1/3, 2/3) exactly, and the symmetry found is that of the file."""
    import spglib

    structure = read_structure(DATA / ROWS["H01"]["file"])
    places = structure.atoms.get_scaled_positions()[structure.numbers == 11]
    assert np.allclose(sorted(places[:, 0]), [1 / 3, 2 / 3], atol=1e-9)
    data = spglib.get_symmetry_dataset(
        (structure.cell, structure.atoms.get_scaled_positions(), structure.numbers), 1e-5
    )
    assert data.number == 194


@pytest.mark.parametrize("kind", ["total", "valence", "deformation", "spin"])
def test_spin_density_file_converts_to_every_kind(tmp_path: Path, kind: str) -> None:
    """F03: a total moment line, or none, and no error behind it."""
    file = tmp_path / "x.npz"
    code, out, _ = run("density", DATA / "Li.vasp", "--source", DATA / ROWS["F03"]["file"], "-o", file, "--kind", kind)
    assert code == 0 and file.exists() and "total moment: +0.00" in out


def test_non_collinear_density_is_the_first_grid(tmp_path: Path) -> None:
    """L02: the density of the same file without magnetisation, and a warning; no spin density."""
    from rhotem.density.files import read_density

    one, four = (DATA / ROWS[case]["file"] for case in ("L01", "L02"))
    assert np.allclose(read_density(one).values, read_density(four).values)
    code, _, err = run("density", DATA / "Li.vasp", "--source", four, "-o", tmp_path / "x.npz")
    assert code == 0 and "not collinear" in err and (tmp_path / "x.npz").exists()
    code, _, err = run("density", DATA / "Li.vasp", "--source", four, "-o", tmp_path / "y.npz", "--kind", "spin")
    assert code == 2 and "no spin density" in err and not (tmp_path / "y.npz").exists()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["F03", "L01", "L02"])
def test_density_files_are_structure_and_source_of_every_command(tmp_path: Path, case: str) -> None:
    file = DATA / ROWS[case]["file"]
    quick = ["--phonons", "0", "-q", "--thickness", "1"]
    assert run("image", file, "--source", file, "--out", tmp_path / "o", "--detector", "BF=0-10", *quick)[0] == 0
    assert run("potential", file, "--source", file, "-o", tmp_path / "p.zarr", "--sampling", 0.3)[0] == 0
    assert run("compare", file, "--source", file, "--out", tmp_path / "c", *quick)[0] == 0
    assert (tmp_path / "o" / "record.json").exists() and (tmp_path / "c" / "record.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["J04", "J05"])
def test_vacuum_on_every_command(tmp_path: Path, case: str) -> None:
    file = DATA / ROWS[case]["file"]
    commands = {
        "image": ["--out", tmp_path / "o", "--phonons", "0", "--detector", "BF=0-10", "-q", "--source", "free-atoms"],
        "density": ["-o", tmp_path / "d.npz", "--spacing", "0.3", "--source", "free-atoms"],
        "potential": ["-o", tmp_path / "p.zarr", "--sampling", "0.3", "--source", "free-atoms"],
    }
    for command, options in commands.items():
        code, _, err = run(command, file, *options)
        assert code == 2 and "--vacuum" in err
        assert run(command, file, *options, "--vacuum", 3)[0] == 0
    code, out, _ = run("structure", "check", file, "--vacuum", 3)
    assert code == 0 and "Å³" in out
    assert run("structure", "orient", file, "--vacuum", 3, "-o", tmp_path / "x.vasp")[0] == 0
    assert run("structure", "build", file, "--vacuum", 3, "--repeat", "2,1,1", "-o", tmp_path / "y.vasp")[0] == 0


def test_errors_name_the_path_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """M01."""
    monkeypatch.chdir(tmp_path)
    for command in (["check"], ["orient"], ["build", "--repeat", "2,1,1"]):
        code, _, err = run("structure", command[0], DATA / "Li.vasp", *command[1:], "-o", "x.pdb")
        assert code == 2 and err.startswith("error: x.pdb: unknown ending") and "tmp" not in err
    assert not list(tmp_path.iterdir())


def test_sheets_have_the_vacuum_that_is_asked_for(tmp_path: Path) -> None:
    """``--vacuum`` is that of the sheets where they say none; two cuts at once are refused."""
    for options, said in ((["--sheets", 1, "--vacuum", 20], "20 Å"), (["--sheets", "1:9", "--vacuum", 20], "9 Å")):
        code, out, _ = run("structure", "build", "WS2", *options, "-o", tmp_path / "w.cif")
        assert code == 0 and f"1 sheet with {said} of vacuum" in out and "no vacuum is added" not in out
    code, _, err = run("structure", "build", "WS2", "--sheets", 1, "--slab", "0,0,1", "-o", tmp_path / "x.cif")
    assert code == 2 and "take one of them" in err and not (tmp_path / "x.cif").exists()
