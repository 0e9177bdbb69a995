"""`rhotem fit`: what is missing or contradicts is said in one line before anything is computed; images end to end."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner

from rhotem.analysis import run
from rhotem.cli import main
from rhotem.cli.fit import _whole
from rhotem.core import InputError
from rhotem.experiment.calibrate.projection import project
from rhotem.experiment.measurement import Axis, Measurement, Source

from ..experiment.scans import Scan, scanned

DATA = Path(__file__).parents[1] / "data" / "experiment"
PATTERN = DATA / "pacbed-srtio3-61-63nm.png"
COMMON = ["SrTiO3", "--zone", "0,0,1", "--source", "free-atoms"]
KNOWN = ["--energy-keV", 200, "--convergence-mrad", 13.6]


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main.app, ["fit", *(str(a) for a in arguments)])
    return result.exit_code, result.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([PATTERN, *COMMON, "--energy-keV", 200], "say --convergence-mrad"),
        ([PATTERN, *COMMON, "--convergence-mrad", 13.6], "say --energy-keV"),
        ([PATTERN, *COMMON, *KNOWN, "--detector", "HAADF=70-200"], "changes no position-averaged pattern"),
        ([PATTERN, *COMMON, *KNOWN, "--kind", "image", "--pixel-A", 0.1, "--foci", "3"], "--foci 3: expected two"),
        ([PATTERN, *COMMON, *KNOWN, "--kind", "image", "--pixel-A", 0.1], "give one --detector"),
        (
            [PATTERN, *COMMON, *KNOWN, "--kind", "image", "--pixel-A", 0.1, "--exchange", "Sr/Ti=0,5"],
            "as Li/Ni=0,7,14,20",
        ),
        ([PATTERN, *COMMON[:3], *KNOWN, "--kind", "image", "--exchange", "Sr/Ti=0,5,9"], "say --source free-atoms"),
        ([DATA / "nothing.png", *COMMON, *KNOWN], "nothing.png"),
        ([PATTERN, *COMMON, *KNOWN, "--kind", "image", "--pixel-A", 0.1, "--detector", "O-K"], "no core losses"),
        ([PATTERN, *COMMON, *KNOWN, "--without", "2"], "--without leaves images of a focal series out"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path, arguments, words):
    code, said = invoke(*arguments, "--out", tmp_path / "fit", "--quiet")
    assert code == 2
    assert words in said and len(said.strip().splitlines()) == 1, said
    assert not (tmp_path / "fit").exists()


def test_a_picture_without_disc_is_refused_before_patterns_are_made(tmp_path, rng):
    Image.fromarray(rng.integers(0, 255, (200, 200)).astype(np.uint8)).save(tmp_path / "noise.png")
    code, said = invoke(tmp_path / "noise.png", *COMMON, *KNOWN, "--out", tmp_path / "fit", "--quiet")
    assert code == 2 and "noise.png" in said and len(said.strip().splitlines()) == 1


def test_one_pattern_without_disc_does_not_end_the_others():
    """One of nine was refused before anything was computed, and with it the other eight."""
    y, x = np.indices((90, 90)) - 45
    disc = (200.0 - y + 0.1 * x) * (np.hypot(y, x) < 30)
    axes = (Axis("ky", "mrad"), Axis("kx", "mrad"))
    good, cut = (
        Measurement(data, "pattern", axes, 200.0, 12.0, source=Source(name, ""))
        for data, name in ((disc, "good.png"), (disc[:, 30:], "cut.png"))
    )
    warned: list[str] = []
    assert _whole([good, cut], warned.append) == [good] and len(warned) == 1 and "cut.png" in warned[0]
    with pytest.raises(InputError, match="the bright area runs into the edge"):
        _whole([cut], warned.append)
    with pytest.raises(InputError, match="none of the patterns"):
        _whole([cut, cut], warned.append)


def test_too_thin_a_range_is_refused_with_what_would_do(tmp_path):
    """It was said after the response had been computed, without a number."""
    ser = DATA / "srtio3-haadf_1.ser"
    asked = [*COMMON, "--kind", "image", "--energy-keV", 80, "--convergence-mrad", 25, "--detector", "HAADF=70-200"]
    code, said = invoke(ser, *asked, "--thickest", 3, "--out", tmp_path / "fit", "--quiet")
    assert code == 2 and "--thickest 4.7 or more" in said
    assert len(said.strip().splitlines()) == 1


def columns_of_srtio3(rng: np.random.Generator) -> np.ndarray:
    """Bright columns at 0.3 Å per pixel, 128 × 128."""
    crystal = project(run.structure("SrTiO3"), (0, 0, 1))
    return scanned(crystal, Scan(0.3, 12.0), (128, 128), rng) + rng.normal(0, 0.05, (128, 128))


#: Refused after the lattice was found, and before anything is computed.
FOUND = [*COMMON, "--kind", "image", "--energy-keV", 80, "--convergence-mrad", 25, "--thickest", 3]


@pytest.mark.parametrize("detector, sign, found", [("ABF=12-24", -1, True), ("HAADF=70-200", -1, False)])
def test_the_lattice_of_a_bright_field_is_found_in_dark_columns(tmp_path, rng, detector, sign, found):
    """A bright field alone was refused: "check structure and zone"."""
    np.save(tmp_path / "a.npy", sign * columns_of_srtio3(rng))
    asked = [*FOUND, "--detector", detector, "--pixel-A", 0.3]
    code, said = invoke(tmp_path / "a.npy", *asked, "--out", tmp_path / "fit", "--quiet")
    assert code == 2 and ("--thickest 4.7 or more" in said) == found, said
    assert found or "invert a bright field" in said


def test_the_scale_of_one_image_is_that_of_all(tmp_path, rng):
    """The lattice of the first was laid at whatever scale it has, though the second file states another."""
    image = columns_of_srtio3(rng)
    np.save(tmp_path / "a.npy", image)
    asked = [*FOUND, "--detector", "HAADF=70-200", "--detector", "ADF=40-70"]
    for pixel, words in ((0.03, "--thickest 4.7 or more"), (0.05, "")):
        tifffile.imwrite(
            tmp_path / "b.tif",
            image.astype("f4"),
            imagej=True,
            resolution=(1 / pixel, 1 / pixel),
            metadata={"unit": "nm"},
        )
        code, said = invoke(tmp_path / "a.npy", tmp_path / "b.tif", *asked, "--out", tmp_path / "fit", "--quiet")
        assert code == 2 and ("--thickest" in said) == bool(words), said
        assert words or ("a.npy: the structure cannot give the lattice" in said and "0.5 Å per pixel" in said), said


@pytest.mark.slow
def test_images_of_a_simulation_give_back_thickness_and_focus(tmp_path, rng):
    """HAADF and ABF of 4 nm SrTiO3, 2 nm underfocus, electrons counted, an unknown rotation of the scan."""
    from scipy.ndimage import map_coordinates

    settings = {"energy": 200.0, "convergence": 18.0, "defocus": 2.0, "source_size": 0.8}
    preset = run.adjusted_preset("layered-oxide", **settings, detectors=["HAADF=60-180", "ABF=9-18"])
    cut = run.specimen(run.structure("SrTiO3"), zone=(0, 0, 1), thickness=4, preset=preset)
    shown = run.image(cut, run.potential(cut, run.density(cut, "free-atoms"), phonons=0)).resampled(0.05)
    turn = np.deg2rad(12.0)
    row, column = np.indices((128, 128)) * 0.3
    x, y = np.cos(turn) * column - np.sin(turn) * row + 0.7, np.sin(turn) * column + np.cos(turn) * row + 1.3
    for name in ("HAADF", "ABF"):
        step = [length / n for length, n in zip(shown.scan.size, shown[name].shape, strict=True)]
        seen = map_coordinates(shown[name], [x / step[0], y / step[1]], order=3, mode="grid-wrap")
        np.save(tmp_path / f"{name}.npy", rng.poisson(2e4 * np.maximum(seen, 0)).astype(np.int32))
    arguments = [tmp_path / "HAADF.npy", tmp_path / "ABF.npy", *COMMON, "--kind", "image", "--pixel-A", 0.3]
    arguments += ["--energy-keV", 200, "--convergence-mrad", 18, "--counts", "--phonons", 0, "--thickest", 7]
    arguments += ["--detector", "HAADF=60-180", "--detector", "ABF=9-18", "--foci", "-3,5", "--astigmatism", 1]
    arguments += ["--posterior", "mcmc", "--mcmc-steps", 12]
    code, said = invoke(*arguments, "--out", tmp_path / "fit", "--quiet")
    assert code == 0, said
    assert said.startswith("warning: the chains are not long enough") and len(said.strip().splitlines()) == 1
    known = json.loads((tmp_path / "fit" / "record.json").read_text())["fit"]["posterior"]
    assert known["walkers"] >= 32 and not known["converged"] and known["parameters"]["thickness"]["split_r"] > 0
    with np.load(tmp_path / "fit" / "posterior.npz") as held:
        assert held["samples"].shape[1] == len(held["names"]) == len(known["parameters"])
    assert (tmp_path / "fit" / "posterior.png").exists()
    found = json.loads((tmp_path / "fit" / "record.json").read_text())["fit"]["parameters"]
    assert (tmp_path / "fit" / "fit.png").exists()
    for name, truth, slack in (("thickness", 39.0, 2.5), ("defocus", 20.0, 5.0), ("source_size", 0.8, 0.1)):
        assert found[name]["value"] == pytest.approx(truth, abs=slack + 3 * found[name]["error"]), name


@pytest.mark.slow
def test_a_focal_series_of_a_simulation_gives_back_thickness_and_lens(tmp_path, rng):
    """Four images of 4.3 nm SrTiO3, 3.6 nm apart where 3.5 is said, drifting, turned by 14°, Cs −16 µm, −15 said."""
    from dataclasses import replace

    stack, turn, step = [], np.deg2rad(14.0), 0.22
    row, column = np.indices((150, 160)) * step
    for focus in (-8.0, -4.4, -0.8, 2.8):
        settings = {"energy": 300.0, "convergence": 0.2, "cs": -0.016, "focal_spread": 28.0, "defocus": focus}
        preset = run.adjusted_preset("hrtem", **settings)
        lens = preset.microscope.model_copy(update={"dose": None})
        preset = preset.model_copy(update={"microscope": lens})
        if not stack:
            cut = run.specimen(run.structure("SrTiO3"), zone=(0, 0, 1), thickness=4.3, preset=preset)
            potential = run.potential(cut, run.density(cut, "free-atoms"), phonons=0)
        shown = run.image(replace(cut, preset=preset), potential)
        sides = zip(shown["HRTEM"].shape, shown.scan.size, strict=True)
        q = [np.rint(np.fft.fftfreq(n) * n) / size for n, size in sides]
        blur = np.exp(-2 * np.pi**2 * 0.3**2 * (q[0][:, None] ** 2 + q[1][None] ** 2))
        waves = np.fft.fft2(shown["HRTEM"]) / shown["HRTEM"].size * blur
        x, y = rng.uniform(0, 4, 2)
        x, y = x + np.cos(turn) * column - np.sin(turn) * row, y + np.sin(turn) * column + np.cos(turn) * row
        along = [np.exp(2j * np.pi * place.ravel()[:, None] * one) for place, one in zip((x, y), q, strict=True)]
        expected = ((along[0] @ waves) * along[1]).sum(axis=1).real
        stack.append(rng.poisson(100 * np.maximum(expected, 0)).reshape(row.shape))
    np.save(tmp_path / "series.npy", np.array(stack, dtype=np.int32))
    arguments = [tmp_path / "series.npy", *COMMON, "--focus-step", 3.5, "--cs", -0.015, "--convergence-mrad", 0.2]
    arguments += ["--energy-keV", 300, "--pixel-A", 0.22, "--counts", "--phonons", 0, "--thickest", 6]
    code, said = invoke(*arguments, "--foci=-12,0", "--astigmatism", 1, "--out", tmp_path / "fit", "--quiet")
    assert code == 0, said
    fit = json.loads((tmp_path / "fit" / "record.json").read_text())["fit"]
    assert (tmp_path / "fit" / "fit.png").exists()
    truth = {"thickness": 42.955, "defocus": -80.0, "focus_step": 3.6 / 3.5, "Cs": -1.6e5, "focal_spread": 28.0}
    for name, value in truth.items():
        found = fit["parameters"][name]
        assert abs(found["value"] - value) < 4 * found["error"], (name, found)
    assert fit["excess"] == pytest.approx(1.0, abs=0.05)
