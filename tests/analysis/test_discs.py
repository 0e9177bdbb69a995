"""Discs of a nanobeam: their indices, and intensities against spots of a plane wave."""

import numpy as np
import pytest

from rhotem.analysis import run
from rhotem.microscope.discs import indexed_discs


@pytest.fixture(scope="module")
def patterns():
    """Mean pattern of a nanobeam and spots of a plane wave, of the same SrTiO3 at rest, 2 nm."""
    made = []
    for preset in ("nanobeam", "saed"):
        cut = run.specimen(run.structure("SrTiO3"), zone=(0, 0, 1), thickness=2, preset=preset)
        made.append(run.image(cut, run.potential(cut, run.density(cut, source="free-atoms"), phonons=0)))
    return made


def test_discs_hold_what_spots_of_a_thin_crystal_hold(patterns):
    """Over 1.5 mrad excitation errors change a 2 nm crystal's intensities by sinc² of 0.02 at 30 mrad."""
    beam, wave = patterns
    spots = {(row["h"], row["k"], row["l"]): row for row in wave.plane_wave.spots()}
    discs = {(row["h"], row["k"], row["l"]): row for row in indexed_discs(beam)}
    assert len(discs) > 20 and (0, 0, 0) in discs
    for hkl, disc in discs.items():
        if disc["intensity"] > 1e-4:
            assert disc["intensity"] == pytest.approx(spots[hkl]["intensity"], rel=0.03)
            assert disc["angle_mrad"] == pytest.approx(spots[hkl]["angle_mrad"])


def test_discs_have_the_symmetry_of_the_crystal(patterns):
    discs = {(row["h"], row["k"]): row["intensity"] for row in indexed_discs(patterns[0])}
    four = [discs[hk] for hk in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    np.testing.assert_allclose(four, np.mean(four), rtol=1e-4)
    assert discs[2, 0] == pytest.approx(discs[0, 2], rel=1e-4)


def test_discs_that_overlap_are_none(patterns):
    wide = patterns[0]
    assert indexed_discs(wide)
    for angle in (2.45, 22.0):
        settings = {**wide.record["microscope"], "convergence": angle}
        cell = {**wide.record["reciprocal"], "cell_A": [9.0, 9.0]}
        record = {**wide.record, "microscope": settings, "reciprocal": cell}
        assert not indexed_discs(type(wide)(wide.images, wide.scan, wide.diffraction, wide.angular_step, record=record))
    assert not indexed_discs(patterns[1])
