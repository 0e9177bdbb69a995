"""Densities that other networks predicted, as their programs export them; wrong electron counts."""

from pathlib import Path

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import BOHR
from rhotem.density.field import DensityField
from rhotem.density.files import File, write_density
from rhotem.density.fourier import coefficients
from rhotem.structure.model import Structure

DATA = Path(__file__).parents[1] / "data" / "vasp"
G = [[0, 0, 0], [1, 1, 1], [1, 1, 0], [2, 1, 1]]


@pytest.fixture(scope="module")
def silicon() -> tuple[Structure, PeriodicGrid, np.ndarray]:
    """VASP's pseudised valence density of Si2 (8 e) on every second point, 0.13 Å."""
    with np.load(DATA / "Si.npz") as data:
        atoms = ase.Atoms(numbers=data["numbers"], positions=data["positions"], cell=data["cell"], pbc=True)
        values = np.ascontiguousarray(data["CHGCAR"][::2, ::2, ::2].astype(float))
    return Structure(atoms), PeriodicGrid(atoms.cell.array, values.shape), values


@pytest.fixture(scope="module")
def expected(silicon, tmp_path_factory) -> np.ndarray:
    structure, grid, values = silicon
    path = write_density(DensityField("valence", structure, grid, values), tmp_path_factory.mktemp("si") / "CHGCAR")
    return coefficients(File(path)(structure), G) * grid.volume


def chgcar(silicon, folder: Path, factor: float) -> Path:
    """A CHGCAR whose electron count is wrong by a factor."""
    structure, grid, values = silicon
    return write_density(DensityField("valence", structure, grid, values * factor), folder / "CHGCAR")


def cube(silicon, path: Path, unit: float) -> Path:
    """A cube, its values e/Å³ times ``unit``, written by ASE."""
    from ase.io.cube import write_cube

    structure, _, values = silicon
    with path.open("w") as stream:
        write_cube(stream, structure.atoms, values * unit)
    return path


@pytest.mark.parametrize("shape", [(30, 30, 30), (30, 30, 30, 1)])
def test_mala_array(silicon, expected, tmp_path, shape) -> None:
    np.save(tmp_path / "density.npy", silicon[2].reshape(shape))
    field = File(tmp_path / "density.npy")(silicon[0])
    np.testing.assert_allclose(coefficients(field, G) * field.grid.volume, expected, atol=1e-6)
    assert field.record["pseudised"]


@pytest.mark.parametrize(("unit", "said"), [(BOHR**3, None), (1.0, "e/A^3, by the electron count")])
def test_cubes_in_bohr_and_mala_cubes_in_angstrom(silicon, expected, tmp_path, unit, said) -> None:
    field = File(cube(silicon, tmp_path / "prediction.cube", unit))(silicon[0])
    # ASE writes five digits after the point
    np.testing.assert_allclose(coefficients(field, G) * field.grid.volume, expected, atol=2e-3)
    assert field.record.get("unit") == said


def test_a_wrong_count_is_refused(silicon, tmp_path) -> None:
    """7.64 e instead of 8, as in an example that another program ships."""
    with pytest.raises(InputError, match=r"fits neither a valence.*Si=4 \(8 e, off by -0\.360\)"):
        File(chgcar(silicon, tmp_path, 7.64 / 8.0))(silicon[0])
    with pytest.raises(InputError, match="--correct-count"):
        File(chgcar(silicon, tmp_path, 7.64 / 8.0))(silicon[0])
    with pytest.raises(InputError, match=r"holds -83\.000 electrons"):
        File(chgcar(silicon, tmp_path, -83.0 / 8.0))(silicon[0])


@pytest.mark.parametrize("name", ["CHGCAR", "density.npy"])
def test_a_wrong_count_is_corrected_on_request(silicon, expected, tmp_path, name) -> None:
    path = chgcar(silicon, tmp_path, 7.84 / 8.0)
    if name.endswith("npy"):
        path = tmp_path / name
        np.save(path, silicon[2] * (7.84 / 8.0))
    field = File(path, correct=True)(silicon[0])
    got = coefficients(field, G) * field.grid.volume
    assert abs(got[0]) < 1e-5
    # 0.16 e spread over two atoms: the other coefficients move by no more than that
    assert 1e-3 < np.abs(got[1:] - expected[1:]).max() < 0.16
    (warning,) = field.record["warnings"]
    assert "7.840 e instead of 8 (Si=4); corrected as asked" in warning
    assert field.record["electrons_after_correction"] == 8.0
    assert field.record["electrons_on_grid"] == pytest.approx(7.84, abs=1e-3)


def test_right_counts_are_not_touched_by_the_request(silicon, expected, tmp_path) -> None:
    field = File(chgcar(silicon, tmp_path, 1.0), correct=True)(silicon[0])
    np.testing.assert_allclose(coefficients(field, G) * field.grid.volume, expected, atol=1e-9)
    assert "warnings" not in field.record


def test_far_off_or_ambiguous_counts_are_refused_even_then(silicon, tmp_path) -> None:
    with pytest.raises(InputError, match="fits neither"):
        File(chgcar(silicon, tmp_path, 0.9), correct=True)(silicon[0])
    # 34 e lie between Li 1 and Li 3 with Ni 16
    atoms = ase.Atoms("LiNi2", [[0, 0, 0], [2.0, 2.0, 0], [2.0, 0, 2.0]], cell=np.eye(3) * 4.0, pbc=True)
    np.save(tmp_path / "uniform.npy", np.full((24, 24, 24), 34.0 / 4.0**3))
    with pytest.raises(InputError, match=r"fits Li=1, Ni=16 .*Li=3, Ni=16 .*choose with --valence"):
        File(tmp_path / "uniform.npy", kind="pseudo-valence", correct=True)(Structure(atoms))
