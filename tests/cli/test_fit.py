"""`rhotem fit`: what is missing or contradicts is said in one line before anything is computed; images end to end."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from rhotem.cli import main

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


def test_too_thin_a_range_is_refused_with_what_would_do(tmp_path):
    """It was said after the response had been computed, without a number."""
    ser = DATA / "srtio3-haadf_1.ser"
    asked = [*COMMON, "--kind", "image", "--energy-keV", 80, "--convergence-mrad", 25, "--detector", "HAADF=70-200"]
    code, said = invoke(ser, *asked, "--thickest", 3, "--out", tmp_path / "fit", "--quiet")
    assert code == 2 and "--thickest 4.7 or more" in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.slow
def test_images_of_a_simulation_give_back_thickness_and_focus(tmp_path, rng):
    """HAADF and ABF of 4 nm SrTiO3, 2 nm underfocus, electrons counted, an unknown rotation of the scan."""
    from scipy.ndimage import map_coordinates

    from rhotem.analysis import run

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
    code, said = invoke(*arguments, "--out", tmp_path / "fit", "--quiet")
    assert code == 0, said
    found = json.loads((tmp_path / "fit" / "record.json").read_text())["fit"]["parameters"]
    assert (tmp_path / "fit" / "fit.png").exists()
    for name, truth, slack in (("thickness", 39.0, 2.5), ("defocus", 20.0, 5.0), ("source_size", 0.8, 0.1)):
        assert found[name]["value"] == pytest.approx(truth, abs=slack + 3 * found[name]["error"]), name
