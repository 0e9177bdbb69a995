"""`rhotem weigh`: what is missing or contradicts is said in one line before anything is computed."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli import main

DATA = Path(__file__).parents[1] / "data" / "experiment"
PATTERN = DATA / "pacbed-srtio3-61-63nm.png"
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
        ([PATTERN, "SrTiO3", "LiF", *KNOWN, *DETECTOR, "--kind", "pattern"], "changes no position-averaged pattern"),
        ([PATTERN, "SrTiO3", "LiF", *KNOWN, "--also", PATTERN, "--kind", "pattern"], "or on one pattern"),
        ([PATTERN, "SrTiO3", "LiF", *KNOWN, "--kind", "pattern"], "say --counts"),
        ([PATTERN, "SrTiO3", "SrTiO4", *KNOWN, "--kind", "pattern", "--counts"], "SrTiO4"),
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


@pytest.mark.slow
def test_a_pattern_of_a_simulation_is_that_of_its_structure(tmp_path, rng):
    """12 nm of SrTiO3 against the same crystal with Ba in place of Sr: 300 electrons in the brightest pixel."""
    import json

    from rhotem.analysis.plan import Plan
    from rhotem.analysis.voice import Voice
    from rhotem.experiment.fit.frame import Frame
    from rhotem.experiment.fit.model import Model, Setting
    from rhotem.experiment.fit.simulated import pattern_plan, patterns_for

    asked = {"specimen": {"structure": "SrTiO3", "zone": (0, 0, 1), "thickness_nm": 16.0}}
    asked |= {"density": {"source": "free-atoms"}, "motion": {"phonons": 0}, "microscope": {"energy_keV": 200.0}}
    held = patterns_for(pattern_plan(Plan(**asked), 13.2), 1.0, Voice())
    truth = Setting(np.array([122.0, 12.1, 0.4, -0.3, 4.0, 1.4, -2.2, 0.2, 0.3, 0.1, 0.02]))
    y, x = np.indices((150, 150), dtype=float)
    model = Model(held, Frame(y, x - 75, y - 75, 1, None, True, "simulated"), (10.8, 13.2))
    expected = np.maximum(model.shown(model.beams(truth.values), truth), 0)
    np.save(tmp_path / "pattern.npy", rng.poisson(300 * expected / expected.max()).astype(np.int32))
    other = (DATA.parents[2] / "examples" / "SrTiO3.cif").read_text().replace("Sr", "Ba")
    (tmp_path / "BaTiO3.cif").write_text(other)
    arguments = [tmp_path / "pattern.npy", "SrTiO3", tmp_path / "BaTiO3.cif", "--zone", "0,0,1", "--kind", "pattern"]
    arguments += ["--counts", "--energy-keV", 200, "--convergence-mrad", 12, "--thickest", 16, "--mistilt", 1]
    arguments += ["--source", "free-atoms", "--phonons", 0, "--trials", 1, "--out", tmp_path / "w", "--quiet"]
    result = CliRunner().invoke(main.app, ["weigh", *(str(a) for a in arguments)])
    assert result.exit_code == 0, result.stderr
    record = json.loads((tmp_path / "w" / "record.json").read_text())["weighed"]
    assert record["best"] == "SrTiO3" and record["decided"], record
    assert record["hypotheses"]["SrTiO3"]["excess"] == pytest.approx(1.0, abs=0.1)
    assert (tmp_path / "w" / "weigh.png").exists()


@pytest.mark.slow
def test_a_structure_against_itself_is_said_to_be_the_same_and_decides_nothing(tmp_path):
    """The measured image, three configurations of thermal motion: ln odds of 0 within 0.01, and a warning."""
    import json

    arguments = [IMAGE, "SrTiO3", "SrTiO3", *KNOWN, *DETECTOR, "--source", "free-atoms", "--phonons", 3]
    arguments += ["--displacements", 1, "--trials", 1, "--thickest", 5, "--foci", "-1,1", "--astigmatism", 0]
    result = CliRunner().invoke(main.app, ["weigh", *(str(a) for a in arguments), "--out", str(tmp_path / "w"), "-q"])
    assert result.exit_code == 0, result.stderr
    assert "SrTiO3 and SrTiO3 (2) are the same structure and density" in result.stderr
    weighed = json.loads((tmp_path / "w" / "record.json").read_text())["weighed"]
    assert weighed["same"] == [["SrTiO3", "SrTiO3 (2)"]] and not weighed["decided"]
    assert [one["ln_evidence"] for one in weighed["hypotheses"].values()] == pytest.approx([0.0, 0.0], abs=0.01)
    assert result.stdout.startswith("undecided") and "no dose tells them apart" in result.stdout
