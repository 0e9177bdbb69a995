"""`File`: what a density file becomes. References: VASP's all-electron valence (AECCAR2), its free atoms (AECCAR1)."""

from dataclasses import replace
from pathlib import Path

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import BOHR
from rhotem.density.field import DensityField
from rhotem.density.files import File, read_density, write_density
from rhotem.density.fourier import coefficients
from rhotem.density.superpose import superpose
from rhotem.structure.model import Structure

DATA = Path(__file__).parents[1] / "data" / "vasp"
#: h² + k² + l² of (111), (220), (311) and (222) of silicon.
BONDING, FORBIDDEN = (3, 8, 11), 12


@pytest.fixture(scope="module")
def silicon() -> tuple[Structure, PeriodicGrid, dict[str, np.ndarray]]:
    with np.load(DATA / "Si.npz") as data:
        arrays = {name: data[name].astype(float) for name in ("CHGCAR", "AECCAR1", "AECCAR2")}
        atoms = ase.Atoms(numbers=data["numbers"], positions=data["positions"], cell=data["cell"], pbc=True)
    return Structure(atoms), PeriodicGrid(atoms.cell.array, (60, 60, 60)), arrays


@pytest.fixture(scope="module")
def fields(silicon, tmp_path_factory: pytest.TempPathFactory) -> dict[str, DensityField]:
    """Deformation densities from CHGCAR and AECCAR2, and VASP's own difference AECCAR2 − AECCAR1."""
    structure, grid, arrays = silicon
    folder = tmp_path_factory.mktemp("si")
    found = {}
    for name in ("CHGCAR", "AECCAR2"):
        path = write_density(DensityField("valence", structure, grid, arrays[name]), folder / name)
        found[name] = File(path)(structure)
    found["VASP"] = DensityField("deformation", structure, grid, arrays["AECCAR2"] - arrays["AECCAR1"])
    return found


@pytest.fixture(scope="module")
def coarse(silicon) -> tuple[Structure, PeriodicGrid, dict[str, np.ndarray]]:
    """Every second point of each axis (0.13 Å), where speed matters more than the last digit."""
    structure, grid, arrays = silicon
    return structure, PeriodicGrid(grid.cell, (30, 30, 30)), {n: a[::2, ::2, ::2] for n, a in arrays.items()}


def shell(grid: PeriodicGrid, squared: int) -> np.ndarray:
    """Indices of the primitive cell with this h² + k² + l² of the cubic cell."""
    h = np.argwhere(np.ones((13, 13, 13))) - 6
    cubic = (4 * grid.volume) ** (1 / 3)
    return h[np.rint(((h @ grid.reciprocal) ** 2).sum(1) * cubic**2) == squared]


def electrons(field: DensityField, squared: int) -> np.ndarray:
    return coefficients(field, shell(field.grid, squared)) * field.grid.volume


def test_free_valence_is_vasps(silicon) -> None:
    """The free-atom table reproduces AECCAR1, made by another code, everywhere but on the nucleus itself."""
    structure, grid, arrays = silicon
    difference = superpose(structure, grid, {14: 4.0}) - arrays["AECCAR1"]
    assert grid.integrate(np.abs(difference)) < 1.5e-3


@pytest.mark.parametrize("reference", ["VASP", "AECCAR2"])
def test_rebuilt_chgcar_against_aeccar2(fields, reference: str) -> None:
    """Bar: 5 % of the bonding part at (111), (220), (311). As it stands in CHGCAR it is 17, 91 and 50 %."""
    for squared in BONDING:
        bonding = np.abs(electrons(fields["VASP"], squared)).mean()
        error = np.abs(electrons(fields["CHGCAR"], squared) - electrons(fields[reference], squared)).mean()
        assert error < 0.05 * bonding, (squared, error / bonding)


def test_chgcar_as_it_stands_fails_the_bar(silicon, fields) -> None:
    """The rebuilding is what passes the bar, not the bar's width."""
    structure, grid, arrays = silicon
    raw = DensityField("deformation", structure, grid, arrays["CHGCAR"] - arrays["AECCAR1"])
    for squared in BONDING:
        bonding = np.abs(electrons(fields["VASP"], squared)).mean()
        assert np.abs(electrons(raw, squared) - electrons(fields["VASP"], squared)).mean() > 0.15 * bonding


@pytest.mark.parametrize("name", ["AECCAR2", "CHGCAR"])
def test_forbidden_222_reflection_of_silicon(fields, name: str) -> None:
    """V6: free atoms give exactly 0, bonding gives F_x = 0.355 e per Si2 (VASP PBE)."""
    np.testing.assert_allclose(np.abs(electrons(fields[name], FORBIDDEN)), 0.355, atol=0.002)


@pytest.mark.parametrize("name", ["AECCAR2", "CHGCAR"])
def test_silicon_is_neutral_and_symmetric(fields, name: str) -> None:
    """No net charge; the reflections of one family are equal, as the diamond structure says."""
    field = fields[name]
    h = np.array([[0, 0, 0], [1, 0, 0]])
    assert abs(coefficients(field, h)[0]) * field.grid.volume < 1e-6
    for squared in BONDING:
        size = np.abs(electrons(field, squared))
        assert np.ptp(size) < 0.01 * size.mean()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NaCl.CHGCAR.gz", {"11": 1.0, "17": 7.0}),
        ("LiH-pbesol.CHGCAR.gz", {"1": 1.0, "3": 3.0}),
        ("bcc-Li-nospin.CHGCAR.gz", {"3": 1.0}),
    ],
)
def test_valences_are_found_by_counting(name: str, expected: dict) -> None:
    raw = read_density(DATA / name)
    field = File(DATA / name)(raw.structure)
    assert field.record["valence_by_element"] == expected and field.record["pseudised"]
    h = np.argwhere(np.ones((3, 3, 3))) - 1
    found = coefficients(field, h) * field.grid.volume
    assert abs(found[13]) < 1e-6
    # Friedel: the density is real.
    np.testing.assert_allclose(found, found[::-1].conj(), atol=1e-9)


def test_sodium_chloride_is_ionic() -> None:
    """Electrons move from Na to Cl: at (111), where both scatter in opposition, the Cl excess adds to −F_Na + F_Cl."""
    raw = read_density(DATA / "NaCl.CHGCAR.gz")
    field = File(DATA / "NaCl.CHGCAR.gz")(raw.structure)
    sodium, chlorine = (np.flatnonzero(raw.structure.numbers == z)[0] for z in (11, 17))
    h = np.array([[1, 1, 1]])
    phase = np.exp(2j * np.pi * (h @ raw.structure.atoms.get_scaled_positions().T))[0]
    f111 = (coefficients(field, h) * field.grid.volume)[0]
    assert (f111 * phase[chlorine]).real > 0.1 and (f111 * phase[sodium]).real < -0.1


def test_charge(tmp_path: Path, coarse) -> None:
    """One electron missing: found with the charge, refused without it."""
    structure, grid, _ = coarse
    values = superpose(structure, grid, {14: 4.0})
    values *= 7.0 / grid.integrate(values)
    path = write_density(DensityField("valence", structure, grid, values), tmp_path / "CHGCAR")
    with pytest.raises(InputError, match=r"Si=4 .*--charge"):
        File(path)(structure)
    for field in (File(path, charge=1.0)(structure), File(path)(replace(structure, charge=1.0))):
        f000 = coefficients(field, [[0, 0, 0], [1, 0, 0]])[0] * grid.volume
        assert abs(f000 + 1.0) < 1e-6


def test_ambiguous_count_asks(tmp_path: Path) -> None:
    """Li 3 + Na 1... and Li 1 + Na 7 with an odd charge: two ways to the same number must not be guessed."""
    atoms = ase.Atoms("Na3Li3", scaled_positions=np.arange(6)[:, None] / 6 * [1, 1, 1], cell=[7, 7, 7], pbc=True)
    grid = PeriodicGrid(atoms.cell.array, (40, 40, 40))
    structure = Structure(atoms)
    # Na 7 + Li 3 = 30 = Na 9 + Li 1
    values = superpose(structure, grid, {11: 7.0, 3: 3.0})
    values *= 30.0 / grid.integrate(values)
    path = write_density(DensityField("valence", structure, grid, values), tmp_path / "CHGCAR")
    with pytest.raises(InputError, match=r"Li=1, Na=9 .*Li=3, Na=7 .*--valence"):
        File(path)(structure)
    assert File(path, valence={"Na": 7})(structure).record["valence_by_element"] == {"3": 3.0, "11": 7.0}


def test_order_translation_and_rotation(tmp_path: Path, coarse, fields) -> None:
    """The file's atoms may be listed otherwise, in other cells, and its axes turned: the same structure factors."""
    structure, grid, arrays = coarse
    path = write_density(DensityField("valence", structure, grid, arrays["AECCAR2"]), tmp_path / "AECCAR2")
    atoms = structure.atoms[[1, 0]]
    atoms.positions[0] += structure.cell[0] - 2 * structure.cell[2]
    atoms.rotate(37, (1, 2, 3), rotate_cell=True)
    field = File(path)(Structure(atoms))
    np.testing.assert_allclose(field.structure.positions, atoms.positions, atol=1e-4)
    np.testing.assert_allclose(field.grid.cell, atoms.cell.array, atol=1e-12)
    np.testing.assert_allclose(np.abs(electrons(field, 3)), np.abs(electrons(fields["AECCAR2"], 3)), rtol=1e-3)


def test_another_structure_is_refused(tmp_path: Path, coarse) -> None:
    structure, grid, arrays = coarse
    path = write_density(DensityField("valence", structure, grid, arrays["AECCAR2"]), tmp_path / "AECCAR2")
    strained = structure.atoms.copy()
    strained.set_cell(strained.cell * 1.01, scale_atoms=True)
    moved = structure.atoms.copy()
    moved.positions[0] += 0.1
    shifted = structure.atoms.copy()
    shifted.positions += 0.3
    other = structure.atoms.copy()
    other.numbers[:] = 6
    for atoms, words in ((strained, "it has"), (moved, "up to"), (shifted, "shifted"), (other, "C2")):
        with pytest.raises(InputError, match=f"density for another cell.*{words}"):
            File(path)(Structure(atoms))


def test_total_density_on_a_grid(tmp_path: Path) -> None:
    """A known deformation added to all-electron free atoms comes back, although the grid cannot sample the cores."""
    atoms = ase.Atoms("MgO", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=np.eye(3) * 4.0, pbc=True)
    grid = PeriodicGrid(atoms.cell.array, (48, 48, 48))
    structure = Structure(atoms)
    f = np.stack(np.meshgrid(*[np.arange(48) / 48] * 3, indexing="ij"), -1)
    deformation = 0.02 * np.cos(2 * np.pi * f).prod(-1)
    for average in (False, True):
        total = superpose(structure, grid, voxel_average=average) + deformation
        path = write_density(DensityField("total", structure, grid, total), tmp_path / "t.cube")
        field = File(path)(structure)
        assert field.record["electrons_found"].startswith("total")
        assert ("cores" in field.record) == average
        h = np.array([[1, 1, 1], [1, 1, 0], [2, 0, 0], [1, -1, 1]])
        np.testing.assert_allclose(coefficients(field, h), grid.fourier(deformation)[tuple(h.T)], atol=1e-4)


def test_pair_and_folder_use_aeccar2(tmp_path: Path, coarse) -> None:
    structure, grid, arrays = coarse
    valence = DensityField("valence", structure, grid, arrays["AECCAR2"])
    write_density(valence, tmp_path / "AECCAR2.gz")
    write_density(replace(valence, values=arrays["CHGCAR"]), tmp_path / "CHGCAR")
    core = superpose(structure, grid) - superpose(structure, grid, {14: 4.0})
    write_density(replace(valence, values=core), tmp_path / "AECCAR0")
    field = File(tmp_path, core=tmp_path / "AECCAR0")(structure)
    assert field.source == "file AECCAR2.gz" and not field.record["pseudised"]
    # Point values of the core miss its 20 electrons: the reason why they are not used.
    assert abs(field.record["core_file"]["electrons_on_grid"] - 20) > 1
    with pytest.raises(InputError, match="core electrons"):
        File(tmp_path / "AECCAR0")(structure)


def test_sum_of_core_and_valence_under_a_chgcar_name(tmp_path: Path) -> None:
    """CHGCAR_sum of Bader users is a total density."""
    atoms = ase.Atoms("Al", cell=np.array([[0, 2, 2], [2, 0, 2], [2, 2, 0.0]]), pbc=True)
    structure, grid = Structure(atoms), PeriodicGrid(atoms.cell.array, (30, 30, 30))
    path = write_density(DensityField("total", structure, grid, superpose(structure, grid)), tmp_path / "CHGCAR_sum")
    field = File(path)(structure)
    assert field.record["electrons_found"].startswith("total") and not field.record["pseudised"]
    assert np.abs(field.values).max() < 1e-3


def test_xsf_unit_is_found_by_counting(tmp_path: Path, coarse, fields) -> None:
    """Quantum ESPRESSO writes e/Bohr³ into xsf, others e/Å³; nothing in the file says which."""
    structure, grid, arrays = coarse
    for scale in (1.0, BOHR**3):
        path = write_density(DensityField("valence", structure, grid, arrays["AECCAR2"] * scale), tmp_path / "a.xsf")
        lines = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith("#")]
        path.write_text("".join(lines))
        field = File(path, kind=None)(structure)
        assert not field.record["pseudised"]
        # half the points: nuclei are sampled otherwise
        np.testing.assert_allclose(electrons(field, 3), electrons(fields["AECCAR2"], 3), atol=3e-3)


def test_own_deformation_comes_back(tmp_path: Path, silicon, fields) -> None:
    """npz keeps a rebuilt field with its one-centre terms, whatever the order of atoms asked for."""
    structure, _, _ = silicon
    path = write_density(fields["CHGCAR"], tmp_path / "a.npz")
    back = File(path)(Structure(structure.atoms[[1, 0]]))
    assert [t.atom for t in back.one_centre] == [1, 0]
    np.testing.assert_allclose(electrons(back, 8), electrons(fields["CHGCAR"], 8), atol=1e-9)


def test_label_is_treated_near_nuclei(tmp_path: Path) -> None:
    """Label npz: noise on the nucleus is filled, the count made exact, the rest of the grid left alone."""
    atoms = ase.Atoms("Li", positions=[[0, 0, 0]], cell=np.eye(3) * 3.0, pbc=True)
    grid = PeriodicGrid(atoms.cell.array, (20, 20, 20))
    clean = 0.01 * np.cos(2 * np.pi * np.arange(20) / 20)[:, None, None] * np.ones(grid.shape)
    noisy = clean.copy()
    noisy[0, 0, 0] += 50.0
    np.savez(tmp_path / "l.npz", numbers=[3], positions=atoms.positions, cell=grid.cell, deformation=noisy, meta="{}")
    field = File(tmp_path / "l.npz")(Structure(atoms))
    assert abs(grid.integrate(field.values)) < 1e-10
    assert np.abs(field.values - clean).max() < 0.02


def test_gpw_goes_to_the_gpaw_source(tmp_path: Path, silicon, monkeypatch: pytest.MonkeyPatch) -> None:
    from rhotem.density import source

    asked = {}

    def fake(name: str, **options: object):
        asked[name] = options
        return lambda structure, grid: "field"

    monkeypatch.setattr(source, "get_source", fake)
    assert File(tmp_path / "a.gpw")(silicon[0]) == "field"
    assert asked == {"gpaw": {"path": tmp_path / "a.gpw"}}


def test_what_a_name_stands_for_is_not_given_again(tmp_path, monkeypatch):
    """Weights or a file as the source, and the option that would name another."""
    from rhotem.density import source

    monkeypatch.setenv("RHOTEM_MODELS", str(tmp_path))
    for name in ("small.safetensors", "CHGCAR", "run.gpw"):
        (tmp_path / name).touch()
    for name in (str(tmp_path / "small.safetensors"), "small"):
        with pytest.raises(InputError, match=r"name='other'.*leave name out"):
            source.get_source(name, name="other")
    for name in ("CHGCAR", "run.gpw"):
        with pytest.raises(InputError, match=r"path='other'.*leave path out"):
            source.get_source(str(tmp_path / name), path="other")
