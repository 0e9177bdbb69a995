"""Files written in every format, read back by the programs and libraries that they are for."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
import yaml

from rhotem.core import InputError
from rhotem.core.units import wavelength
from rhotem.microscope.formats.registry import FORMATS, export, signals
from rhotem.microscope.formats.signal import Axis, Signal

SAID = {"energy_keV": 200.0, "convergence_mrad": 20.0}
RECORD = {
    "microscope": {"energy": 200e3, "convergence": 20.0, "defocus": 80.0, "cs": 1e4, "aberrations": {}},
    "counting": {"electrons_per_position": 500.0},
}


@pytest.fixture
def image(rng):
    """Longer along y, steps and offsets unlike each other."""
    axes = (Axis("x", "Å", 5, 0.2, 1.0), Axis("y", "Å", 7, 0.3, -2.0))
    return Signal("iCoM", rng.random((5, 7)), axes, "rad", SAID, RECORD)


@pytest.fixture
def patterns(rng):
    axes = (
        Axis("x", "Å", 3, 0.25),
        Axis("y", "Å", 4, 0.25),
        Axis("kx", "mrad", 5, 2.0, -4.0),
        Axis("ky", "mrad", 7, 2.0, -6.0),
    )
    return Signal("4D", rng.random((3, 4, 5, 7)).astype(np.float32), axes, "", SAID, RECORD)


def written(signal, name, folder):
    path = folder / f"file{FORMATS[name].ending}"
    FORMATS[name].write(signal, path)
    return path


def test_hyperspy_round_trip(image, patterns, tmp_path):
    for signal in (image, patterns):
        path = written(signal, "hspy", tmp_path)
        (back,) = signals(path)
        np.testing.assert_array_equal(back.data, signal.data)
        assert back.axes == signal.axes and back.unit == signal.unit
        assert back.energy == 200e3 and back.convergence == 20.0 and back.record == signal.record


@pytest.mark.parametrize("which", ["image", "patterns"])
def test_berkeley_emd_is_read_by_hyperspys_reader(which, request, tmp_path):
    from rsciio.emd import file_reader

    signal = request.getfixturevalue(which)
    stored = file_reader(str(written(signal, "emd", tmp_path)))[0]
    data, axes = signal.in_rows()
    np.testing.assert_allclose(np.asarray(stored["data"]), data)
    for seen, axis in zip(stored["axes"], axes, strict=True):
        assert (seen["name"], seen["units"], seen["size"]) == (axis.name, axis.unit, axis.size)
        assert (seen["scale"], seen["offset"]) == pytest.approx((axis.step, axis.offset))


def test_mrc_is_read_by_mrcfile_and_hyperspys_reader(image, tmp_path):
    import mrcfile
    from rsciio.mrc import file_reader

    path = written(image, "mrc", tmp_path)
    with mrcfile.open(path) as file:
        assert file.data.shape == (7, 5) and file.data[6, 1] == np.float32(image.data[1, 6])
        assert (float(file.voxel_size.x), float(file.voxel_size.y)) == pytest.approx((0.2, 0.3))
    assert mrcfile.validate(str(path))
    stored = file_reader(str(path))[0]
    assert np.asarray(stored["data"]).squeeze()[6, 1] == np.float32(image.data[1, 6])
    scales = {axis["name"]: (axis["scale"], axis["units"]) for axis in stored["axes"]}
    unit = {"nm": 0.1, "Å": 1.0}[scales["x"][1]]
    assert (scales["x"][0], scales["y"][0]) == pytest.approx((0.2 * unit, 0.3 * unit))


def test_nexus_says_which_axis_is_which(image, patterns, tmp_path):
    for signal in (image, patterns):
        with h5py.File(written(signal, "nexus", tmp_path)) as file:
            entry = file[file.attrs["default"]]
            assert entry["definition"][()] == b"NXem" and bool(entry["sample1/is_simulation"][()])
            stored = entry[entry.attrs["default"]]
            data, axes = signal.in_rows()
            assert list(stored.attrs["axes"]) == [axis.name for axis in axes]
            np.testing.assert_array_equal(stored[stored.attrs["signal"]], data)
            for axis in axes:
                np.testing.assert_allclose(stored[axis.name], axis.values)
                assert stored[axis.name].attrs["units"] == {"Å": "angstrom", "mrad": "mrad"}[axis.unit]
            assert json.loads(entry["rhotem/record"][()])["microscope"]["defocus"] == 80.0
            assert "start_time" not in entry and "preparation_date" not in entry["sample1"]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_can_be_made_of_a_file(name, image, patterns, tmp_path):
    """A HyperSpy file gives numpy's numbers, which neither JSON nor YAML takes."""
    (tmp_path / "run").mkdir()
    for signal in (image, patterns):
        FORMATS["hspy"].write(signal, tmp_path / "run" / f"{signal.name}.hspy")
    said = next(signals(tmp_path / "run" / "4D.hspy"))
    assert type(said.said["energy_keV"]) is float and type(said.record["microscope"]["defocus"]) is float
    (tmp_path / "out").mkdir()
    assert f"4D{FORMATS[name].ending}" in export(tmp_path / "run", name, tmp_path / "out") or not FORMATS[name].patterns


@pytest.mark.parametrize(("unit", "step"), [("nm", 0.2), ("", 0.2), ("Å", -0.2), ("Å", 0.0), ("Å", float("nan"))])
def test_a_file_without_scale_is_refused(image, unit, step, tmp_path):
    axes = (dataclasses.replace(image.axes[0], unit=unit, step=step), image.axes[1])
    FORMATS["hspy"].write(dataclasses.replace(image, axes=axes), tmp_path / "a.hspy")
    with pytest.raises(InputError, match="axis x has no scale in Å"):
        export(tmp_path / "a.hspy", "tiff", tmp_path)


def test_nexus_of_a_file_says_when_the_run_was_made(image, tmp_path):
    """From a HyperSpy file, whose reader gives numpy numbers; a time that nobody knows is left away."""
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "iCoM.hspy"
    FORMATS["hspy"].write(dataclasses.replace(image, record={"shape": [5, 7], "seed": np.int64(3)}), path)
    (tmp_path / "run" / "record.json").write_text('{"created": "2026-01-02T03:04:05+00:00"}')
    for name in ("nexus", "tiff"):
        export(tmp_path / "run", name, tmp_path)
    with h5py.File(tmp_path / "iCoM.nxs") as file:
        assert file["entry/start_time"][()] == b"2026-01-02T03:04:05+00:00"
        assert json.loads(file["entry/rhotem/record"][()])["seed"] == 3


def test_py4dstem_file_by_its_layout(patterns, tmp_path):
    """EMD 1.0: a root, its calibration, an array with compressed dimensions; angles as 1/Å."""
    with h5py.File(written(patterns, "py4dstem", tmp_path)) as file:
        cube = file["datacube_root/datacube"]
        assert (cube.attrs["emd_group_type"], cube.attrs["python_class"]) == ("array", "DataCube")
        assert cube["data"].shape == (4, 3, 7, 5) and cube["data"][3, 1, 6, 2] == patterns.data[1, 3, 2, 6]
        calibration = file["datacube_root/metadatabundle/calibration"]
        assert calibration["R_pixel_size"][()] == pytest.approx(0.25)
        assert calibration["Q_pixel_size"][()] == pytest.approx(2e-3 / wavelength(200e3))
        assert calibration["Q_pixel_units"][()] == b"A^-1"
        np.testing.assert_allclose(cube["dim3"], [0.0, 2e-3 / wavelength(200e3)])


def test_py4dstem_file_by_its_own_reader(patterns, tmp_path):
    py4dstem = pytest.importorskip("py4DSTEM")
    cube = py4dstem.read(written(patterns, "py4dstem", tmp_path))
    assert cube.data[3, 1, 6, 2] == patterns.data[1, 3, 2, 6]
    assert cube.calibration.get_R_pixel_size() == pytest.approx(0.25)


def test_ptyrad_and_phaser_get_squares_and_their_signs(patterns, tmp_path):
    """Zero angle stays in the middle; PtyRAD's C10 and phaser's defocus are minus the defocus."""
    path = written(patterns, "ptyrad", tmp_path)
    asked = yaml.safe_load(path.with_suffix(".yaml").read_text())["init_params"]
    with h5py.File(path) as file:
        stored = file[asked["meas_params"]["key"]]
        assert stored.shape == (4, 3, 7, 7) and stored[3, 1, 6, 3] == patterns.data[1, 3, 2, 6]
    assert (asked["pos_N_scan_slow"], asked["pos_N_scan_fast"], asked["meas_Npix"]) == (4, 3, 7)
    assert asked["probe_aberrations"] == {"C10": -80.0, "C30": 1e4}
    assert asked["meas_calibration"] == {"mode": "da", "value": 2.0} and asked["probe_kv"] == 200.0
    path = written(patterns, "phaser", tmp_path)
    plan = yaml.safe_load(path.with_suffix(".yaml").read_text())
    assert plan["init"]["probe"]["defocus"] == -80.0 and plan["init"]["probe"]["aberrations"] == [{"c3": 1e4}]
    assert plan["init"]["scan"] == {"type": "raster", "shape": [4, 3], "step_size": [0.25, 0.25]}
    assert plan["raw_data"]["diff_step"] == 2.0 and plan["raw_data"]["kv"] == 200.0


def test_ptyrad_and_phaser_check_their_files(patterns, tmp_path):
    """By their own models, where they are installed."""
    parameters = pytest.importorskip("ptyrad.params.ptyrad_params")
    plan = pytest.importorskip("phaser.plan")
    path = written(patterns, "ptyrad", tmp_path)
    parameters.PtyRADParams(**yaml.safe_load(path.with_suffix(".yaml").read_text()))
    path = written(patterns, "phaser", tmp_path)
    plan.ReconsPlan.from_data(yaml.safe_load(path.with_suffix(".yaml").read_text()))


def test_what_a_format_cannot_hold_is_refused(image, patterns, tmp_path):
    oblong = dataclasses.replace(patterns, axes=(*patterns.axes[:2], Axis("kx", "mrad", 5, 1.0), patterns.axes[3]))
    with pytest.raises(InputError, match=r"pixels of 1 × 2 mrad; PtyRAD takes square ones: simulate with --camera"):
        written(oblong, "ptyrad", tmp_path)
    stigmated = {**RECORD, "microscope": {**RECORD["microscope"], "aberrations": {"C12": 20.0, "phi12": 0.3}}}
    with pytest.raises(InputError, match="C12, phi12: only C10, C30 and C50"):
        written(dataclasses.replace(patterns, record=stigmated), "phaser", tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    written(image, "hspy", run)
    with pytest.raises(InputError, match="--to png: not known; choose one of hspy, tiff, mrc"):
        export(run, "png", tmp_path)
    with pytest.raises(InputError, match=r"--to phaser: holds diffraction patterns .*, and .* has none"):
        export(run, "phaser", tmp_path)
    with pytest.raises(InputError, match=r"holds no \.hspy file"):
        list(signals(tmp_path.parent))
    with pytest.raises(InputError, match="no such file or folder"):
        list(signals(tmp_path / "nowhere"))
