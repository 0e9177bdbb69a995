"""Hand-over files against the layouts the programs document, byte by byte or name by name."""

import re
import struct

import ase
import h5py
import numpy as np
import pytest
from ase.io import read

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import interaction_constant
from rhotem.potential import build_potential, files
from rhotem.potential.files.drprobe import write_added_potential, write_slices
from rhotem.potential.files.prismatic import write_prismatic
from rhotem.potential.files.structures import write_qstem, write_temsim
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell


@pytest.fixture(scope="module")
def potential():
    atoms = ase.Atoms("LiCoO2", positions=np.random.default_rng(0).random((4, 3)) * 3, cell=[3.1, 3.9, 6.4], pbc=True)
    cell = ImagingCell.from_orthogonal(Structure(atoms))
    return build_potential(cell, PeriodicGrid(atoms.cell.array, (20, 24, 3)), parametrization="lobato")


def test_own_file_gives_everything_back(potential, tmp_path):
    path = tmp_path / "v.zarr"
    for _ in range(2):  # a second time over the first
        files.write(potential, path)
    again = files.read_potential(path)
    np.testing.assert_array_equal(again.array, potential.array)
    assert again.grid == potential.grid and again.record == potential.record
    assert again.mean_inner_potential == potential.mean_inner_potential
    assert [p.name for p in tmp_path.iterdir()] == ["v.zarr"]


def test_own_file_knows_the_grid_of_the_waves(tmp_path):
    crystal = ImagingCell.from_orthogonal(Structure(ase.Atoms("Li", cell=[3.0, 3.5, 4.0], pbc=True)))
    grid = PeriodicGrid(crystal.structure.cell, (8, 10, 2))
    files.write(build_potential(crystal, grid, oversampling=2), tmp_path / "v.zarr")
    again = files.read_potential(tmp_path / "v.zarr")
    assert again.array.shape == (2, 16, 20) and again.wave_grid == (8, 10)


@pytest.mark.parametrize("content", [None, "empty"])
def test_reading_something_else_is_refused(tmp_path, content):
    path = tmp_path / "x.zarr"
    if content:
        path.mkdir()
    with pytest.raises(InputError, match=r"x\.zarr"):
        files.read_potential(path)


def test_prismatic_layout(potential, tmp_path):
    """Names, shapes, types and axis order of Prismatic 2.0's savePotentialSlices and importPotential."""
    write_prismatic([potential, potential], tmp_path / "v.h5")
    with h5py.File(tmp_path / "v.h5") as file:
        data = file["4DSTEM_simulation/data/realslices/ppotential_fp0001/data"]
        assert data.shape == (20, 24, 3) and data.dtype == np.float32
        np.testing.assert_array_equal(data[:, :, 1], potential.array[1])
        parameters = file["4DSTEM_simulation/metadata/metadata_0/original/simulation_parameters"].attrs
        np.testing.assert_allclose(parameters["c"], [3.1, 3.9, 6.4], rtol=1e-6)
        np.testing.assert_array_equal(parameters["t"], [1, 1, 1])
        # readAttribute reads both into PRISMATIC_FLOAT_PRECISION[3].
        assert parameters["c"].dtype == parameters["t"].dtype == np.float32
        group = file["4DSTEM_simulation/data/realslices/ppotential_fp0000"]
        assert group["dim1"].attrs["name"] == b"R_x" and group["dim3"].shape == (3,)
        # countDataGroups counts names that start so.
        names = list(file["4DSTEM_simulation/data/realslices"])
        assert names == ["ppotential_fp0000", "ppotential_fp0001"]
        assert (file["4DSTEM_simulation"].attrs["version_major"], file["4DSTEM_simulation"].attrs["version_minor"]) == (
            0,
            5,
        )


def test_drprobe_slice_bytes(potential, tmp_path):
    paths = write_slices([potential, potential], tmp_path / "slc", 200e3)
    assert [p.name for p in paths] == ["slc_001.sli", "slc_002.sli", "slc_003.sli"]
    raw = paths[2].read_bytes()
    assert len(raw) == 0x2000 + 2 * 20 * 24 * 8
    assert struct.unpack_from("<2i", raw, 0x00) == (20, 24)
    assert struct.unpack_from("<i", raw, 0x10) == (1,)
    assert raw[0x4C:0x52] == b"RhoTEM"
    assert struct.unpack_from("<2i", raw, 0x74) == (2012071101, 2)
    assert struct.unpack_from("<i", raw, 0x80) == (0,)
    assert struct.unpack_from("<2i", raw, 0x88) == (0x2000, 0x1100)
    assert struct.unpack_from("<3i", raw, 0x1100) == (0, 0, 0)
    assert struct.unpack_from("<f", raw, 0x1034)[0] == pytest.approx(0.64 / 3)
    assert struct.unpack_from("<3f", raw, 0x1040) == pytest.approx((200.0, 0.31, 0.39))
    # Fortran cdata(nx, ny, nv): x runs fastest.
    data = np.frombuffer(raw, "<c8", offset=0x2000).reshape(2, 24, 20)
    expected = np.exp(1j * interaction_constant(200e3) * potential.array[2, 5, 7])
    assert data[1, 7, 5] == pytest.approx(expected, abs=1e-6)


def test_drprobe_added_potential_is_in_volt(potential, tmp_path):
    files.write(potential, tmp_path / "v.addpot")
    write_added_potential(potential, tmp_path / "w.addpot")
    data = np.fromfile(tmp_path / "v.addpot", "<c8").reshape(3, 24, 20)
    assert data[1, 7, 5].real == pytest.approx(potential.array[1, 5, 7] / (6.4 / 3), rel=1e-6)
    assert np.abs(data.imag).max() == 0


def test_qstem_structure(tmp_path):
    """The SrTiO3 example of qstem.org, character for character where it fixes one."""
    atoms = ase.Atoms(
        "OSrTiO2",
        scaled_positions=[(0, 0.5, 0.5), (0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)],
        cell=[3.905] * 3,
        pbc=True,
    )
    write_qstem(Structure(atoms), tmp_path / "sto.cfg", 0.6214 / (8 * np.pi**2))
    lines = (tmp_path / "sto.cfg").read_text().splitlines()
    assert lines[0] == "Number of particles = 5" and lines[1] == "A = 1.0 Angstrom"
    assert re.fullmatch(r"H0\(2,2\) = 3\.905\d* A", lines[6])
    assert lines[11:13] == [".NO_VELOCITY.", "entry_count = 6"]
    assert lines[14] == "O" and float(lines[13]) == pytest.approx(15.999, abs=1e-3)
    assert [line for line in lines if line.isalpha()] == ["O", "Ti", "Sr"]
    entries = [float(x) for x in lines[15].split()]
    assert entries == pytest.approx([0, 0.5, 0.5, 0.6214, 1, 0], abs=1e-6)


def test_temsim_structure(tmp_path):
    atoms = ase.Atoms("LiCo", positions=[(0, 0, 0), (1.5, 1.0, -0.5)], cell=[3, 4, 5], pbc=True)
    write_temsim(Structure(atoms), tmp_path / "x.xyz", [0.01, 0.0025])
    lines = (tmp_path / "x.xyz").read_text().splitlines()
    assert [float(x) for x in lines[1].split()] == [3, 4, 5]
    assert [float(x) for x in lines[3].split()] == [27, 1.5, 1.0, 4.5, 1.0, 0.05]
    assert lines[-1] == "-1" and len(lines) == 5
    # ASE reads the same format for Prismatic and computem.
    again = read(tmp_path / "x.xyz", format="prismatic")
    assert again.get_chemical_formula() == atoms.get_chemical_formula()


def test_refusals(potential, tmp_path):
    with pytest.raises(InputError, match="beam energy"):
        files.write(potential, tmp_path / "v.sli")
    with pytest.raises(InputError, match="unknown ending"):
        files.write(potential, tmp_path / "v.tif")
    with pytest.raises(InputError, match="10e3"):
        write_slices(potential, tmp_path / "v", 200.0)
    with pytest.raises(InputError, match="non-negative"):
        write_temsim(Structure(ase.Atoms("Li", cell=[3, 3, 3])), tmp_path / "x.xyz", [0.1, 0.1])
    assert not list(tmp_path.iterdir())
