"""Readers and writers against pymatgen's and ASE's, on VASP files and on files those codes write."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import ase
import numpy as np
import pytest
from ase.calculators.vasp import VaspChargeDensity
from ase.io.cube import read_cube, write_cube
from ase.io.xsf import read_xsf, write_xsf

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import BOHR
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.files import File, read_density, write_density
from rhotem.structure.model import Structure

DATA = Path(__file__).parents[1] / "data" / "vasp"
VASP = ["NaCl.CHGCAR.gz", "LiH-pbesol.CHGCAR.gz", "bcc-Li-nospin.CHGCAR.gz", "graphene.CHGCAR.gz"]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pymatgen", "ignore::DeprecationWarning")


@pytest.fixture
def field() -> DensityField:
    """A field without symmetry, on a triclinic cell, so that no axis can be confused with another."""
    cell = np.array([[3.0, 0.1, 0.2], [-0.7, 3.5, 0.3], [0.4, -0.6, 4.1]])
    atoms = ase.Atoms("OLiO", positions=[[0.3, 0.2, 0.1], [1.5, 1.0, 2.0], [2.0, 2.5, 3.0]], cell=cell, pbc=True)
    grid = PeriodicGrid(cell, (6, 7, 8))
    rng = np.random.default_rng(0)
    return DensityField("valence", Structure(atoms), grid, rng.random(grid.shape), source="test")


@pytest.mark.parametrize("name", VASP)
def test_chgcar_is_what_pymatgen_reads(name: str) -> None:
    from pymatgen.io.vasp import Chgcar

    theirs, ours = Chgcar.from_file(str(DATA / name)), read_density(DATA / name)
    np.testing.assert_allclose(ours.structure.cell, theirs.structure.lattice.matrix, atol=1e-10)
    np.testing.assert_array_equal(ours.structure.numbers, theirs.structure.atomic_numbers)
    np.testing.assert_allclose(ours.structure.positions, theirs.structure.cart_coords, atol=1e-10)
    np.testing.assert_allclose(ours.values * ours.grid.volume, theirs.data["total"], rtol=1e-12, atol=1e-14)
    assert (ours.spin is None) == ("diff" not in theirs.data)
    if ours.spin is not None:
        np.testing.assert_allclose(ours.spin * ours.grid.volume, theirs.data["diff"], rtol=1e-12, atol=1e-14)


def test_chgcar_is_what_ase_reads(tmp_path: Path) -> None:
    import gzip

    plain = tmp_path / "CHGCAR"
    plain.write_bytes(gzip.decompress((DATA / "NaCl.CHGCAR.gz").read_bytes()))
    theirs, ours = VaspChargeDensity(str(plain)), read_density(plain)
    np.testing.assert_allclose(ours.values, theirs.chg[0], rtol=1e-10)
    np.testing.assert_allclose(ours.structure.positions, theirs.atoms[0].positions, atol=1e-8)


def test_vasp_valence_grids_hold_their_electrons() -> None:
    expected = dict(zip(VASP, (8, 4, 1, 8), strict=True))
    assert {n: round(read_density(DATA / n).electrons, 4) for n in VASP} == expected


def test_cube_of_ase(tmp_path: Path, field: DensityField) -> None:
    with open(tmp_path / "a.cube", "w") as stream:
        write_cube(stream, field.structure.atoms, data=field.values * BOHR**3)
    ours = read_density(tmp_path / "a.cube")
    np.testing.assert_allclose(ours.grid.cell, field.grid.cell, atol=1e-5)
    np.testing.assert_allclose(ours.structure.positions, field.structure.positions, atol=1e-5)
    np.testing.assert_allclose(ours.values, field.values, rtol=1e-5)


def test_ase_reads_our_cube(tmp_path: Path, field: DensityField) -> None:
    write_density(field, tmp_path / "a.cube")
    with open(tmp_path / "a.cube") as stream:
        theirs = read_cube(stream)
    np.testing.assert_allclose(theirs["data"] / BOHR**3, field.values, rtol=1e-6)
    np.testing.assert_allclose(theirs["atoms"].cell.array, field.grid.cell, atol=1e-6)
    np.testing.assert_array_equal(theirs["atoms"].numbers, field.structure.numbers)


def test_xsf_of_ase_has_its_endpoint_dropped(tmp_path: Path, field: DensityField) -> None:
    with open(tmp_path / "a.xsf", "w") as stream:
        repeated = np.pad(field.values, [(0, 1)] * 3, mode="wrap")
        write_xsf(stream, [field.structure.atoms], repeated, origin=np.zeros(3), span_vectors=field.grid.cell)
    ours = read_density(tmp_path / "a.xsf")
    assert ours.grid.shape == field.grid.shape and ours.known["endpoint_dropped"]
    np.testing.assert_allclose(ours.values, field.values, atol=6e-7)


def test_xsf_that_ends_before_the_cell(tmp_path: Path, field: DensityField) -> None:
    shape = np.array(field.grid.shape)
    with open(tmp_path / "a.xsf", "w") as stream:
        span = field.grid.cell * ((shape - 1) / shape)[:, None]
        write_xsf(stream, [field.structure.atoms], field.values, origin=np.zeros(3), span_vectors=span)
    np.testing.assert_allclose(read_density(tmp_path / "a.xsf").values, field.values, atol=6e-7)


def test_ase_reads_our_xsf(tmp_path: Path, field: DensityField) -> None:
    write_density(field, tmp_path / "a.xsf")
    with open(tmp_path / "a.xsf") as stream:
        data, origin, span, atoms = read_xsf(stream, read_data=True)
    np.testing.assert_allclose(np.asarray(data)[:-1, :-1, :-1], field.values, rtol=1e-6)
    np.testing.assert_allclose(span, field.grid.cell, atol=1e-8)
    np.testing.assert_array_equal(origin, 0)
    np.testing.assert_array_equal(atoms.numbers, field.structure.numbers)


def test_pymatgen_reads_our_chgcar_with_spin(tmp_path: Path, field: DensityField) -> None:
    from pymatgen.io.vasp import Chgcar

    write_density(replace(field, spin=field.values - 0.5), tmp_path / "CHGCAR")
    theirs = Chgcar.from_file(str(tmp_path / "CHGCAR"))
    np.testing.assert_allclose(theirs.data["total"] / field.grid.volume, field.values, rtol=1e-9)
    np.testing.assert_allclose(theirs.data["diff"] / field.grid.volume, field.values - 0.5, rtol=1e-8)
    assert theirs.structure.formula.split() == ["Li1", "O2"]
    assert "no PAW occupancies" in (tmp_path / "CHGCAR").read_text().splitlines()[0]


@pytest.mark.parametrize("name", ["CHGCAR.gz", "a.cube.bz2", "a.xsf.xz", "a.npz", "a.zarr"])
def test_round_trip(tmp_path: Path, field: DensityField, name: str) -> None:
    write_density(field, tmp_path / name)
    back = read_density(tmp_path / name)
    np.testing.assert_allclose(back.values, field.values, rtol=1e-6)
    np.testing.assert_allclose(back.grid.cell, field.grid.cell, atol=1e-8)
    # VASP's layout groups atoms by element.
    order = np.argsort(field.structure.numbers, kind="stable") if "CHGCAR" in name else slice(None)
    np.testing.assert_allclose(back.structure.positions, field.structure.positions[order], atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.npz", "a.zarr"])
def test_own_formats_keep_everything(tmp_path: Path, field: DensityField, name: str) -> None:
    term = OneCentre(1, np.linspace(0, 0.8, 5), np.arange(20.0).reshape(4, 5))
    full = replace(
        field, kind="deformation", spin=field.values * 0.1, one_centre=(term,), reference="table x",
        structure=replace(field.structure, charge=-1.0), record={"a": 1},
    )  # fmt: skip
    write_density(full, tmp_path / name)
    back = read_density(tmp_path / name)
    assert back.content == "deformation" and back.structure.charge == -1.0
    assert back.known["reference"] == "table x" and back.known["record"] == {"a": 1}
    np.testing.assert_array_equal(back.values, full.values)
    np.testing.assert_array_equal(back.spin, full.spin)
    assert back.one_centre[0].atom == 1
    np.testing.assert_array_equal(back.one_centre[0].values, term.values)


@pytest.mark.parametrize("name", ["a.npz", "a.zarr"])
def test_a_spin_density_is_not_read_as_something_else(tmp_path: Path, field: DensityField, name: str) -> None:
    """Read as a deformation density it would give a potential, and a wrong one."""
    full = replace(field, kind="deformation", spin=field.values * 0.1)
    write_density(full, tmp_path / name, kind="spin")
    back = read_density(tmp_path / name)
    assert back.content == "spin" and back.spin is None
    np.testing.assert_array_equal(back.values, full.spin)
    with pytest.raises(InputError, match="holds a spin density"):
        File(tmp_path / name)(field.structure)


@pytest.mark.parametrize("name", ["a.cube", "a.xsf", "CHGCAR"])
def test_text_files_say_that_they_hold_spin(tmp_path: Path, field: DensityField, name: str) -> None:
    write_density(replace(field, kind="deformation", spin=field.values * 0.1), tmp_path / name, kind="spin")
    head = " ".join((tmp_path / name).read_text().splitlines()[:2])
    assert "spin" in head and "deformation" not in head


def test_zarr_is_format_2_and_chunked(tmp_path: Path, field: DensityField) -> None:
    write_density(field, tmp_path / "a.zarr")
    header = json.loads((tmp_path / "a.zarr" / "values" / ".zarray").read_text())
    assert header["zarr_format"] == 2 and header["shape"] == list(field.grid.shape)


def test_label_npz(tmp_path: Path, field: DensityField) -> None:
    s = field.structure
    np.savez_compressed(
        tmp_path / "00001.npz",
        numbers=s.numbers, positions=s.positions, cell=s.cell, deformation=field.values.astype(np.float16),
        magnetization=field.values.astype(np.float16), charge=1.0, meta=json.dumps({"energy": -1.0}),
    )  # fmt: skip
    raw = read_density(tmp_path / "00001.npz")
    assert raw.content == "deformation" and raw.structure.charge == 1.0 and raw.values.dtype == np.float32
    np.testing.assert_array_equal(raw.spin, field.values.astype(np.float16))


def test_cube_origin_is_moved_to_the_cell(tmp_path: Path, field: DensityField) -> None:
    """A band-limited function sampled from half a voxel on is the same function."""
    grid = field.grid
    fractions = np.stack(np.meshgrid(*[np.arange(n) / n for n in grid.shape], indexing="ij"), -1)
    wave = lambda f: 1.0 + 0.3 * np.cos(2 * np.pi * (f @ [1, -2, 1])) + 0.2 * np.sin(2 * np.pi * (f @ [0, 1, 2]))  # noqa: E731
    half = 0.5 / np.array(grid.shape)
    with open(tmp_path / "a.cube", "w") as stream:
        write_cube(stream, field.structure.atoms, data=wave(fractions + half) * BOHR**3, origin=half @ grid.cell)
    np.testing.assert_allclose(read_density(tmp_path / "a.cube").values, wave(fractions), atol=1e-5)


def test_cube_with_repeated_planes(tmp_path: Path, field: DensityField) -> None:
    """Endpoint included: noticed when the cell asked for is the smaller one, or on request."""
    full = np.pad(field.values, [(0, 1)] * 3, mode="wrap")
    cell = field.grid.cell * ((np.array(full.shape) / np.array(field.grid.shape))[:, None])
    atoms = ase.Atoms(field.structure.atoms.symbols, positions=field.structure.positions, cell=cell, pbc=True)
    with open(tmp_path / "a.cube", "w") as stream:
        write_cube(stream, atoms, data=full * BOHR**3)
    for raw in (read_density(tmp_path / "a.cube", field.structure), read_density(tmp_path / "a.cube", endpoint=True)):
        assert raw.grid.shape == field.grid.shape
        np.testing.assert_allclose(raw.values, field.values, rtol=1e-5)
    assert read_density(tmp_path / "a.cube").grid.shape == full.shape


def test_fortran_exponents_and_cartesian_positions(tmp_path: Path) -> None:
    """Fortran writes 0.1-102 for three-digit exponents; POSCAR positions may be Cartesian, scaled by line 2."""
    numbers = "0.1D+01 0.2E+01 0.30000-102 0.4E+01 0.5E+01\n 0.6E+01 0.7E+01 0.8E+01\n"
    head = "t\n 2.0\n 1 0 0\n 0 1 0\n 0 0 1\n Li\n 1\nCartesian\n 0.25 0.5 0.75\n\n 2 2 2\n "
    (tmp_path / "CHGCAR").write_text(head + numbers)
    raw = read_density(tmp_path / "CHGCAR")
    np.testing.assert_allclose(raw.values[:, 0, 0] * 8, [1, 2])
    np.testing.assert_allclose(raw.values[:, 1, 0] * 8, [0.3e-102, 4], atol=1e-99)
    np.testing.assert_allclose(raw.values[:, 1, 1] * 8, [7, 8])
    np.testing.assert_allclose(raw.structure.positions, [[0.5, 1.0, 1.5]])


def test_nothing_is_left_when_writing_fails(
    tmp_path: Path, field: DensityField, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rhotem.density.files.formats import FORMATS

    (tmp_path / "a.cube").write_text("old")

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(FORMATS, ".cube", replace(FORMATS[".cube"], write=broken))
    with pytest.raises(KeyboardInterrupt):
        write_density(field, tmp_path / "a.cube")
    assert [p.name for p in tmp_path.iterdir()] == ["a.cube"] and (tmp_path / "a.cube").read_text() == "old"


def test_a_format_is_one_entry_of_the_table(
    tmp_path: Path, field: DensityField, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading, writing, compressing and the check of names know it from there alone."""
    from rhotem.density.files.format import Format
    from rhotem.density.files.formats import FORMATS
    from rhotem.density.files.raw import RawDensity

    def write(held: DensityField, stream: TextIO) -> None:
        stream.write(" ".join(map(str, held.grid.shape)) + "\n")
        stream.write("\n".join(repr(float(x)) for x in np.ravel(held.values)) + "\n")

    def read(path: Path, structure: Structure | None, endpoint: bool | None) -> RawDensity:
        assert structure is not None
        head, *numbers = gzip.decompress(path.read_bytes()).decode().splitlines()
        values = np.array(numbers, dtype=float).reshape([int(n) for n in head.split()])
        grid = PeriodicGrid(structure.cell, values.shape)
        return RawDensity(structure, grid, values, None, field.kind, "plain", path)

    monkeypatch.setitem(FORMATS, ".plain", Format("plain", read, write))
    target = write_density(field, tmp_path / "a.plain.gz")
    back = read_density(target, field.structure)
    np.testing.assert_array_equal(back.values, field.values)
    monkeypatch.delitem(FORMATS, ".plain")
    with pytest.raises(InputError, match="unknown density format"):
        read_density(target, field.structure)
