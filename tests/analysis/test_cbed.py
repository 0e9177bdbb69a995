"""Convergent-beam discs from a plan, and the command that writes them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.analysis.cbed import CbedSettings, cbed, parse_absorption
from rhotem.analysis.plan import Plan
from rhotem.cli.main import app
from rhotem.core import InputError
from rhotem.scattering.blochwave import Selection

SILICON = str(Path(__file__).parents[2] / "examples" / "Si.cif")
FEW = Selection(1.3, 0.015, 0.06)


def silicon(**more: object) -> Plan:
    return Plan(specimen={"structure": SILICON, "zone": (1, 1, 0)}, density={"source": "free-atoms"}, **more)


def test_discs_carry_conventional_indices_and_the_crystals_symmetry() -> None:
    """Four (111) discs are alike along [110], (002) is there by double diffraction only; thicker loses more."""
    made = cbed(silicon(), CbedSettings((5.0, 120.0), 1.2, "thermal", FEW))
    rows = {(r["h"], r["k"], r["l"], r["thickness_nm"]): r for r in made.rows()}
    ones = [rows[h, -h, l, 5.0]["disc_mean"] for h in (1, -1) for l in (1, -1)]
    assert ones == pytest.approx([ones[0]] * 4, rel=1e-6)
    assert rows[0, 0, 2, 5.0]["disc_middle"] < 0.1 * rows[1, -1, 1, 5.0]["disc_middle"]
    assert rows[0, 0, 2, 120.0]["disc_middle"] > 1e-3
    elastic = made.held.means().sum(axis=1)
    assert 1 > elastic[0] > elastic[1] > 0.3
    spacing = 1e3 * made.waves.wavelength * np.sqrt(3) / 5.43102
    assert rows[1, -1, 1, 5.0]["angle_mrad"] == pytest.approx(spacing, rel=1e-4)
    assert made.held.convergence == pytest.approx(0.45 * spacing, rel=1e-4)


def test_a_tilted_beam_meets_bragg_reflection_off_the_middle() -> None:
    """A beam that leans by the Bragg angle away from (220) meets it in the middle of its disc, not at the rim."""
    half = 0.5 * 1e3 * 0.0250793 * 2 * np.sqrt(2) / 5.43102
    plan = silicon(microscope={"tilt_mrad": (half, 0.0), "convergence_mrad": 1.0})
    made = cbed(plan, CbedSettings((30.0,), 0.5, "thermal", FEW))
    along = made.held.g[:, 0] + made.held.centre[0] * 2
    bragg = int(np.argmin(np.hypot(along, made.held.g[:, 1])))
    profile = made.held.discs[0, bragg, :, made.held.discs.shape[-1] // 2]
    assert np.argmax(profile) == len(profile) // 2
    assert profile.max() > 0.05


@pytest.mark.parametrize("text", ["heat", "1.0", "-0.1", ""])
def test_an_absorption_is_refused(text: str) -> None:
    assert parse_absorption("thermal") == "thermal" and parse_absorption("none") == 0.0
    with pytest.raises(InputError, match="--absorption"):
        parse_absorption(text)


def test_command(tmp_path: Path) -> None:
    few = ["--source", "free-atoms", "--zone", "1,1,0", "--pixel", "1.2", "--g-max", "1", "--s-max", "0.01"]
    told = CliRunner().invoke(app, ["cbed", SILICON, *few, "--thickness", "20,80", "--out", str(tmp_path / "a")])
    assert told.exit_code == 0, told.output
    with (tmp_path / "a" / "spots.csv").open() as stream:
        spots = list(csv.DictReader(stream))
    assert {float(row["thickness_nm"]) for row in spots} == {20.0, 80.0}
    with np.load(tmp_path / "a" / "discs.npz") as data:
        assert data["discs"].shape[:2] == (2, len(data["hkl"]))
    record = json.loads((tmp_path / "a" / "record.json").read_text())
    assert record["cbed"]["beams"] == len(spots) // 2 and record["cbed"]["absorption"] == "thermal"
    assert (tmp_path / "a" / "cbed.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "wrong",
    [
        ["--thickness", "20,x"],
        ["--thickness", "-3"],
        ["--pixel", "0"],
        ["--pixel", "inf"],
        ["--pixel", "3", "--convergence", "2"],
        ["--tilt", "5000,0"],
        ["--s-max", "0"],
        ["--g-max", "inf"],
    ],
)
def test_command_refuses(tmp_path: Path, wrong: list[str]) -> None:
    told = CliRunner().invoke(app, ["cbed", SILICON, *wrong, "--out", str(tmp_path / "a")])
    assert told.exit_code == 2 and not (tmp_path / "a").exists()
