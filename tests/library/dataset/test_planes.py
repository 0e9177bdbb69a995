"""Planes of thickness, phase and error bars against what is known otherwise."""

from dataclasses import replace

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.library.campaign.expand import tasks_of
from rhotem.library.campaign.model import Campaign
from rhotem.library.campaign.task import Task
from rhotem.library.dataset.draw import scene_of
from rhotem.library.dataset.load import load_dataset_plan
from rhotem.library.dataset.make import make
from rhotem.library.dataset.pictures import Pictures
from rhotem.library.dataset.planes import Opened, planes_of, take_with_planes
from rhotem.library.dataset.recorded import take
from rhotem.library.store import Library

ALL = ("thickness", "phase", "sigma")


@pytest.fixture(scope="module")
def entry(planned, made):
    """Response and scene of LiF."""
    with Library.open(planned / "library") as library:
        one = next(e for e in library.entries() if e.title == "LiF")
        return library.response(one.id), scene_of(Task.from_json(library.described(one.id)["task"]))


def test_planes_change_nothing_of_the_picture(entry):
    held, scene = entry
    plain = take(held, Pictures(pixels=32), "HAADF", np.random.default_rng(1))
    more = take_with_planes(Opened(held), Pictures(pixels=32, planes=ALL), "HAADF", np.random.default_rng(1))
    assert np.array_equal(plain.noisy, more.noisy)
    made = planes_of(more, scene)
    assert set(made) == {"thickness", "phase"}, "free atoms have no error bars"
    assert np.unique(made["thickness"]) == pytest.approx([more.settings["thickness_nm"]])
    assert not made["phase"].any()


def test_sigma_is_the_error_bar_at_every_place(entry):
    """A wave along x and y, whose values are known in closed form, under a turned and drifting scan."""
    held, scene = entry
    a, b = held.extent
    x, y = np.meshgrid(np.arange(24) * a / 24, np.arange(30) * b / 30, indexing="ij")

    def bar(x, y):
        return 2.0 + np.cos(2 * np.pi * x / a) + 0.5 * np.sin(4 * np.pi * y / b)

    said = Pictures(pixels=32, planes="sigma", jitter_pm=0.0, drift_pm_per_s=500.0, rotation_deg=30.0)
    picture = take_with_planes(Opened(held, bar(x, y), (a, b)), said, "HAADF", np.random.default_rng(1))
    places = picture.frame.positions.transpose(0, 2, 1)
    np.testing.assert_allclose(planes_of(picture, scene)["sigma"], bar(*places), atol=1e-6)


def test_phases_of_grains_of_one_crystal_are_one(entry):
    """Three regions in a row, the first and the last of one formula."""
    held, scene = entry
    third = np.clip((3 * scene.places[:, 0] / scene.cell[0]).astype(int), 0, 2)
    scene = replace(scene, region=third, phases=("LiF", "Li2O", "LiF"))
    said = Pictures(pixels=32, planes="phase", jitter_pm=0.0, drift_pm_per_s=0.0)
    picture = take_with_planes(Opened(held), said, "HAADF", np.random.default_rng(1))
    phase = planes_of(picture, scene)["phase"]
    seen, index = picture.frame.pixels_of(scene.places, scene.cell, margin=-1)
    at = phase[np.rint(seen[:, 1]).astype(int), np.rint(seen[:, 0]).astype(int)]
    assert np.array_equal(at, np.where(third[index] == 1, 1, 0))
    assert set(np.unique(phase)) <= {0, 1}


def test_the_thickness_leaves_vacuum_out_and_needs_atoms_everywhere(entry):
    """A slab met head on is as thick as its atoms; a slab seen edge-on has vacuum beside it."""
    some = {"builder": "slab", "crystals": ["LiF"], "options": {"plane": "1,0,0"}}
    head_on, edge_on = (
        tasks_of(
            Campaign(
                name="x",
                structures=[some],
                vary={"keep_cell": [True], "zone_basis": ["input"], "zone": [zone]},
                density={"source": "free-atoms"},
                thicknesses_nm=[1.0],
            )
        )[0]
        for zone in ([0, 0, 1], [1, 0, 0])
    )
    assert scene_of(edge_on).vacuum is None
    held, scene = entry
    picture = take_with_planes(Opened(held), Pictures(pixels=32, planes=ALL), "HAADF", np.random.default_rng(1))
    assert "thickness" not in planes_of(picture, replace(scene, vacuum=None))
    thin = planes_of(picture, replace(scene, vacuum=3.0))["thickness"]
    assert np.unique(thin) == pytest.approx([picture.settings["thickness_nm"] - 0.3])
    assert entry[1].vacuum == 0.0
    with pytest.raises(InputError, match="vacuum"):  # a campaign names thicknesses, a slab has its own
        scene_of(head_on)


def test_planes_are_in_the_shard_and_unknown_ones_refused(planned, made, tmp_path):
    text = (planned / "plan.yaml").read_text()
    (planned / "more.yaml").write_text(text.replace("pixels: 48", "pixels: 48, planes: [thickness, phase]"))
    more = make(load_dataset_plan(planned / "more.yaml"), planned / "library", tmp_path / "more").dataset
    for one, two in zip(made.shards(), more.shards(), strict=True):
        (old, _), (new, said) = one.read(), two.read()
        assert set(new) == {*old, "thickness", "phase"}
        assert all(np.array_equal(values, new[name]) for name, values in old.items())
        for plane, settings in zip(new["thickness"], said, strict=True):
            assert np.unique(plane) == pytest.approx([settings["thickness_nm"]], rel=1e-3)
    cards = [(each.folder / "README.md").read_text() for each in (made, more)]
    assert ["`phase`" in card for card in cards] == [False, True]
    (tmp_path / "wrong.yaml").write_text(text.replace("pixels: 48", "pixels: 48, planes: [strain]"))
    with pytest.raises(InputError, match=r"line 6.*planes"):
        load_dataset_plan(tmp_path / "wrong.yaml")
