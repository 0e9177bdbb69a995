"""`rhotem instruments`, and images of an instrument: clean ones beside them, seeds, switches, records."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

import rhotem
from rhotem.analysis.plan import Plan
from rhotem.cli import main

PLAN: dict[str, Any] = {
    "specimen": {"structure": "LiF", "thickness_nm": 0.4},
    "motion": {"phonons": 0},
    "density": {"source": "free-atoms"},
    "microscope": {"instrument": "corrected-200-cfeg", "detectors": ["HAADF=50-90", "ABF=11-22"]},
    "recording": {"field_of_view_A": 8},
}


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main.app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_instruments_are_listed_shown_and_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RHOTEM_INSTRUMENTS", str(tmp_path))
    code, out, _ = invoke("instruments")
    assert code == 0 and "uncorrected-200-feg" in out and str(tmp_path) in out
    (tmp_path / "ours.yaml").write_text(invoke("instruments", "template")[1])
    shown = json.loads(invoke("instruments", "show", "ours", "--json")[1])
    assert shown["name"] == "mine" and shown["cc"] == 1.4e7
    code, out, _ = invoke("instruments", "show", "corrected-300-xfeg")
    assert code == 0 and "focal spread 29.1" in out and "row-noise" in out
    code, _, err = invoke("instruments", "show", "nothing")
    assert code == 2 and err.count("\n") == 1 and "choose one of" in err


def test_an_instrument_stores_counts_beside_clean_images_and_says_what_it_did(tmp_path: Path):
    result = rhotem.run(PLAN, tmp_path / "out")
    group = zarr.open_group(str(tmp_path / "out" / "images.zarr"), mode="r")
    clean = zarr.open_group(str(tmp_path / "out" / "clean" / "images.zarr"), mode="r")
    assert group["HAADF"].attrs["unit"] == "counts" and clean["HAADF"].attrs["unit"] == "fraction of beam"
    assert group["HAADF"].shape == clean["HAADF"].shape == group["displacements"].shape[1:]
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    microscope = record["simulation"]["microscope"]
    electrons = microscope["dose"] * np.prod(result.images.sampling)
    assert electrons == pytest.approx(25 * 6.241509 * 10, rel=1e-6) or result.images.sampling[0] < 0.2
    expected = 20 * electrons * np.asarray(clean["ABF"]).mean() + 1200
    assert np.asarray(group["ABF"]).mean() == pytest.approx(expected, rel=0.05)
    assert record["instrument"]["sources"] and record["instrument"]["off"] == []
    assert "microscope.instrument" in record["run"]["inputs"] and microscope["aberrations"]["C21"] > 0


def test_alignments_and_switches_do_what_they_say():
    plan = Plan(**PLAN)
    plain, again = rhotem.run(plan).images, rhotem.run(plan).images
    assert np.array_equal(plain["HAADF"], again["HAADF"])
    lenses = [plan.changed(alignment=n).preset().microscope.aberrations for n in (0, 1)]
    assert lenses[0] == plain.record["microscope"]["aberrations"] != lenses[1]
    quiet = plan.changed(without=("residuals", "read-noise", "jitter", "hum", "drift", "flyback", "distortion"))
    still = rhotem.run(quiet).images
    assert still.record["microscope"]["aberrations"] == {} and still.displacements is None
    assert plan.changed(defocus_nm=3.0).preset().microscope.defocus == 30.0  # what is named is taken exactly


def test_alignments_of_a_series_share_one_propagation():
    plan = Plan(**PLAN).changed(series={"alignment": [0, 1, 2]})
    made = rhotem.run_series(plan)
    lenses = [one.images.record["microscope"]["aberrations"]["C12"] for one in made.values()]
    assert len(set(lenses)) == 3 and all(one.images.clean for one in made.values())
    single = rhotem.run(Plan(**PLAN).changed(alignment=1)).images
    shared = list(made.values())[1].images
    spread = np.ptp(single.clean["ABF"])
    assert np.abs(shared.clean["ABF"] - single.clean["ABF"]).max() < 0.02 * spread


def test_what_belongs_to_instruments_is_refused_without_one(tmp_path: Path):
    for words, said in (
        (("--alignment", 1), "name one"),
        (("--instrument", "titan"), "choose one of corrected"),
        (("--instrument", "corrected-200-cfeg", "--without", "noise"), "choose of aberrations"),
        (("--instrument", "corrected-200-cfeg", "--energy", 80), "was measured at 200 keV"),
        (("--objective", 20), "means nothing with a scanned probe"),
    ):
        code, _, err = invoke("image", "LiF", *words)
        assert code == 2 and said in err and err.count("\n") == 1, err
    plan = {"rhotem": 1, **PLAN}
    for microscope, said in (
        (PLAN["microscope"], "compared in images without noise"),
        ({"defocus_nm": "best"}, "compared at one focus"),
    ):
        (tmp_path / "p.json").write_text(json.dumps({**plan, "microscope": microscope}))
        code, _, err = invoke("compare", tmp_path / "p.json", "--source", "model")
        assert code == 2 and said in err and err.count("\n") == 1, err


def test_an_aperture_that_the_instrument_has_not_is_said():
    from rhotem.analysis.recording import remarks

    plan = Plan(**PLAN)
    assert not [line for line in remarks(plan.changed(convergence_mrad=18).preset()) if "apertures" in line]
    said = remarks(plan.changed(convergence_mrad=12).preset())
    assert any("has apertures of 22, 18, 27, 32 mrad, none of 12 mrad" in line for line in said)


def test_an_instrument_of_ones_own_by_path_and_its_record_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path counts from where one is, that in a record from its folder; patterns alone have nothing to displace."""
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    code, text, _ = invoke("instruments", "template")
    assert code == 0
    Path("own.yaml").write_text(text)
    common = (
        "LiF",
        "--source",
        "free-atoms",
        "--phonons",
        "0",
        "--thickness",
        "0.6",
        "--instrument",
        "own.yaml",
        "--quiet",
    )
    detectors = ("--detector", "HAADF=68-120", "--field-of-view", "8")
    code, _, err = invoke("image", *common, *detectors, "--out", "../im")
    assert code == 0, err
    monkeypatch.chdir(tmp_path)
    code, _, err = invoke("image", "im/record.json", "--out", "again", "--quiet")
    assert code == 0, err
    first, again = (
        zarr.open_array(str(tmp_path / out / "images.zarr" / "HAADF"), mode="r")[:] for out in ("im", "again")
    )
    np.testing.assert_array_equal(first, again)
    monkeypatch.chdir(tmp_path / "mine")
    code, _, err = invoke("image", *common, "--detector", "PACBED=30", "--out", "../pacbed")
    assert code == 0, err


def test_maps_of_core_losses_are_not_recorded_by_an_instrument(tmp_path: Path):
    """It asked to leave a dose out that nobody had given."""
    options = ("--source", "free-atoms", "--thickness", "0.4", "--phonons", "0", "--out", tmp_path / "out")
    code, _, err = invoke("image", "LiF", *options, "--instrument", "corrected-200-cfeg", "--detector", "F-K")
    assert code == 2 and err.count("\n") == 1 and "leave corrected-200-cfeg out" in err
    assert not (tmp_path / "out").exists()
