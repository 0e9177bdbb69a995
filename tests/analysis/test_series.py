"""A series from one propagation gives the images of single runs, and refuses before it starts."""

import json
import os
from dataclasses import replace
from typing import Any

import ase
import numpy as np
import pytest
import zarr
from ase.io import write

import rhotem
from rhotem.analysis import series as module
from rhotem.analysis.answers import lens
from rhotem.analysis.plan import Plan
from rhotem.analysis.series import grouped
from rhotem.analysis.series_files import key_and_unit, labels
from rhotem.core import InputError, MemoryLimitError

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def crystal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A cell without any symmetry, and so without a centre."""
    path = tmp_path_factory.mktemp("crystal") / "asymmetric.cif"
    places = [(0.7, 0.9, 0.4), (2.9, 2.6, 1.4), (1.1, 4.2, 2.2)]
    write(path, ase.Atoms("TiOF", positions=places, cell=(4.1, 5.3, 3.0), pbc=True))
    return str(path)


def plan_of(crystal: str, phonons: int = 0, **more: Any) -> Plan:
    """On one grid whatever the detectors, the lens and the thickness are."""
    plan = Plan(
        specimen={
            "structure": crystal,
            "zone": [0, 0, 1],
            "zone_basis": "input",
            "keep_cell": True,
            "thickness_nm": 0.6,
        },
        motion={"phonons": phonons},
        density={"source": "free-atoms"},
        microscope={"detectors": ["ABF=11-22", "DPC=6-22", "ADF=30-60"]},
        computing={"sampling_A": 0.09, "slice_thickness_A": 1.0, "seed": 5},
    )
    return plan.changed(more)


def assert_as_single_runs(plan: Plan, shared: int) -> None:
    made = rhotem.run_series(plan)
    assert list(made) == [name for name, _ in plan.runs()]
    for name, single in plan.runs():
        result, direct = made[name], rhotem.run(single)
        assert result.record["series"]["settings"] == shared and result.record["simulation"]["response"]
        assert result.record["run"]["identity"] == direct.record["run"]["identity"]
        assert result.images.scan == direct.images.scan and list(result.images.images) == list(direct.images.images)
        for image, values in direct.images.images.items():
            np.testing.assert_allclose(result.images[image], values, atol=TOLERANCE * np.ptp(values), rtol=0)
        thickness = [one.record["specimen"]["thickness_nm"] for one in (result, direct)]
        assert thickness[0] == pytest.approx(thickness[1]) and result.record["plan"] == direct.record["plan"]


@pytest.mark.parametrize("phonons", [0, 2])
@pytest.mark.parametrize(
    "key, values",
    [
        ("defocus_nm", [-2.5, 0.0, 3.0]),
        ("convergence_mrad", [22.0, 24.0]),
        ("source_size_A", [0.0, 0.9]),
        ("aberrations", [["C12=1nm", "phi12=25", "C21=8nm"], ["C12=1nm"], []]),
        ("detectors", [["ABF=11-22", "DPC=6-22"], ["ABF=12-20", "CoM=40"]]),
    ],
)
def test_settings_of_the_lens_are_those_of_single_runs(crystal, phonons, key, values):
    assert_as_single_runs(plan_of(crystal, phonons, series={key: values}), len(values))


def test_thicknesses_of_atoms_at_rest_are_those_of_single_runs(crystal):
    plan = plan_of(crystal, series={"thickness_nm": [1.2, 0.6], "defocus_nm": [0, 1.0]})
    assert_as_single_runs(plan, 4)


def test_a_recorded_field_of_view_is_that_of_single_runs(crystal):
    plan = plan_of(crystal, scan_step_A=0.3, series={"field_of_view_A": [None, 11.0], "cs_mm": [0.0, 0.001]})
    assert_as_single_runs(plan, 4)


def test_counts_are_those_of_single_runs(crystal):
    """The seed is the same, but rounding of one expectation moves what is drawn behind it: means within their noise."""
    plan = plan_of(crystal, series={"dose_e_per_A2": [1e3, 1e5], "defocus_nm": [0.0, 2.0]})
    made = rhotem.run_series(plan)
    for name, single in plan.runs():
        direct = rhotem.run(single).images
        assert made[name].images.scan == direct.scan
        for image in ("ABF", "ADF"):
            counted, values = made[name].images[image], direct[image]
            electrons = single.recording.dose_e_per_A2 * np.prod(direct.scan.size)
            noise = np.sqrt(2 * values.mean() / electrons)
            assert abs(counted.mean() - values.mean()) < 5 * noise
    doses = [r.record["simulation"]["microscope"]["dose"] for r in made.values()]
    assert doses == [1e3, 1e3, 1e5, 1e5]


def test_plans_are_grouped_by_what_the_beam_goes_through(crystal, tmp_path):
    """Two structures at two foci are two propagations; files are those of single runs, with montage and one group."""
    other = str(tmp_path / "other.cif")
    write(other, ase.Atoms("NaCl", positions=[(1, 1, 1), (3, 3, 2.5)], cell=(4.1, 5.3, 3.0), pbc=True))
    series = {"structure": [crystal, other], "defocus_nm": {"from": 0, "to": 2, "steps": 2}}
    plan = plan_of(crystal, detectors=["ABF=11-22"], series=series)
    assert [len(group) for group in grouped(list(plan.runs()))] == [2, 2]
    out = tmp_path / "out"
    made = rhotem.run_series(plan, out)
    assert {r.record["series"]["settings"] for r in made.values()} == {2}
    assert sorted(os.listdir(out)) == sorted([*made, "montage-ABF.png", "record.json", "series.zarr"])
    direct = rhotem.run(next(p for _, p in plan.runs()), tmp_path / "single")
    assert set(os.listdir(tmp_path / "single")) - set(os.listdir(out / next(iter(made)))) == {"PACBED.png"}
    record = json.loads((out / next(iter(made)) / "record.json").read_text())
    assert record["run"]["identity"] == direct.record["run"]["identity"]
    assert os.path.samefile(rhotem.load_plan(out / next(iter(made))).specimen.structure, crystal)
    group = zarr.open_group(str(out / "series.zarr"), mode="r")
    assert group["ABF"].shape[:2] == (2, 2)
    assert [axis["key"] for axis in group.attrs["axes"]] == ["specimen.structure", "microscope.defocus_nm"]
    assert group.attrs["axes"][1] == {"key": "microscope.defocus_nm", "unit": "nm", "values": [0.0, 2.0]}
    stored = zarr.open_group(str(out / list(made)[3] / "images.zarr"), mode="r")["ABF"]
    np.testing.assert_array_equal(group["ABF"][1, 1], stored[:])
    assert (out / "montage-ABF.png").stat().st_size > 1000
    assert set(rhotem.load_plan(out / "record.json").series) == {"structure", "defocus_nm"}


def test_a_series_replaces_an_older(crystal, tmp_path):
    plan = plan_of(crystal, detectors=["ABF=11-22"])
    rhotem.run_series(plan.changed(series={"defocus_nm": [0, 1]}), tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("kept")
    rhotem.run_series(plan.changed(series={"defocus_nm": [0, 2]}), tmp_path / "out")
    names = ["defocus_nm=0", "defocus_nm=2", "mine.txt", "montage-ABF.png", "record.json", "series.zarr"]
    assert sorted(os.listdir(tmp_path / "out")) == names


@pytest.mark.parametrize("reason", ["memory", "worth"])
def test_where_a_response_is_no_gain_runs_are_single(crystal, reason, monkeypatch):
    """With one line that says why."""
    real = lens.plan_response

    def planned(*given: Any, **named: Any) -> Any:
        if reason == "memory":
            raise MemoryLimitError("the response needs 900.0 GB")
        return replace(real(*given, **named), worth=40)

    monkeypatch.setattr(lens, "plan_response", planned)
    said: list[str] = []
    plan = plan_of(crystal, detectors=["ABF=11-22"], series={"defocus_nm": [0, 1]})
    made = rhotem.run_series(plan, voice=rhotem.Voice(said.append))
    line = next(text for text in said if "one by one" in text)
    assert ("900.0 GB" if reason == "memory" else "from 40 settings on") in line and "\n" not in line
    for name, single in plan.runs():
        assert "response" not in made[name].record["simulation"]
        np.testing.assert_allclose(made[name].images["ABF"], rhotem.run(single).images["ABF"], rtol=1e-4)


def test_what_no_response_holds_is_simulated(crystal):
    """Patterns, precision, other algorithms and parallel beams stand alone, also among others."""
    for more in ({"phonons": "auto"}, {"algorithm": "multislice"}, {"uncertainty": True}, {"camera_step_mrad": 1.0}):
        runs = list(plan_of(crystal, **more, series={"defocus_nm": [0, 1]}).runs())
        assert [len(group) for group in grouped(runs)] == [1, 1]
    runs = list(plan_of(crystal, series={"detectors": [["ABF=11-22"], ["4D=30"], ["BF=8"]]}).runs())
    assert sorted(len(group) for group in grouped(runs)) == [1, 2]


def test_a_setting_that_cannot_be_is_refused_first(crystal, tmp_path, monkeypatch):
    """In one line with its name; nothing is propagated or left behind, in mixed series neither."""
    monkeypatch.setattr(lens.responses, "response", lambda *given, **named: pytest.fail("propagated"))
    for series in ({"defocus_nm": [0, 500.0]}, {"tilt_mrad": [None, [2, 0]], "defocus_nm": [0, 500.0]}):
        with pytest.raises(InputError, match=r"defocus_nm=500: the probe is 2\d\d\d? Å wide"):
            rhotem.run_series(plan_of(crystal, series=series), tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_nothing(crystal, tmp_path, monkeypatch):
    def broken(*given: Any, **named: Any) -> None:
        raise InputError("disk full")

    monkeypatch.setattr(module.results, "written", broken)
    with pytest.raises(InputError, match="disk full"):
        rhotem.run_series(plan_of(crystal, series={"defocus_nm": [0, 1]}), tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_plan_without_a_series_is_for_run(crystal):
    with pytest.raises(InputError, match=r"rhotem\.run does it"):
        rhotem.run_series(plan_of(crystal))


def test_labels_carry_units():
    assert key_and_unit("dose_e_per_A2") == ("dose", "e/Å²")
    assert key_and_unit("microscope.defocus_nm") == ("defocus", "nm")
    assert labels({"unit": "nm", "values": [-2.0, 0.5]}) == ["-2 nm", "0.5 nm"]
    assert labels({"unit": "mrad", "values": [[6, -1.5]]}) == ["6, -1.5 mrad"]  # a tilt had no unit
    assert labels({"unit": "", "values": [["ABF=11-22", "BF=8"], None]}) == ["ABF=11-22, BF=8", "default"]


def patterns_of(crystal: str, phonons: int = 0, **more: Any) -> Plan:
    return plan_of(crystal, phonons, detectors=["PACBED=40"], **more)


@pytest.mark.parametrize(
    "series",
    [
        {"thickness_nm": [1.2, 0.6], "convergence_mrad": [20.0, 24.0]},
        {"defocus_nm": [0.0, 500.0]},
        {"camera_step_mrad": [2.0, 4.0]},
    ],
)
def test_averaged_patterns_come_from_one_propagation(crystal, series):
    """As single runs have them, within half precision; no focus changes them, however wide its probe."""
    plan = patterns_of(crystal, series=series)
    made = rhotem.run_series(plan)
    for name, single in plan.runs():
        result = made[name]
        assert result.record["simulation"]["patterns"] and result.record["series"]["settings"] == len(made)
        if single.microscope.defocus_nm == 500.0:
            single = single.changed(defocus_nm=0.0)
        direct = rhotem.run(single)
        assert result.images.angular_step == pytest.approx(direct.images.angular_step)
        reference = direct.images.diffraction
        difference = np.abs(result.images.diffraction - reference)
        assert difference.max() <= 2.0**-11 * reference.max()
        assert result.record["specimen"]["thickness_nm"] == direct.record["specimen"]["thickness_nm"]


def test_tilts_share_a_propagation(crystal, tmp_path):
    """Around the zone axis or the middle of those asked; the pixels of a tilted single run lie elsewhere."""
    plan = patterns_of(crystal, series={"tilt_mrad": [[0, 0], [3, 0], [0, -3]], "thickness_nm": [0.6, 1.2]})
    made = rhotem.run_series(plan, tmp_path / "out")
    assert {result.record["series"]["settings"] for result in made.values()} == {6}
    for (name, single), (_, result) in zip(plan.runs(), made.items(), strict=True):
        direct, pattern = rhotem.run(single).images, result.images.diffraction
        # edges of an aperture between pixels are one wide: what is compared is its inside
        x = np.hypot(*np.meshgrid(*[np.arange(n) - n // 2 for n in pattern.shape], indexing="ij"))
        inside = x < 22.0 / max(result.images.angular_step) - 2
        assert np.abs(pattern - direct.diffraction)[inside].max() < 0.02 * pattern.max(), name
    names = [*made, "montage-PACBED.png", "record.json", "series.zarr"]
    assert sorted(os.listdir(tmp_path / "out")) == sorted(names)
    group = zarr.open_group(str(tmp_path / "out" / "series.zarr"), mode="r")
    assert group["PACBED"].shape[:2] == (3, 2) and group["PACBED"].attrs["dimensions"][2:] == ["kx", "ky"]
    np.testing.assert_allclose(group["PACBED"][2, 1], list(made.values())[5].images.diffraction, rtol=1e-6)
    files = set(os.listdir(tmp_path / "out" / next(iter(made))))
    assert files == {"PACBED.png", "atoms.csv", "images.zarr", "record.json"}


def test_what_changes_the_propagation_groups_patterns(crystal):
    series = {"energy_keV": [200.0, 300.0], "tilt_mrad": [[0, 0], [2, 0]]}
    assert [len(group) for group in grouped(list(patterns_of(crystal, series=series).runs()))] == [2, 2]
    mixed = plan_of(crystal, series={"detectors": [["PACBED=40"], ["ABF=11-22"], ["PACBED=30"]]})
    assert sorted(len(group) for group in grouped(list(mixed.runs()))) == [1, 2]
