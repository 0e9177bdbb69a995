"""Thermal motion on its way from a structure to images: the same in memory and from disk, in records and captions."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write
from typer.testing import CliRunner

from rhotem.analysis import run
from rhotem.analysis.streamed import StreamedPotentials
from rhotem.cli.main import app
from rhotem.core import InputError, PeriodicGrid
from rhotem.core.words import parse_msd
from rhotem.density.source import get_source
from rhotem.density.stream import streamed
from rhotem.structure.frames import read_frames
from rhotem.structure.model import Structure


def anisotropic() -> Structure:
    """Zinc, whose atoms move nearly twice as far along c as across it."""
    structure = Structure(bulk("Zn"))
    return Structure(structure.atoms, displacements=np.tile(np.diag([0.011, 0.011, 0.021]), (2, 1, 1)))


def test_the_structures_own_tensors_reach_the_atoms_of_the_block():
    cut = run.specimen(anisotropic(), (1, 0, 0), thickness=2.0, preset="pacbed")
    potentials = run.potential(cut, run.density(cut, "free-atoms"), phonons=1)
    tensors = potentials.motion.values
    assert tensors.shape == (len(cut.block.structure), 3, 3)
    np.testing.assert_allclose(np.linalg.eigvalsh(tensors), [[0.011, 0.011, 0.021]] * len(tensors), rtol=1e-3)
    along_c = cut.cell.crystal.cell[2] / np.linalg.norm(cut.cell.crystal.cell[2])
    np.testing.assert_allclose(np.einsum("i,nij,j->n", along_c, tensors, along_c), 0.021, rtol=1e-3)
    record = potentials.record()
    assert record["anisotropic"] and record["displacement_sources"] == "structure file"
    assert record["mean_square_displacements_A2"]["Zn"] == pytest.approx(0.0143, rel=1e-2)


def test_streamed_potentials_move_atoms_alike(tmp_path: Path):
    """Free atoms by the same displacements, the deformation density smeared by the same mean."""
    cut = run.specimen(anisotropic(), (0, 0, 1), thickness=0.5, preset="pacbed", sampling=0.06)
    grid = PeriodicGrid.from_spacing(cut.block.structure.cell, 0.2)
    density = streamed(get_source("free-atoms")(cut.block.structure, grid))
    motion = {"phonons": 2, "temperature": 250.0, "seed": 3}
    memory = run.potential(cut, run.density(cut, "free-atoms"), **motion)
    disk = StreamedPotentials(cut, density, tmp_path, memory=None, **motion)
    for held, stored in zip(memory, disk, strict=True):
        np.testing.assert_allclose(np.asarray(stored.array), held.array, atol=2e-4 * np.abs(held.array).max())
    assert disk.record()["displacements"] == memory.record()["displacements"]


def test_given_displacements_in_python():
    cut = run.specimen(Structure(bulk("Au")), (0, 0, 1), thickness=0.5, preset="pacbed")
    field = run.density(cut, "free-atoms")
    assert run.potential(cut, field, msd={"Au": 0.0082}).motion.isotropic == pytest.approx(0.0082)
    with pytest.raises(InputError, match="the structure has Au"):
        run.potential(cut, field, msd={"Ag": 0.0082})


@pytest.mark.parametrize("text", ["Au", "Au=x", "Au=0.1,Au=0.2", "=0.1", "au=0.1", "", "Au=0.1=2"])
def test_what_is_no_list_of_displacements(text):
    with pytest.raises(InputError, match=r"such as Au=0\.0082"):
        parse_msd(text)


def test_a_list_of_displacements():
    assert parse_msd("Au=0.0082, O=6e-3") == {"Au": 0.0082, "O": 0.006}


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    bulk("Au", cubic=True).write(tmp_path / "Au.cif")
    return tmp_path / "Au.cif"


@pytest.mark.slow
def test_console_caption_and_record_say_where_displacements_are_from(gold: Path, tmp_path: Path):
    image = ["image", str(gold), "--thickness", "0.4", "--phonons", "1", "--detector", "BF=8", "--source", "free-atoms"]
    result = CliRunner().invoke(app, [*image, "--out", str(tmp_path / "a")])
    assert result.exit_code == 0, result.output
    assert "⟨u²⟩: Au 0.00803 Å² (published value of the element" in result.output
    record = json.loads((tmp_path / "a" / "record.json").read_text())["phonons"]
    assert "Peng" in record["displacements"] and record["displacement_sources"] == "value of the element"
    caption = json.loads((tmp_path / "a" / "images.zarr" / "zarr.json").read_text())["attributes"]["caption"]
    assert caption["motion"] == "value of the element"
    result = CliRunner().invoke(app, [*image, "--msd", "Au=0.0082", "--out", str(tmp_path / "b")])
    assert "Au 0.0082 Å² (given)" in result.output
    result = CliRunner().invoke(app, [*image, "--msd", "Ag=0.0082", "--out", str(tmp_path / "c")])
    assert result.exit_code == 2 and not (tmp_path / "c").exists()


def test_check_and_exports_use_the_same_values(gold: Path, tmp_path: Path):
    result = CliRunner().invoke(app, ["structure", "check", str(gold)])
    assert "⟨u²⟩: Au 0.00803 Å² (published value of the element" in result.output
    made = CliRunner().invoke(app, ["potential", str(gold), "-o", str(tmp_path / "Au.xyz")])
    assert made.exit_code == 0 and "Au 0.00803" in made.output
    wobble = (tmp_path / "Au.xyz").read_text().splitlines()[2].split()[5]
    assert float(wobble) == pytest.approx(np.sqrt(0.00803), rel=1e-3)
    CliRunner().invoke(app, ["potential", str(gold), "-o", str(tmp_path / "Au.cfg"), "--msd", "Au=0.01"])
    assert f"{8 * np.pi**2 * 0.01:.6f}" in (tmp_path / "Au.cfg").read_text()
    refused = CliRunner().invoke(app, ["potential", str(gold), "-o", str(tmp_path / "Au.zarr"), "--msd", "Au=0.01"])
    assert refused.exit_code == 2 and not (tmp_path / "Au.zarr").exists()


def md(tmp_path: Path, count: int = 3) -> Path:
    """Gold in a box, in steps that drift."""
    rng = np.random.default_rng(0)
    snapshots = []
    for number in range(count):
        atoms = bulk("Au", cubic=True).repeat((2, 2, 1))
        atoms.positions += rng.normal(0.0, 0.08, (len(atoms), 3)) + 0.5 * number
        atoms.wrap()
        snapshots.append(atoms)
    write(tmp_path / "md.xyz", snapshots, format="extxyz")
    return tmp_path / "md.xyz"


def test_every_frame_is_a_configuration(tmp_path: Path):
    """Atoms of the block lie as in the frames, but for drift and rotation of the whole."""
    snapshots = read(md(tmp_path), ":")
    frames = read_frames(tmp_path / "md.xyz")
    cut = run.specimen(frames.structure, (0, 0, 1), preset="pacbed", keep_cell=True)
    potentials = run.potential(cut, run.density(cut, "free-atoms"), frames=frames)
    assert len(potentials) == potentials.phonons == len(list(potentials)) == 3
    order = np.argsort(cut.block.atom_index)
    for moved, snapshot in zip(potentials.displacements(), snapshots, strict=True):
        atoms = cut.block.structure.atoms.copy()
        atoms.positions += moved
        found = atoms[order].get_all_distances(mic=True)
        np.testing.assert_allclose(found, snapshot.get_all_distances(mic=True), atol=1e-6)
    assert potentials.record()["displacement_sources"] == "3 frames of md.xyz"
    assert potentials.motion.isotropic.mean() == pytest.approx(np.mean(frames.displacements**2))


@pytest.mark.slow
def test_frames_on_the_command_line(tmp_path: Path):
    path = md(tmp_path)
    image = ["image", str(path), "--frames", str(path), "--detector", "BF=8", "--source", "free-atoms"]
    result = CliRunner().invoke(app, [*image, "--out", str(tmp_path / "a")])
    assert result.exit_code == 0, result.output
    assert "3 frames of md.xyz" in result.output and "3 frozen-phonon configurations" in result.output
    record = json.loads((tmp_path / "a" / "record.json").read_text())
    assert record["phonons"]["configurations"] == 3
    assert record["specimen"]["thickness_nm"] == pytest.approx(0.408, abs=1e-3)
    result = CliRunner().invoke(app, [*image, "--phonons", "2", "--out", str(tmp_path / "b")])
    assert "2 frozen-phonon configurations" in result.output
    for more in (["--phonons", "4"], ["--msd", "Au=0.01"], ["--temperature", "100"], ["--phonons", "0"]):
        result = CliRunner().invoke(app, [*image, *more, "--out", str(tmp_path / "c")])
        assert result.exit_code == 2 and not (tmp_path / "c").exists(), result.output
