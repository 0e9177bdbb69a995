"""Bad density files: one clear line each, naming the file, what was found and what to do."""

import gzip
from collections.abc import Callable
from pathlib import Path

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.density.files import File, read_density, write_density
from rhotem.density.files.counts import candidates, known_valences
from rhotem.structure.model import Structure

HEAD = "t\n1.0\n 4 0 0\n 0 4 0\n 0 0 4\n Li\n 1\nDirect\n 0 0 0\n\n 2 2 2\n"
VASP4 = "t\n1.0\n 4 0 0\n 0 4 0\n 0 0 4\n 1\nDirect\n 0 0 0\n\n 2 2 2\n 1 1 1 1 1\n 1 1 1\n"
CUBE = "t\nt\n{n} 0 0 0\n2 1 0 0\n2 0 1 0\n2 0 0 1\n3 3 0 0 0\n"
XSF = (
    "CRYSTAL\nPRIMVEC\n4 0 0\n0 4 0\n0 0 4\nPRIMCOORD\n1 1\nLi 0 0 0\nBEGIN_BLOCK_DATAGRID_3D\nx\nBEGIN_DATAGRID_3D_x\n"
    "2 2 2\n0 0 0\n4 0 0\n0 4 0\n0 0 4\n1 2 3 4 5 6 7 8\nEND_DATAGRID_3D\n"
)
TEXTS = {
    "empty": ("CHGCAR", "", "the file is empty"),
    "truncated": ("CHGCAR", HEAD + " 1 1 1 1 1\n 1 1\n", "7 readable numbers .*expected 8; the file is truncated"),
    "cut in the header": ("CHGCAR", HEAD[:20], "truncated"),
    "overflow stars": ("CHGCAR", HEAD + " 1 1 ******* 1 1\n 1 1 1\n", "truncated or damaged"),
    "not a number": ("CHGCAR", HEAD + " 1 1 NaN 1 1\n 1 1 1\n", "1 values that are not finite"),
    "VASP 4": ("CHGCAR", VASP4, "VASP 4 header.*no element symbols"),
    "unknown element": ("CHGCAR", HEAD.replace("Li", "Xx"), "'Xx' is no element symbol"),
    "flat cell": ("CHGCAR", HEAD.replace("0 0 4", "0 4 0"), "has no volume"),
    "no grid": ("CHGCAR", HEAD.replace(" 2 2 2", " a b c"), "expected three grid numbers"),
    "non-collinear": ("CHGCAR", HEAD + (" 1 1 1 1 1\n 1 1 1\n 2 2 2\n" * 4), "non-collinear|truncated"),
    "orbital cube": ("a.cube", CUBE.format(n=-1) + "1 1\n", "holds orbitals"),
    "truncated cube": ("a.cube", CUBE.format(n=1) + "1 1 1 1\n", "4 readable numbers .*expected 8"),
    "several cubes in one": ("a.cube", CUBE.format(n=1) + "1 1 1 1\n1 1 1 1\n2 2 2 2\n", "several data sets"),
    "grid numbers too small": ("CHGCAR", HEAD + " 1 1 1 1 1\n 1 1 1\n 1 1 1 1 1\n", "5 numbers behind the 2x2x2 grid"),
    "grid of nothing": ("CHGCAR", HEAD.replace(" 2 2 2", " 0 2 2"), "expected three grid numbers"),
    "compressed in name only": ("a.cube.gz", CUBE.format(n=1), "not compressed as its name says"),
    "xsf that is not periodic": ("a.xsf", XSF, "does not repeat the first"),
    "xsf without grid": ("a.xsf", XSF[:60], "no DATAGRID_3D|truncated"),
    "format": ("a.dat", "1 2 3", "unknown density format"),
    "not npz": ("a.npz", "hello", "cannot be read as npz"),
    "empty npz": ("a.npz", "", "the file is empty"),
    "damaged gz": ("CHGCAR.gz", "hello", "cannot be decompressed"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_damaged_file(tmp_path: Path, case: str) -> None:
    name, text, message = TEXTS[case]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_density(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_four_grids_are_non_collinear(tmp_path: Path) -> None:
    block = " 1 1 1 1 1\n 1 1 1\n"
    (tmp_path / "CHGCAR").write_text(HEAD + " 2 2 2\n".join([block] * 4))
    raw = read_density(tmp_path / "CHGCAR")
    assert raw.spin is None and "not collinear" in raw.known["notes"][0]
    (tmp_path / "CHGCAR").write_text(HEAD + " 2 2 2\n".join([block] * 3))
    with pytest.raises(InputError, match="3 grids"):
        read_density(tmp_path / "CHGCAR")


def test_truncated_gzip(tmp_path: Path) -> None:
    whole = gzip.compress((HEAD + " 1 1 1 1 1\n" * 4000).encode())
    (tmp_path / "CHGCAR.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cannot be decompressed|truncated"):
        read_density(tmp_path / "CHGCAR.gz")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_density(tmp_path / "CHGCAR")
    with pytest.raises(InputError, match="no such file"):
        read_density(tmp_path / "a.zarr")
    with pytest.raises(InputError, match="folder without AECCAR2 or CHGCAR"):
        File(tmp_path)
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(InputError, match="zarr"):
        read_density(tmp_path / "b.zarr")


def _npz(values: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        atoms = {"numbers": [3], "positions": np.zeros((1, 3)), "cell": np.eye(3) * 4}
        np.savez(folder / "a.npz", density=values, **atoms)
        return folder / "a.npz"

    return write


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_npz(np.full((4, 4, 4), np.nan)), "64 values that are not finite"),
        (_npz(np.ones((4, 4))), "expected 3 axes"),
        (_npz(-np.ones((4, 4, 4))), "-64.000 electrons, expected a positive density"),
        (_npz(np.full((4, 4, 4), 2.2 / 64)), "fits neither a valence nor the total .*Li=1.*--valence"),
    ],
)
def test_bad_arrays(tmp_path: Path, write: Callable[[Path], Path], message: str) -> None:
    structure = Structure(ase.Atoms("Li", cell=np.eye(3) * 4, pbc=True))
    with pytest.raises(InputError, match=message):
        File(write(tmp_path))(structure)


def test_bare_array_needs_a_structure(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 3, 3)))
    with pytest.raises(InputError, match="no cell and no atoms"):
        read_density(tmp_path / "a.npy")


@pytest.mark.parametrize(("name", "word"), [("LOCPOT", "potential"), ("PARCHG", "bands"), ("AECCAR1", "no bonding")])
def test_files_that_are_no_density(tmp_path: Path, name: str, word: str) -> None:
    (tmp_path / name).write_text(HEAD + " 1 1 1 1 1\n 1 1 1\n")
    raw = read_density(tmp_path / name)
    assert raw.values[0, 0, 0] == pytest.approx(1.0 if name == "LOCPOT" else 1 / 64)
    with pytest.raises(InputError, match=word):
        File(tmp_path / name)(raw.structure)


def test_options(tmp_path: Path) -> None:
    atoms = ase.Atoms("Li", cell=np.eye(3) * 4, pbc=True)
    with pytest.raises(InputError, match="kind 'rho'"):
        File(tmp_path / "CHGCAR", kind="rho")
    with pytest.raises(InputError, match="--valence Co: the structure has no Co"):
        candidates(Structure(atoms), {"Co": 9})


def test_writing_errors(tmp_path: Path) -> None:
    atoms = ase.Atoms("Li", cell=np.eye(3) * 4, pbc=True)
    field = DensityField("valence", Structure(atoms), PeriodicGrid(atoms.cell.array, (2, 2, 2)), np.ones((2, 2, 2)))
    with pytest.raises(InputError, match="unknown density format"):
        write_density(field, tmp_path / "a.dat")
    with pytest.raises(InputError, match="cannot be written"):
        write_density(field, tmp_path / "missing" / "a.cube")
    with pytest.raises(InputError, match="no spin density"):
        write_density(field, tmp_path / "a.cube", kind="spin")
    with pytest.raises(InputError, match="GPAW files cannot be written"):
        write_density(field, tmp_path / "a.gpw")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("z", "valences"),
    [(3, {1, 3}), (11, {1, 7, 9}), (8, {6}), (25, {7, 13, 15}), (27, {9, 15, 17}), (28, {10, 16}), (26, {8, 14, 16})],
)
def test_known_valences_of_battery_elements(z: int, valences: set[int]) -> None:
    """ZVAL of VASP's PBE sets (Materials Project: Li_sv 3, Na_pv 7, Mn_pv 13, Fe_pv 14, Co 9, Ni_pv 16, O 6)."""
    assert valences <= set(known_valences(z))


def test_moments_between_grids_are_no_error(tmp_path: Path) -> None:
    """VASP writes the atoms' moments before the second grid, with or without augmentation occupancies."""
    block = " 1 1 1 1 1\n 1 1 1\n"
    for between in ("", "augmentation occupancies   1  2\n 0.1 0.2\n"):
        (tmp_path / "CHGCAR").write_text(HEAD + block + between + " 0.5\n 2 2 2\n" + block + between)
        assert read_density(tmp_path / "CHGCAR").spin is not None


def test_second_grid_of_an_xsf_is_remarked(tmp_path: Path) -> None:
    ones = "1 1 1 1 1 1 1 1\nEND_DATAGRID_3D\n"
    first = XSF.replace("1 2 3 4 5 6 7 8\nEND_DATAGRID_3D\n", ones)
    (tmp_path / "a.xsf").write_text(first + "BEGIN_DATAGRID_3D_down\n2 2 2\n0 0 0\n4 0 0\n0 4 0\n0 0 4\n" + ones)
    assert "first of 2 data grids" in read_density(tmp_path / "a.xsf").known["notes"][0]


def test_content_decides_what_is_compressed(tmp_path: Path) -> None:
    text = HEAD + " 1 1 1 1 1\n 1 1 1\n"
    (tmp_path / "CHGCAR").write_bytes(gzip.compress(text.encode()))
    assert read_density(tmp_path / "CHGCAR").electrons == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"positions": np.zeros((2, 3))}, r"positions of shape \(2, 3\) for 1 atoms"),
        ({"numbers": np.array([3.5])}, "no whole numbers"),
        ({"cell": np.array([4.0, 4, 4, 90, 90, 90])}, "cell of shape"),
        ({"cell": np.diag([4.0, 4.0, 0.0])}, "cell of shape"),
    ],
)
def test_npz_that_contradicts_itself(tmp_path: Path, change: dict, words: str) -> None:
    arrays = {
        "density": np.ones((2, 2, 2)),
        "numbers": np.array([3]),
        "positions": np.zeros((1, 3)),
        "cell": 4 * np.eye(3),
    }
    np.savez(tmp_path / "a.npz", **(arrays | change))
    with pytest.raises(InputError, match=words) as caught:
        read_density(tmp_path / "a.npz")
    assert "a.npz" in str(caught.value)
    np.savez(tmp_path / "b.npz", **(arrays | {"numbers": np.array(["Li"])}))
    assert read_density(tmp_path / "b.npz").structure.numbers.tolist() == [3]
