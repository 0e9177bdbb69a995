"""Films: frames are the images of their atoms, runs go on where they were killed, what means nothing is refused."""

import os
import signal
import subprocess
import sys
import time

import ase
import ase.io
import numpy as np
import pytest
import zarr
from PIL import Image
from typer.testing import CliRunner

from rhotem.analysis import run as steps
from rhotem.analysis.plan import Plan
from rhotem.battery.film import Wanted, make_film
from rhotem.battery.film.charge import projected_deformation
from rhotem.battery.film.draw import Atoms, Panel, ways
from rhotem.battery.film.finish import _kept, _overlooked
from rhotem.battery.film.frames import FilmFrames
from rhotem.battery.film.movie import usual_format, write_movie
from rhotem.battery.trajectories import read_trajectory
from rhotem.cli import main
from rhotem.core import InputError, MissingDependencyError, PeriodicGrid, silent
from rhotem.density.field import DensityField
from rhotem.structure.model import Structure

#: LiF of two cells, one detector of small angles: a fraction of a second for each frame.
SMALL = {
    "density": {"source": "free-atoms"},
    "microscope": {"detectors": ["ABF=11-22", "DPC=6-22"]},
    "computing": {"sampling_A": 0.09},
}


def _frames(number=3, drift=0.0):
    atoms = ase.Atoms(
        "Li4F4",
        cell=[4.03, 4.03, 4.03],
        pbc=True,
        scaled_positions=np.array(
            [
                [0, 0, 0],
                [0.5, 0.5, 0],
                [0.5, 0, 0.5],
                [0, 0.5, 0.5],
                [0.5, 0, 0],
                [0, 0.5, 0],
                [0, 0, 0.5],
                [0.5, 0.5, 0.5],
            ]
        ),
    )
    made = []
    for k in range(number):
        one = atoms.copy()
        one.positions[0] += [0.3 * k, 0.2 * k, 0.0]
        one.positions += drift * k
        one.info["time"] = 5.0 * k
        made.append(one)
    return made


@pytest.fixture
def hop(tmp_path):
    ase.io.write(tmp_path / "hop.extxyz", _frames())
    return tmp_path / "hop.extxyz"


def _plan(path, **changes):
    return Plan(specimen={"structure": str(path)}, **SMALL).changed(changes)


def test_a_frame_is_the_image_of_its_atoms(hop, tmp_path):
    """Against the image of a structure file of the same atoms, computed by itself on the same grid."""
    made = make_film(_plan(hop), read_trajectory(hop), tmp_path / "out", Wanted(form="gif"))
    group = zarr.open_group(str(made.frames), mode="r")
    trajectory = read_trajectory(hop)
    frames = FilmFrames(trajectory, np.arange(3), _plan(hop, phonons=0, keep_cell=True, zone=(0, 0, 1)), "free-atoms")
    atoms = ase.Atoms(trajectory.numbers, scaled_positions=frames.places[2], cell=trajectory.mean_cell, pbc=True)
    preset = _plan(hop).preset()
    cut = steps.specimen(Structure(atoms), (0, 0, 1), basis="input", keep_cell=True, preset=preset, sampling=0.09)
    alone = steps.image(cut, steps.potential(cut, steps.density(cut, "free-atoms"), phonons=0)).resampled(0.1)
    for name in ("ABF", "iDPC"):
        film = np.asarray(group[name])[2]
        assert film.shape == alone[name].shape
        # slices of the single image lie elsewhere
        assert np.abs(film - alone[name]).max() < 0.02 * np.ptp(alone[name])
    moved = np.abs(np.asarray(group["ABF"])[2] - np.asarray(group["ABF"])[0])
    assert moved.max() > 0.02 * np.ptp(alone["ABF"])


@pytest.mark.slow
def test_drift_of_the_whole_does_not_move_the_picture(tmp_path):
    images = []
    for name, drift in (("still", 0.0), ("drift", 0.11)):
        ase.io.write(tmp_path / f"{name}.extxyz", _frames(2, drift))
        path = tmp_path / f"{name}.extxyz"
        made = make_film(_plan(path), read_trajectory(path), tmp_path / name, Wanted(form="gif"))
        images.append(np.asarray(zarr.open_group(str(made.frames), mode="r")["ABF"]))
    np.testing.assert_allclose(images[0], images[1], atol=1e-5)


@pytest.mark.slow
def test_the_average_is_the_mean_of_the_frames(hop, tmp_path):
    made = make_film(_plan(hop), read_trajectory(hop), tmp_path / "out", Wanted(form="gif", average=True))
    frames = np.asarray(zarr.open_group(str(made.frames), mode="r")["ABF"])
    mean = np.asarray(zarr.open_group(str(made.average / "images.zarr"), mode="r")["ABF"])
    np.testing.assert_allclose(mean, frames.mean(axis=0), atol=1e-6)
    error = np.asarray(zarr.open_group(str(made.average / "error" / "images.zarr"), mode="r")["ABF"])
    np.testing.assert_allclose(error, frames.std(axis=0, ddof=1) / np.sqrt(3), atol=1e-6)


@pytest.mark.slow
def test_command_goes_on_after_a_kill(hop, tmp_path):
    """A run killed in the middle keeps its frames; the film of both is that of one run, bit for bit."""
    command = [
        "film",
        str(hop),
        "--source",
        "free-atoms",
        "--detector",
        "ABF=11-22",
        "--sampling",
        "0.09",
        "--format",
        "gif",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.Popen(
        [sys.executable, "-m", "rhotem", *command, "--out", str(tmp_path / "killed")],
        env=environment,
        stdout=subprocess.PIPE,
    )
    done = tmp_path / "killed" / "film.zarr" / "done"
    for _ in range(600):
        if any(path.is_file() and path.name not in (".zarray", ".zattrs", "zarr.json") for path in done.rglob("*")):
            break
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (tmp_path / "killed" / "record.json").exists() or run.returncode == 0
    for name in ("killed", "whole"):
        result = CliRunner().invoke(main.app, [*command, "--out", str(tmp_path / name)])
        assert result.exit_code == 0, result.output
    assert "of 3 frames are there" in CliRunner().invoke(main.app, [*command, "--out", str(tmp_path / "killed")]).stdout
    one, other = (zarr.open_group(str(tmp_path / n / "film.zarr"), mode="r") for n in ("killed", "whole"))
    np.testing.assert_array_equal(np.asarray(one["ABF"]), np.asarray(other["ABF"]))
    assert (tmp_path / "killed" / "film.gif").read_bytes() == (tmp_path / "whole" / "film.gif").read_bytes()
    assert not list((tmp_path / "killed").glob(".*"))
    result = CliRunner().invoke(main.app, [*command, "--every", "2", "--out", str(tmp_path / "whole")])
    assert result.exit_code == 2 and "another film" in result.stderr


def test_what_means_nothing_is_refused(hop, tmp_path):
    trajectory, out = read_trajectory(hop), tmp_path / "out"
    with pytest.raises(InputError, match="--defocus best"):
        make_film(_plan(hop, defocus_nm="best"), trajectory, out)
    with pytest.raises(InputError, match="makes no images"):
        make_film(Plan(specimen={"structure": str(hop)}, microscope={"preset": "saed"}), trajectory, out)
    with pytest.raises(InputError, match="it has 3 frames"):
        make_film(_plan(hop), trajectory, out, Wanted(start=7))
    with pytest.raises(InputError, match="--fps"):
        make_film(_plan(hop), trajectory, out, Wanted(fps=0.0))
    with pytest.raises(InputError, match="--element Xx: not in"):
        make_film(_plan(hop), trajectory, out, Wanted(element="Xx"))
    with pytest.raises(InputError, match="--scale foo: no such image"):
        make_film(_plan(hop), trajectory, out, Wanted(scales={"foo": (0.0, 1.0)}))
    assert not out.exists()
    with pytest.raises(InputError, match="cannot write there"):
        make_film(_plan(hop), trajectory, hop)
    out.mkdir()
    (out / "record.json").write_text("{}")
    with pytest.raises(InputError, match="holds another result"):
        make_film(_plan(hop), trajectory, out)
    assert [path.name for path in out.iterdir()] == ["record.json"]


def test_mp4_without_ffmpeg_says_what_to_install(hop, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"rhotem\[film\]"):
        make_film(_plan(hop), read_trajectory(hop), tmp_path / "out", Wanted(form="mp4"))


@pytest.mark.parametrize("form", ["gif", "mp4"])
def test_a_film_has_its_pictures(form, tmp_path):
    """Grey levels that rise from picture to picture come back from the file."""
    if form == "mp4" and usual_format() != "mp4":
        pytest.skip("needs imageio-ffmpeg")
    shown = [np.full((41, 63, 3), 40 * k, dtype=np.uint8) for k in range(5)]
    path = tmp_path / f"film.{form}"
    write_movie(iter(shown), path, 10.0)
    if form == "gif":
        from PIL import ImageSequence

        found = [np.asarray(one.convert("RGB")).mean() for one in ImageSequence.Iterator(Image.open(path))]
    else:
        from imageio_ffmpeg import read_frames

        reader = read_frames(str(path))
        assert next(reader)["size"] == (64, 42)
        found = [np.frombuffer(one, np.uint8).mean() for one in reader]
    np.testing.assert_allclose(found, [0, 40, 80, 120, 160], atol=4)


def test_ways_of_ions_pass_the_edges_of_the_cell():
    """One ion goes 5.6 Å through the edge of a cell of 6 Å in steps of 0.7 Å, one vibrates, one atom is no ion."""
    x = 1.0 + 0.7 * np.arange(9)
    places = np.ones((9, 3, 3))
    places[:, 0, 0], places[1::2, 1, 1] = x % 6.0, 0.6
    atoms = Atoms(places, np.array([3, 3, 8]), np.array([True, True, False]), np.array([6.0, 6.0, 0.0]))
    way = ways(atoms)
    np.testing.assert_allclose(way[:, 0], np.stack([x - 1.0, 0.0 * x], axis=1), atol=1e-12)
    assert np.abs(way[:, 1]).max() == pytest.approx(0.4)


@pytest.mark.parametrize(("frames", "high"), [(12, 9.0), (100, 1.0)])
def test_one_bright_frame_of_many_does_not_darken_a_film(frames, high):
    values = np.ones((frames, 4, 5))
    values[:, 0, 0], values[frames // 2, 1, 1] = 0.0, 9.0
    assert Panel("ABF", "ABF", values, (4.0, 5.0)).range == (0.0, high)


def test_the_sheet_of_a_film_shows_some_of_all_its_pictures(tmp_path):
    shown = [np.full((40, 60, 3), k, dtype=np.uint8) for k in range(100)]
    passed = list(_overlooked(iter(shown), 100, tmp_path / "overview.png"))
    assert [picture[0, 0, 0] for picture in passed] == list(range(100))
    sheet = np.asarray(Image.open(tmp_path / "overview.png"))
    assert sheet.shape == (80, 60, 3)
    assert sheet[::20, ::30, 0].ravel().tolist() == [0, 14, 28, 42, 57, 71, 85, 99]


def test_a_film_of_one_frame_has_its_first_and_last_picture(tmp_path):
    shown = [np.full((40, 60, 3), 7, dtype=np.uint8)]
    ends = [(0, tmp_path / "first.png"), (0, tmp_path / "last.png")]
    made = _kept(_overlooked(iter(shown), 1, tmp_path / "overview.png"), ends, (silent, 1))
    assert len(list(made)) == 1
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "last.png").read_bytes()
    assert Image.open(tmp_path / "overview.png").size == (30, 20)


def test_slices_are_those_of_moving_atoms(tmp_path):
    """A run starts from the crystal at rest; its planes would be cut finer than the atoms of all other frames need."""
    still = _frames(1)[0].repeat((1, 1, 2))
    moved = still.copy()
    moved.positions += np.random.default_rng(0).normal(0, 0.12, moved.positions.shape)
    moving = [moved.copy() for _ in range(4)]
    counted = []
    for name, frames in (("run", [still, *moving]), ("later", moving), ("rest", [still])):
        for number, atoms in enumerate(frames):
            atoms.info["time"] = 5.0 * number
        ase.io.write(tmp_path / f"{name}.extxyz", frames)
        trajectory = read_trajectory(tmp_path / f"{name}.extxyz")
        plan = _plan(tmp_path / f"{name}.extxyz", phonons=0, keep_cell=True, zone=(0, 0, 1), zone_basis="input")
        counted.append(FilmFrames(trajectory, np.arange(len(frames)), plan, "free-atoms").middle.grid.shape[2])
    assert counted[0] == counted[1] != counted[2]


def test_projected_deformation_is_the_integral_along_the_beam(hop):
    """A plane wave across the beam keeps its height times the cell's depth, one along the beam vanishes."""
    trajectory = read_trajectory(hop)
    plan = _plan(hop, phonons=0, keep_cell=True, zone=(0, 0, 1), zone_basis="input")
    cut = FilmFrames(trajectory, np.arange(1), plan, "free-atoms").middle
    crystal = cut.cell.unrotated
    grid = PeriodicGrid(crystal.cell, (20, 20, 20))
    place = np.linalg.solve(crystal.cell.T, grid.points().reshape(-1, 3).T).T.reshape(20, 20, 20, 3)
    for axis in range(3):
        values = 0.1 * np.cos(2 * np.pi * place[..., axis])
        shown = projected_deformation(cut, DensityField("deformation", crystal, grid, values))
        along = abs(np.asarray(cut.cell.transform)[2, axis]) == 1
        assert shown.max() == pytest.approx(0.0 if along else 0.403, abs=1e-3)
