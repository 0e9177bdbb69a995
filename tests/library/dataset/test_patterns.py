"""Scans of patterns: counts are Poisson about what is expected, axes are those of the crystal, electrons are kept."""

import hashlib

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli.main import app
from rhotem.core import InputError
from rhotem.library.campaign.task import Task
from rhotem.library.dataset.draw import scene_of
from rhotem.library.dataset.load import load_dataset_plan
from rhotem.library.dataset.make import make, planned
from rhotem.library.dataset.pictures import Pictures
from rhotem.library.dataset.probes import held_probe, take_patterns

CAMPAIGN = """
rhotem-campaign: 1
name: probes
structures: [{names: [MnO]}]
vary: {zone: [[1, 0, 0]]}
motion: {phonons: 2}
density: {source: free-atoms}
microscope: {detectors: ["4D=36"], convergence_mrad: 20}
thicknesses_nm: [0.9]
"""
PLAN = """
rhotem-dataset: 1
name: probes
recipe: patterns
campaigns: campaign.yaml
pictures: {each: 3, pixels: 4, camera_mrad: 3, focal_spread_A: 0}
"""
STILL = {"jitter_pm": 0.0, "drift_pm_per_s": 0.0, "skew_mrad": 0.0, "focal_spread_A": 0.0, "camera_mrad": 3.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A plan on disk beside its campaign."""
    pytest.importorskip("pyarrow")
    made = tmp_path_factory.mktemp("patterns")
    (made / "campaign.yaml").write_text(CAMPAIGN)
    (made / "plan.yaml").write_text(PLAN)
    return made


@pytest.fixture(scope="module")
def probe(folder):
    """The scattering matrix of the campaign's crystal, and its columns."""
    plan = load_dataset_plan(folder / "plan.yaml")
    task: Task = planned(plan)[0][1][0]
    return held_probe(task, folder, plan.pictures), scene_of(task)


def test_counts_are_poisson_about_what_is_expected(probe):
    """The same scan counted two hundred times: mean, variance, and no correlation of neighbours."""
    said = Pictures(pixels=4, pixel_A=0.3, dose_e_per_A2=2e4, **STILL)
    one = take_patterns(probe[0], said, "", np.random.default_rng(3))
    again = np.random.default_rng(4)

    class Same(np.random.Generator):
        """Everything but the counts as in the first."""

        def poisson(self, expected):
            return again.poisson(expected)

    every = [take_patterns(probe[0], said, "", Same(np.random.default_rng(3).bit_generator)) for _ in range(200)]
    assert all(np.array_equal(other.clean, one.clean) for other in every)
    counts, clean = np.stack([other.counts for other in every]).astype(float), one.clean.astype(float)
    seen = clean > 0.5
    pull = (counts.mean(axis=0) - clean)[seen] / np.sqrt(clean[seen] / 200)
    assert seen.sum() > 1000 and abs(pull.mean()) < 5 / np.sqrt(len(pull)) and abs(pull.var() - 1) < 0.15
    variance = counts.var(axis=0, ddof=1)[seen] / clean[seen]
    assert variance.mean() == pytest.approx(1, abs=0.02)
    apart = (counts - clean) / np.sqrt(np.maximum(clean, 1e-9))
    both = seen[..., 1:] & seen[..., :-1]
    assert abs((apart[..., 1:] * apart[..., :-1])[:, both].mean()) < 5 / np.sqrt(200 * both.sum())


def test_clean_patterns_hold_the_electrons_of_the_dose(probe):
    """What falls beside the camera is little at 36 mrad of so thin a crystal, and never negative."""
    said = Pictures(pixels=6, pixel_A=0.4, dose_e_per_A2=1e3, **STILL)
    scan = take_patterns(probe[0], said, "", np.random.default_rng(1))
    total = scan.clean.sum(axis=(2, 3))
    assert scan.settings["electrons"] == pytest.approx(1e3 * 0.4**2)
    assert (total <= 160 * (1 + 1e-5)).all() and (total > 0.93 * 160).all()


def test_the_beam_is_deflected_towards_the_nearest_column(probe):
    """Rows and columns of scan and camera are the crystal's y and x, however the scan is turned."""
    held, scene = probe
    heavy = scene.places[scene.species == 3]
    for angle in (0.0, 65.0):
        said = Pictures(pixels=12, pixel_A=0.35, dose_e_per_A2=1e4, rotation_deg=angle, defocus_nm=0.4, **STILL)
        scan = take_patterns(held, said, "", np.random.default_rng(8))
        side = scan.clean.shape[-1]
        axis = np.arange(side) - side // 2
        total = scan.clean.sum(axis=(2, 3))
        found = np.stack([(scan.clean * axis).sum(axis=(2, 3)), (scan.clean * axis[:, None]).sum(axis=(2, 3))]) / total
        places = scan.frame.positions.transpose(0, 2, 1)  # rows along y, as pictures have them
        apart = heavy[:, :, None, None] - places
        cell = np.array(scene.cell)[:, None, None]
        apart = (apart + cell / 2) % cell - cell / 2
        nearest = np.linalg.norm(apart, axis=1).argmin(axis=0)
        towards = np.take_along_axis(apart, nearest[None, None], axis=0)[0]
        close = (np.linalg.norm(towards, axis=0) > 0.15) & (np.linalg.norm(towards, axis=0) < 0.6)
        assert close.sum() > 20
        for k in (0, 1):
            assert np.corrcoef(found[k][close], towards[k][close])[0, 1] > 0.8


def test_same_plan_and_seed_give_the_same_bytes(folder):
    made = [make(load_dataset_plan(folder / "plan.yaml"), folder / "library", folder / name) for name in ("a", "b")]
    assert [outcome.drawn for outcome in made] == [1, 1]
    arrays, said = made[0].dataset.shards()[0].read()
    side = 2 * 12 + 1
    assert arrays["counts"].shape == arrays["clean"].shape == (3, 4, 4, side, side)
    assert arrays["counts"].dtype == np.uint16 and arrays["clean"].dtype == np.float32
    assert [one["image"] for one in said] == ["4D"] * 3
    asked = ["dataset", "export", str(folder / "a"), "--to", "coco", "--out", str(folder / "no")]
    refused = CliRunner().invoke(app, asked)
    assert refused.exit_code == 2 and "choose one of webdataset" in refused.stderr and not (folder / "no").exists()
    for path in sorted(p for p in (folder / "a").rglob("*") if p.is_file()):
        other = folder / "b" / path.relative_to(folder / "a")
        assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest(), path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (", camera_mrad: 3", "", ["plan.yaml, line 6", "camera_mrad is missing"]),
        (
            "pixels: 4",
            "pixels: 4, source_size_A: 1",
            ["line 6, column 32", "source_size_A", "means nothing"],
        ),
        ("pixels: 4", "pixels: 4, foci_nm: [1, 2]", ["foci_nm", "means nothing with the recipe patterns"]),
        ("recipe: patterns", "recipe: columns", ["pixels", "at least 16"]),
        ("each: 3, pixels: 4", "each: 9000, pixels: 16", ["expected at most 1562"]),
        ("4D=36", "HAADF=50-90", ["detectors: [4D=40]"]),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(folder, tmp_path, old, new, words):
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN.replace(old, new))
    (tmp_path / "plan.yaml").write_text(PLAN.replace(old, new))
    with pytest.raises(InputError) as error:
        make(load_dataset_plan(tmp_path / "plan.yaml"), tmp_path / "library", tmp_path / "made")
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value), str(error.value)
    assert not (tmp_path / "library").exists() and not (tmp_path / "made").exists()
