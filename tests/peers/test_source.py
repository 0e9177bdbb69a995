"""Peers as density sources: a network that predicts a CHGCAR gives what the CHGCAR gives."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import source as registry
from rhotem.density.field import DensityField
from rhotem.density.files import File, read_density
from rhotem.density.files.vasp import write_chgcar
from rhotem.density.fourier import coefficients
from rhotem.peers.checkpoint import save_peer
from rhotem.peers.deepdft import DeepDFTSettings
from rhotem.peers.networks import make_peer
from rhotem.peers.source import Peer
from rhotem.peers.valence import assignment, mp_valences
from rhotem.structure.model import Structure

DATA = Path(__file__).parents[1] / "data" / "vasp"
SETTINGS = DeepDFTSettings(architecture="deepdft-painn", size=4, interactions=1)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "small.safetensors"
    save_peer(path, make_peer(SETTINGS), {"name": "small"})
    return path


@pytest.fixture
def chgcar(tmp_path):
    """Every second point of VASP's LiH (0.118 Å) as a CHGCAR, and what it holds."""
    raw = read_density(DATA / "LiH-pbesol.CHGCAR.gz")
    values = np.ascontiguousarray(raw.values[::2, ::2, ::2])
    grid = PeriodicGrid(raw.structure.cell, values.shape)
    path = tmp_path / "CHGCAR"
    with path.open("w") as stream:
        write_chgcar(DensityField("valence", raw.structure, grid, values), stream)
    return path, read_density(path)


@pytest.fixture
def predicting(saved, chgcar, monkeypatch):
    """Function: a peer whose network predicts the CHGCAR's density times a factor."""

    def make(factor: float = 1.0, **options):
        values = factor * chgcar[1].values[None]
        monkeypatch.setattr("rhotem.peers.source.on_grid", lambda model, structure, grid: values)
        return Peer(str(saved), **options)

    return make


def test_a_predicted_chgcar_is_treated_like_a_chgcar(predicting, chgcar):
    path, raw = chgcar
    field, expected = predicting()(raw.structure, raw.grid), File(path)(raw.structure)
    assert expected.record["pseudised"]
    g = [[0, 0, 0], [1, 1, 1], [1, 1, 0], [2, 1, 1], [2, 2, 2]]
    got, want = (coefficients(f, g) * f.grid.volume for f in (field, expected))
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert np.abs(want[1:]).min() > 0.01
    assert field.record["electrons_predicted"] == pytest.approx(4.0, abs=1e-4)
    assert field.record["electrons_after_correction"] == 4.0
    assert "warnings" not in field.record


def test_a_wrong_count_is_refused_or_corrected_on_request(predicting, chgcar):
    raw = chgcar[1]
    with pytest.raises(InputError, match=r"predicts 4\.08 e, expected 4 e .*off by 2\.0%.*--correct-count"):
        predicting(1.02)(raw.structure, raw.grid)
    small = predicting(1.005)(raw.structure, raw.grid)
    assert "warnings" not in small.record and small.record["electrons_predicted"] == pytest.approx(4.02, abs=1e-3)
    field = predicting(1.02, correct=True)(raw.structure, raw.grid)
    assert coefficients(field, [[0, 0, 0]])[0].real * field.grid.volume == pytest.approx(0.0, abs=1e-4)
    assert field.record["electrons_predicted"] == pytest.approx(4.08, abs=1e-3)
    assert field.record["count_correction_e"] == pytest.approx(-0.08, abs=5e-3)
    assert "4.08" in field.record["warnings"][0] and "4.08 of 4 e" in field.source
    with pytest.raises(InputError, match=r"predicts 3\.60 e, expected 4 e \(H=1, Li=3\).*other PAW sets"):
        predicting(0.9, correct=True)(raw.structure, raw.grid)
    with pytest.raises(InputError, match=r"expected 2 e \(H=1, Li=1\)"):
        predicting(valence={"Li": 1.0})(raw.structure, raw.grid)


def test_random_weights_and_charges_are_refused(saved):
    structure = Structure(ase.Atoms("LiF", [[0, 0, 0], [2.0, 2.0, 2.0]], cell=np.eye(3) * 4.0, pbc=True))
    with pytest.raises(InputError, match="off by more than 5%"):
        Peer(str(saved))(structure, PeriodicGrid(structure.cell, (36, 36, 36)))
    with pytest.raises(InputError, match="neutral"):
        Peer(str(saved))(Structure(structure.atoms, charge=1.0), PeriodicGrid(structure.cell, (8, 8, 8)))


def test_coarse_grids_are_refined(saved, monkeypatch):
    asked = []
    monkeypatch.setattr("rhotem.peers.source.on_grid", lambda m, s, grid: asked.append(grid) or np.zeros((1, 1)))
    structure = Structure(ase.Atoms("Li", cell=np.eye(3) * 4.0, pbc=True))
    with pytest.raises(InputError, match="predicts 0"):
        Peer(str(saved))(structure, PeriodicGrid(structure.cell, (8, 8, 8)))
    assert asked[0].spacing.max() <= 0.12


def test_valences_are_those_of_the_materials_project():
    """Against pymatgen, independently of the script that made the table."""
    from pymatgen.io.vasp.sets import MPRelaxSet

    sets = MPRelaxSet.CONFIG["POTCAR"]
    assert (sets["Li"], sets["O"], sets["Mn"], sets["Co"], sets["Ni"], sets["Na"]) == (
        "Li_sv", "O", "Mn_pv", "Co", "Ni_pv", "Na_pv",
    )  # fmt: skip
    table = mp_valences()
    assert [table[s] for s in ("Li", "O", "Mn", "Co", "Ni", "Na")] == [3, 6, 13, 9, 16, 7]
    assert set(sets) - set(table) <= {"D", "T"}
    from ase.data import atomic_numbers

    lacking = [s for s in table if not 0 < table[s] <= atomic_numbers[s]]
    assert lacking == []


def test_valences_that_free_atoms_cannot_have_are_refused():
    structure = Structure(ase.Atoms("Nd", cell=np.eye(3) * 5.0, pbc=True))
    with pytest.raises(InputError, match=r"valence of Nd: free atoms have no valence of 11 e"):
        assignment(structure)
    assert assignment(Structure(ase.Atoms("Li", cell=np.eye(3) * 5.0, pbc=True)), {"Li": 1.0}).electrons == {3: 1.0}


def test_a_name_or_a_file_is_a_source(saved, tmp_path, monkeypatch):
    found = [
        EntryPoint("peer", "rhotem.peers.source:Peer", registry.GROUP),
        EntryPoint("model", "rhotem.learned.source:Model", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "registered", lambda group: {entry.name: entry for entry in found})
    monkeypatch.setenv("RHOTEM_MODELS", str(tmp_path))
    for name in ("small", str(saved)):
        assert isinstance(registry.get_source(name), Peer)
    with pytest.raises(InputError, match="imported model"):
        registry.get_source("absent")
    header = json.loads(saved.with_suffix(".json").read_text())
    del header["settings"]["architecture"]
    saved.with_suffix(".json").write_text(json.dumps(header))
    with pytest.raises(InputError, match="architecture or settings unknown"):
        registry.get_source("small")
