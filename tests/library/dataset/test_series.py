"""Focal series of data sets: the images are those of the wave that is stored, through an independent lens."""

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.library.dataset.load import load_dataset_plan
from rhotem.library.dataset.make import make

CAMPAIGN = """
rhotem-campaign: 1
name: waves
structures: [{names: [MnO]}]
vary: {zone: [[1, 0, 0]]}
motion: {phonons: 0}
density: {source: free-atoms}
microscope: {preset: hrtem, objective_mrad: 15, convergence_mrad: 0.01}
thicknesses_nm: [0.9, 1.8]
"""
PLAN = """
rhotem-dataset: 1
name: waves
recipe: focal-series
campaigns: campaign.yaml
pictures: {each: 3, pixels: 48, images: HRTEM, foci_nm: [-6, 0, 6], pixel_A: 0.25, dose_e_per_A2: 1.0e8,
  focal_spread_A: 0.01}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A plan on disk beside its campaign."""
    pytest.importorskip("pyarrow")
    made = tmp_path_factory.mktemp("series")
    (made / "campaign.yaml").write_text(CAMPAIGN)
    (made / "plan.yaml").write_text(PLAN)
    return made


def test_images_are_those_of_the_stored_wave(folder):
    """Propagated by hand from focus to focus; the middle only, because the picture is no whole number of cells."""
    outcome = make(load_dataset_plan(folder / "plan.yaml"), folder / "library", folder / "made")
    assert outcome.drawn == 1 and not outcome.lacking
    arrays, said = outcome.dataset.shards()[0].read()
    assert arrays["images"].shape == (3, 3, 48, 48) and arrays["wave"].shape == (3, 2, 48, 48)
    for images, parts, one in zip(arrays["images"].astype(float), arrays["wave"].astype(float), said, strict=True):
        wave = parts[0] + 1j * parts[1]
        assert one["foci_nm"] == [-6, 0, 6] and "jitter_pm" not in one
        g = np.fft.fftfreq(48, one["pixel_A"])
        g2, length = np.add.outer(g**2, g**2), 0.0196875  # Å at 300 keV
        for image, focus in zip(images, one["foci_nm"], strict=True):
            chi = np.pi * length * (-10 * focus * g2 + 0.5 * length**2 * 10 * one["cs_nm"] * g2**2)
            seen = np.abs(np.fft.ifft2(np.fft.fft2(wave * _window(48)) * np.exp(-1j * chi))) ** 2
            middle = slice(18, 30)
            error = np.std(seen[middle, middle] - image[middle, middle])
            assert error < 0.05 * np.std(image[middle, middle])


def _window(n):
    """One in the middle, falling to zero at the edges, so that the ends of a row do not meet."""
    edge = np.clip(np.minimum(np.arange(n), n - 1 - np.arange(n)) / 8, 0, 1)
    return np.outer(np.sin(np.pi / 2 * edge) ** 2, np.sin(np.pi / 2 * edge) ** 2)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (", foci_nm: [-6, 0, 6]", "", "needs two foci or more"),
        ("microscope: {preset: hrtem, objective_mrad: 15, convergence_mrad: 0.01}", "", "preset: hrtem"),
    ],
)
def test_what_a_series_needs_is_said(folder, tmp_path, old, new, words):
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN.replace(old, new))
    (tmp_path / "plan.yaml").write_text(PLAN.replace(old, new))
    with pytest.raises(InputError, match=words) as error:
        make(load_dataset_plan(tmp_path / "plan.yaml"), tmp_path / "library", tmp_path / "made")
    assert "\n" not in str(error.value)
