"""Fast series: vacancies that are there stay, the labels say what changed, pictures darken there, drift goes on."""

from itertools import pairwise

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.library.campaign.compute import build
from rhotem.library.dataset.draw import scene_of
from rhotem.library.dataset.films import take_film
from rhotem.library.dataset.load import load_dataset_plan
from rhotem.library.dataset.make import make, planned
from rhotem.library.dataset.pictures import Pictures
from rhotem.library.dataset.recipes import recipes
from rhotem.library.dataset.states import shards_of
from rhotem.library.store import Library

CAMPAIGN = """
rhotem-campaign: 1
name: losing fluorine
structures:
  - {builder: vacancy, crystals: [LiF], options: {element: F, amount: [0, 1, 2], repeat: "2,2,1"}}
vary: {keep_cell: [true], zone_basis: [input], zone: [[0, 0, 1]]}
motion: {phonons: 0}
density: {source: free-atoms}
microscope: {detectors: ["ADF=40-90"], convergence_mrad: 20}
thicknesses_nm: [0.4]
kept: {edges_mrad: [], foci_nm: [0]}
"""
PLAN = """
rhotem-dataset: 1
name: losing fluorine
recipe: fast-series
campaigns: campaign.yaml
pictures: {each: 3, pixels: 32, images: ADF, along: amount, frames: 5, dwell_us: 1}
"""
STILL = {"jitter_pm": 0.0, "skew_mrad": 0.0, "along": "amount", "images": "ADF"}


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """A data set of one series; its states, their responses and scenes."""
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("fast")
    (folder / "campaign.yaml").write_text(CAMPAIGN)
    (folder / "plan.yaml").write_text(PLAN)
    plan = load_dataset_plan(folder / "plan.yaml")
    outcome = make(plan, folder / "library", folder / "made")
    assert outcome.drawn == 1 and not outcome.lacking
    (states,) = shards_of(plan, planned(plan))
    with Library.open(folder / "library") as library:
        held = [library.response(task.id) for task in states]
    return outcome.dataset, states, held, [scene_of(task) for task in states]


def test_vacancies_of_a_state_are_in_the_next(lost):
    _, states, _, scenes = lost
    assert [task.recipe.options["amount"] for task in states] == ["0", "1", "2"]
    places = [{tuple(d["position_A"]) for d in build(task.recipe)[1]["defects"]} for task in states]
    assert [len(some) for some in places] == [0, 1, 2] and places[1] < places[2]
    for scene, number in zip(scenes, (0, 1, 2), strict=True):
        copies = scene.sites.sum() / 32  # 2 x 2 cells of LiF
        assert (scene.vacant * scene.sites).sum() == pytest.approx(number * copies)


def test_labels_say_what_changed_and_pictures_darken_there(lost):
    """Without drift the maps of frames can be held against each other pixel by pixel."""
    _, _, held, scenes = lost
    said = Pictures(pixels=48, pixel_A=0.2, frames=12, drift_pm_per_s=0.0, **STILL)
    film = take_film(held, said, "ADF", np.random.default_rng(1))
    assert list(film.states) == sorted(film.states) and set(film.states) == {0, 1, 2}
    arrays, table = recipes()["fast-series"].label(film, scenes)
    vacancy, clean = arrays["vacancy"].astype(int), arrays["clean"].astype(float)
    assert not vacancy[0].any() and (np.diff(vacancy, axis=0) >= 0).all()
    assert not arrays["changed"][0].any()
    np.testing.assert_array_equal(arrays["changed"][1:], np.abs(np.diff(vacancy, axis=0)))
    for frame, (one, two) in enumerate(pairwise(film.states), 1):
        where = arrays["changed"][frame] > 0
        assert where.any() == (one != two)
        change = clean[frame] - clean[frame - 1]
        if one == two:
            assert np.abs(change).max() < 1e-3 * clean.max()
        else:
            assert change[where].mean() < -3 * np.abs(change[~where]).mean()
    assert (table[:, 4] > 0).any(), "the table is that of the last frame"


def test_electrons_are_drawn_for_every_frame(lost):
    _, _, held, scenes = lost
    said = Pictures(pixels=48, pixel_A=0.25, frames=10, dose_e_per_A2=2e4, drift_pm_per_s=0.0, **STILL)
    film = take_film(held, said, "ADF", np.random.default_rng(4))
    arrays, _ = recipes()["fast-series"].label(film, scenes)
    electrons = 2e4 * 0.25**2
    pull = (arrays["images"] - arrays["clean"]) * np.sqrt(electrons / arrays["clean"])
    assert abs(pull.mean()) < 5 / np.sqrt(pull.size) and abs(pull.var() - 1) < 5 * np.sqrt(2.5 / pull.size)
    between = (pull[1:] * pull[:-1]).mean()
    assert abs(between) < 5 / np.sqrt(pull.size)


def test_the_drift_goes_on_from_frame_to_frame(lost):
    """A column moves by speed times the time of a frame, in the picture as on the specimen."""
    _, _, held, scenes = lost
    said = Pictures(pixels=48, pixel_A=0.2, frames=4, dwell_us=2.0, drift_pm_per_s=3000.0, **STILL)
    film = take_film(held, said, "ADF", np.random.default_rng(6))
    seconds = 2e-6 * 48**2
    assert film.settings["frame_ms"] == pytest.approx(1e3 * seconds)
    expected = 0.01 * 3000 * seconds / 0.2  # pixels
    seen = [picture.frame.pixels_of(scenes[0].places, scenes[0].cell)[0] for picture in film.pictures]
    for before, after in pairwise(seen):
        apart = np.linalg.norm(after[:, None] - before[None], axis=-1).min(axis=1)
        inside = ((after > 8) & (after < 40)).all(axis=1)
        assert apart[inside] == pytest.approx(expected, rel=0.02)
        way = (after[inside][:, None] - before[None])[
            np.arange(inside.sum()), np.linalg.norm(after[inside][:, None] - before[None], axis=-1).argmin(axis=1)
        ].mean(axis=0)
        angle = film.settings["drift_direction_rad"]
        assert way / np.linalg.norm(way) == pytest.approx([np.cos(angle), np.sin(angle)], abs=0.02)


def test_a_shard_holds_its_frames(lost):
    arrays, said = lost[0].shards()[0].read()
    assert arrays["images"].shape == arrays["changed"].shape == (3, 5, 32, 32)
    assert all(len(one["states"]) == 5 for one in said)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (", frames: 5", "", ["plan.yaml, line 6", "frames is missing"]),
        ("along: amount", "along: rocksalt", ["no option rocksalt"]),
        ("amount: [0, 1, 2]", "amount: 1", ["one value of amount"]),
        ("recipe: fast-series", "recipe: denoising", ["along", "means nothing"]),
        ("images: ADF", "images: ABF", ["no image ABF"]),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(tmp_path, old, new, words):
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN.replace(old, new))
    (tmp_path / "plan.yaml").write_text(PLAN.replace(old, new))
    with pytest.raises(InputError) as error:
        make(load_dataset_plan(tmp_path / "plan.yaml"), tmp_path / "library", tmp_path / "made")
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value), str(error.value)
    assert not (tmp_path / "library").exists() and not (tmp_path / "made").exists()
