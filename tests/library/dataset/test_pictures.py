"""Pictures and their labels: places, shares and counts that are known otherwise."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter
from scipy.spatial import cKDTree

from rhotem.library.campaign.task import Task
from rhotem.library.dataset.draw import generator, scene_of
from rhotem.library.dataset.maps import nearest_column
from rhotem.library.dataset.pictures import Pictures
from rhotem.library.dataset.recorded import framed, take
from rhotem.library.store import Library

STILL = {"jitter_pm": 0.0, "drift_pm_per_s": 0.0, "skew_mrad": 0.0, "rotation_deg": 0.0}


@pytest.fixture(scope="module")
def entries(planned, made):
    """Response and scene by title."""
    with Library.open(planned / "library") as library:
        return {
            e.title: (library.response(e.id), scene_of(Task.from_json(library.described(e.id)["task"])))
            for e in library.entries()
        }


def test_a_column_is_seen_where_the_scan_meets_it(rng):
    """The positions of the scan, interpolated at the label's pixel, give the column back, for turned drifting scans."""
    cell = (5.1, 7.3)
    settings = {"pixel_A": 0.2, "rotation_deg": 33.0, "drift_pm_per_s": 400.0, "drift_direction_rad": 1.0}
    settings |= {"dwell_us": 20.0, "skew_mrad": 12.0, "jitter_pm": 0.0, "jitter_us": 10.0}
    frame = framed(96, settings, cell, rng)
    places = rng.uniform(0, 1, (5, 2)) * cell
    seen, index = frame.pixels_of(places, cell, margin=-2.0)
    assert len(seen) > 30
    where = np.stack([map_coordinates(p, seen.T, order=1) for p in frame.positions], axis=1)
    apart = (where - places[index] + np.array(cell) / 2) % np.array(cell) - np.array(cell) / 2
    assert np.abs(apart).max() < 1e-3
    area = (frame.pixels - 1 - 4) ** 2 * 0.2**2
    assert abs(len(seen) - area * len(places) / np.prod(cell)) < 0.15 * len(seen)  # every column once


def test_labels_lie_on_the_bright_spots_of_a_dark_field(entries):
    """Maxima of an image without counting are where the labels say."""
    held, scene = entries["MnO"]
    said = Pictures(pixels=64, pixel_A=0.15, dose_e_per_A2=1e6, source_size_A=0.6, jitter_pm=0.0, drift_pm_per_s=300.0)
    picture = take(held, said, "HAADF", np.random.default_rng(5))
    seen, index = picture.frame.pixels_of(scene.places, scene.cell, margin=-4)
    heavy = seen[scene.species[index] == 3]
    smooth = gaussian_filter(picture.clean, 1.0)
    peaks = np.argwhere((smooth == maximum_filter(smooth, 9)) & (smooth > 0.6 * smooth.max()))[:, ::-1]
    nearest = np.linalg.norm(heavy[:, None] - peaks[None], axis=-1).min(axis=1)
    assert len(heavy) > 8 and nearest.max() < 1.5  # pixels, of which peaks are whole ones


def test_the_nearest_column_is_that_of_a_tree(rng):
    seen = rng.uniform(-3, 70, (57, 2))
    y, x = np.mgrid[:60, :70]
    expected = cKDTree(seen).query(np.stack([x.ravel(), y.ravel()], axis=1))[1]
    np.testing.assert_array_equal(nearest_column(seen, (60, 70)).ravel(), expected)


def test_vacant_shares_add_up_to_the_vacancies(entries):
    title = next(name for name in entries if "vacancy" in name)
    scene, crystal = entries[title][1], entries["LiF"][1]
    assert (scene.vacant * scene.sites).sum() == pytest.approx(1.0)  # one F in a cell of two
    assert scene.sites.sum() == 2 * crystal.sites.sum()
    assert {scene.labels[i] for i in np.flatnonzero(scene.vacant)} <= {"F", "Li/F", "F/Li"}
    assert not crystal.vacant.any() and not scene.exchanged.any()


def test_antisites_keep_the_name_of_their_column():
    from dataclasses import asdict

    from rhotem.library.campaign.expand import tasks_of
    from rhotem.library.campaign.model import Campaign

    some = {"builder": "antisite", "crystals": ["LiNiO2"], "options": {"pair": "Li:Ni", "amount": 1, "repeat": "2,2,1"}}
    campaign = Campaign(
        name="x",
        structures=[some],
        vary={"keep_cell": [True], "zone_basis": ["input"], "zone": [[1, 0, 0]]},
        density={"source": "free-atoms"},
        thicknesses_nm=[1.0],
    )
    scene = scene_of(tasks_of(campaign)[0])
    changed = np.flatnonzero(scene.exchanged)
    assert (scene.exchanged * scene.sites).sum() == pytest.approx(2 * scene.sites.sum() / 48)  # a pair in 48 atoms
    assert {scene.labels[i] for i in changed} == {"Li", "Ni"}
    assert set(scene.species[changed]) == {1, 3}
    assert json.dumps(asdict(tasks_of(campaign)[0]))  # what workers are sent


def test_counts_are_poisson_about_what_is_expected(entries):
    held, _ = entries["MnO"]
    said = Pictures(pixels=96, pixel_A=0.2, dose_e_per_A2=2e4)
    picture = take(held, said, "ABF", np.random.default_rng(7))
    electrons = 2e4 * 0.2**2
    deviation = (picture.noisy - picture.clean) * np.sqrt(electrons / picture.clean)
    number = deviation.size
    assert abs(deviation.mean()) < 5 / np.sqrt(number)
    assert abs(deviation.var() - 1) < 5 * np.sqrt(2 / number)


@pytest.mark.parametrize("image", ["iDPC", "dDPC"])
def test_integrated_deflections_do_not_depend_on_the_turn_of_the_scan(entries, image):
    """A turned scan has the same heights: deflections are turned before they are integrated or derived."""
    held, scene = entries["MnO"]
    heights = []
    for angle in (0.0, 50.0):
        said = Pictures(pixels=96, pixel_A=0.15, dose_e_per_A2=1e9, **{**STILL, "rotation_deg": angle})
        picture = take(held, said, image, np.random.default_rng(2))
        seen, index = picture.frame.pixels_of(scene.places, scene.cell, margin=-16)
        values = map_coordinates(picture.clean - gaussian_filter(picture.clean, 12), seen[:, ::-1].T, order=3)
        heights.append(values[scene.species[index] == 3].mean())
    assert heights[1] == pytest.approx(heights[0], rel=0.06)


def test_every_picture_has_a_generator_of_its_own():
    one, two = generator(0, "ab12", 0).random(4), generator(0, "ab12", 1).random(4)
    assert not np.allclose(one, two)
    np.testing.assert_array_equal(one, generator(0, "ab12", 0).random(4))


def test_how_far_columns_stand_above_the_noise(rng):
    """A bright and a dark Gaussian in white noise: heights of blurred Gaussians and the noise of a blur are known."""
    from rhotem.library.dataset.maps import INNER, OUTER, above_noise

    pixel, width, noise = 0.1, 0.4, 0.05
    y, x = np.mgrid[:256, :256] * pixel
    places = np.array([[80.0, 120.0], [180.0, 130.0]])
    spots = [np.exp(-((x - pixel * a) ** 2 + (y - pixel * b) ** 2) / (2 * width**2)) for a, b in places]
    clean = spots[0] - 0.5 * spots[1]
    found = above_noise(clean, clean + noise * rng.normal(size=clean.shape), places, pixel)
    # a Gaussian of variance w² blurred by s² has the height w²/(w² + s²); white noise of a blur s the variance 1/(4πs²)
    height = width**2 / (width**2 + INNER**2) - width**2 / (width**2 + OUTER**2)
    variance = (1 / INNER**2 + 1 / OUTER**2 - 4 / (INNER**2 + OUTER**2)) * pixel**2 / (4 * np.pi)
    np.testing.assert_allclose(found, np.array([1.0, -0.5]) * height / (noise * np.sqrt(variance)), rtol=0.08)


def test_beyond_the_edge_of_the_specimen_is_the_probe_alone(entries):
    """Ring inside the aperture: share of its area; dark field nothing; deflections none; no columns labelled there."""
    held, scene = entries["MnO"]
    said = Pictures(pixels=64, pixel_A=0.2, dose_e_per_A2=1e6, vacuum=0.4, edge_A=2.0, **STILL)
    whole = Pictures(pixels=64, pixel_A=0.2, dose_e_per_A2=1e6, vacuum=0.0, edge_A=2.0, **STILL)
    for image, level in (("ABF", 1 - (11 / 20) ** 2), ("HAADF", 0.0)):
        picture = take(held, said, image, np.random.default_rng(3))
        there = picture.frame.there
        assert np.mean(there < 0.5) == pytest.approx(0.4, abs=0.01)
        np.testing.assert_allclose(picture.clean.T[there == 0], level, atol=1e-4)
        full = take(held, whole, image, np.random.default_rng(3)).clean.T
        np.testing.assert_allclose(picture.clean.T, level + there * (full - level), atol=1e-4)
        seen, _ = picture.frame.pixels_of(scene.places, scene.cell, margin=0.0)
        assert (map_coordinates(there, seen.T, order=1) > 0.19).all()
        every, _ = framed(64, picture.settings | {"vacuum": 0.0}, scene.cell, np.random.default_rng(0)).pixels_of(
            scene.places, scene.cell, margin=0.0
        )
        assert len(seen) == pytest.approx(0.6 * len(every), rel=0.2)
    settings = take(held, said, "DPCx", np.random.default_rng(3))
    np.testing.assert_allclose(settings.clean.T[settings.frame.there == 0], 0.0, atol=1e-3)
