"""`rhotem weigh`: what is missing or contradicts is said in one line before anything is computed."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli import main

DATA = Path(__file__).parents[1] / "data" / "experiment"
IMAGE = DATA / "srtio3-haadf_1.ser"
COMMON = ["--zone", "0,0,1", "--energy-keV", 80]
KNOWN = [*COMMON, "--convergence-mrad", 25]
DETECTOR = ["--detector", "HAADF=70-200"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([IMAGE, "SrTiO3", *KNOWN, *DETECTOR], "give two or more"),
        ([IMAGE, "SrTiO3@iam", "SrTiO3", *KNOWN, *DETECTOR], "no such source"),
        ([IMAGE, "SrTiO3", "SrTiO4", *KNOWN, *DETECTOR], "SrTiO4"),
        ([IMAGE, "SrTiO3", "LiCoO2", *COMMON, *DETECTOR], "say --convergence-mrad"),
        ([IMAGE, "SrTiO3", "LiCoO2", *KNOWN, "--detector", "A=70-200", "--detector", "B=9-20"], "give one --detector"),
        ([IMAGE, "SrTiO3", "LiCoO2", *KNOWN, *DETECTOR, "--foci", "3"], "--foci 3: expected two"),
        ([DATA / "nothing.ser", "SrTiO3", "LiCoO2", *KNOWN, *DETECTOR], "nothing.ser"),
        ([DATA / "pacbed-srtio3-61-63nm.png", "A", "B", *KNOWN, *DETECTOR, "--kind", "pattern"], "images of a scan"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path, arguments, words):
    result = CliRunner().invoke(main.app, ["weigh", *(str(a) for a in arguments), "--out", str(tmp_path / "w"), "-q"])
    assert result.exit_code == 2
    assert words in result.stderr and len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert not (tmp_path / "w").exists()


def test_the_hypothesis_that_cannot_be_is_named(tmp_path):
    arguments = [IMAGE, "LiCoO2", "SrTiO3", *KNOWN, *DETECTOR, "--source", "free-atoms", "--phonons", "0"]
    result = CliRunner().invoke(main.app, ["weigh", *(str(a) for a in arguments), "--out", str(tmp_path / "w"), "-q"])
    assert result.exit_code == 2
    assert "hypothesis LiCoO2: " in result.stderr and len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert not (tmp_path / "w").exists()


@pytest.mark.slow
def test_images_of_a_simulation_are_those_of_their_structure(tmp_path, rng):
    """ADF of 3 nm of SrTiO3 against the same crystal with Ba in place of Sr."""
    import json

    from scipy.ndimage import map_coordinates

    from rhotem.analysis import run

    settings = {"energy": 200.0, "convergence": 18.0, "source_size": 0.8, "detectors": ["ADF=40-90"]}
    preset = run.adjusted_preset("layered-oxide", **settings)
    cut = run.specimen(run.structure("SrTiO3"), zone=(0, 0, 1), thickness=3, preset=preset)
    shown = run.image(cut, run.potential(cut, run.density(cut, "free-atoms"), phonons=0)).resampled(0.05)["ADF"]
    row, column = np.indices((120, 120)) * 0.3 / 3.905 * np.array(shown.shape)[:, None, None]
    image = map_coordinates(shown, [row, column], order=3, mode="grid-wrap")
    np.save(tmp_path / "adf.npy", rng.poisson(1e3 * np.maximum(image, 0)).astype(np.int32))
    other = tmp_path / "BaTiO3.cif"
    other.write_text((Path(__file__).parents[2] / "examples" / "SrTiO3.cif").read_text().replace("Sr", "Ba"))
    arguments = [tmp_path / "adf.npy", "SrTiO3", other, "--zone", "0,0,1", "--pixel-A", 0.3, "--counts"]
    arguments += ["--source", "free-atoms", "--energy-keV", 200, "--convergence-mrad", 18, "--phonons", 0]
    arguments += ["--thickest", 5, "--detector", "ADF=40-90", "--foci", "-1,1", "--astigmatism", 0, "--trials", 2]
    result = CliRunner().invoke(main.app, ["weigh", *(str(a) for a in arguments), "--out", str(tmp_path / "w"), "-q"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("SrTiO3, not BaTiO3: odds 10^")
    weighed = json.loads((tmp_path / "w" / "record.json").read_text())["weighed"]
    assert weighed["best"] == "SrTiO3" and weighed["decided"] and (tmp_path / "w" / "weigh.png").exists()
