"""Rings of four, eight and sixteen segments, turned; enhanced ABF."""

import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.microscope.detectors import channels, parse_detector, weight
from rhotem.microscope.detectors.transfer import phase_transfer
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, CenterOfMass, Enhanced, Microscope, Segmented
from rhotem.microscope.simulate import simulate
from rhotem.potential.slices import PotentialSlices

from .conftest import COLUMNS, gaussian_slices

MICROSCOPE = Microscope(energy=200e3, convergence=22.0)
SLICES = gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, number=3)


@pytest.mark.parametrize("number", [4, 8, 16])
@pytest.mark.parametrize("rotation", [0.0, 17.0])
def test_segments_tile_the_ring_and_stand_where_they_say(number, rotation):
    k = 0.02 * np.arange(-60, 61)
    kx, ky = (a.ravel() for a in np.meshgrid(k, k, indexing="ij"))
    wavelength, step = MICROSCOPE.wavelength, (0.02, 0.02)
    ring = weight(channels([Annular(name="a", inner=6, outer=22)])[0], kx, ky, wavelength, step)
    detector = Segmented(inner=6, outer=22, segments=number, rotation=rotation)
    parts = [weight(c, kx, ky, wavelength, step) for c in detector.channels()]
    assert np.allclose(sum(parts), ring, atol=0.02) and sum(map(np.sum, parts)) == pytest.approx(ring.sum(), rel=1e-3)
    for i, part in enumerate(parts):
        assert part.sum() == pytest.approx(ring.sum() / number, rel=0.02)
        azimuth = np.rad2deg(np.arctan2((part * ky).sum(), (part * kx).sum()))
        expected = rotation + 360 / number * i
        assert abs((azimuth - expected + 180) % 360 - 180) < 1.0


@pytest.mark.parametrize("number", [8, 16])
def test_more_segments_see_slow_phases_as_the_centre_of_mass_does(number):
    """A weak grating: iDPC of n segments by the weak-phase transfer; for slow phases it is that of iCoM."""
    extent, shape = (5.0, 5.0), (100, 100)
    x = np.arange(shape[0]) / shape[0] * extent[0]
    detectors = [Segmented(inner=0, outer=22, segments=number, rotation=9.0), CenterOfMass(outer=60.0)]
    grid = PeriodicGrid(np.diag([*extent, 1e-3]), (*shape, 1))
    for spatial in (1, 4):
        q = spatial / extent[0]
        phase = 0.01 * np.cos(2 * np.pi * q * x)[:, None] * np.ones(shape[1])
        slices = PotentialSlices((phase / MICROSCOPE.interaction)[None].astype(np.float32), grid, 0.0)
        images = simulate([slices], MICROSCOPE, Scan((20, 2), extent), detectors, algorithm="bloch")
        expected = phase_transfer(detectors[0], MICROSCOPE, q, 0.0)
        for name, value in zip(("iDPC", "iCoM"), expected, strict=True):
            found = 2 * np.fft.fft(images[name].mean(axis=1))[spatial] / 20
            assert found == pytest.approx(0.01 * value, abs=0.02 * 0.01)
    slow, whole = phase_transfer(detectors[0], MICROSCOPE, 0.02, 0.0)
    assert slow.real == pytest.approx(whole.real, rel=0.03)


def test_more_segments_are_nearer_to_the_centre_of_mass():
    """The error of DPC against CoM over the bright disc falls from four to sixteen segments."""
    scan = Scan((12, 18), SLICES.extent)
    com = simulate([SLICES], MICROSCOPE, scan, [CenterOfMass(outer=60)], algorithm="bloch")
    errors = []
    for number in (4, 16):
        detector = Segmented(inner=0, outer=60, segments=number)
        images = simulate([SLICES], MICROSCOPE, scan, [detector], algorithm="bloch")
        scale = (images["DPCx"] * com["CoMx"]).sum() / (images["DPCx"] ** 2).sum()
        errors.append(np.abs(scale * images["DPCx"] - com["CoMx"]).max())
    assert errors[1] < errors[0]


def test_a_turned_detector_gives_the_same_deflection_in_the_frame_of_the_image():
    scan = Scan((12, 18), SLICES.extent)
    found = [
        simulate([SLICES], MICROSCOPE, scan, [Segmented(inner=0, outer=22, segments=16, rotation=r)], algorithm="bloch")
        for r in (0.0, 11.25)
    ]
    for name in ("DPCx", "DPCy"):
        assert np.abs(found[0][name] - found[1][name]).max() < 0.02 * np.ptp(found[0][name])


def test_segments_are_written_and_shown():
    detector = parse_detector("SEG8=6-22@22.5")
    assert isinstance(detector, Segmented)
    assert (detector.segments, detector.rotation, detector.each) == (8, 22.5, True)
    assert parse_detector("DPC16=6-22").segments == 16 and parse_detector("iDPC=6-22").segments == 4
    images = simulate([SLICES], MICROSCOPE, Scan((6, 8), SLICES.extent), [detector], algorithm="bloch")
    assert detector.image_names()[4:] == [f"segment{i}" for i in range(8)]
    total = sum(images[f"segment{i}"] for i in range(8))
    whole = [Annular(name="a", inner=6, outer=22)]
    ring = simulate([SLICES], MICROSCOPE, Scan((6, 8), SLICES.extent), whole, algorithm="bloch")
    assert np.allclose(total, ring["a"], rtol=1e-4)
    for text, words in (("ABF=11-22@3", "rotation"), ("DPC8=22-6", "must be below")):
        with pytest.raises(InputError, match=words):
            parse_detector(text)


def test_enhanced_abf_is_the_ring_less_the_disc_and_counts_the_electrons_of_both():
    """Mean: ABF − BF; variance: N times the sum of both, which are disjoint."""
    detector = parse_detector("eABF=11-22")
    assert isinstance(detector, Enhanced)
    parts = [Annular(name="ABF", inner=11, outer=22), Annular(name="BF", outer=11)]
    scan = Scan((8, 12), SLICES.extent)
    images = simulate([SLICES], MICROSCOPE, scan, [detector, *parts], algorithm="bloch")
    assert np.allclose(images["eABF"], images["ABF"] - images["BF"], atol=1e-6)
    microscope = MICROSCOPE.model_copy(update={"dose": 500.0, "pixel": None})
    electrons = 500.0 * scan.step[0] * scan.step[1]
    sets = [
        simulate([SLICES], microscope, scan, [detector, *parts], algorithm="bloch", rng=np.random.default_rng(i))
        for i in range(30)
    ]
    assert all(np.allclose(one["eABF"], one["ABF"] - one["BF"]) for one in sets)  # the same electrons
    noise = np.stack([one["eABF"] - images["eABF"] for one in sets]) * electrons
    expected = electrons * (images["ABF"] + images["BF"]).mean()
    assert noise.var() == pytest.approx(expected, rel=4 * np.sqrt(2 / noise.size))


def test_noise_of_integrated_phases_draws_no_stripes():
    """White noise of deflections becomes a phase of variance Σ 1/q², whether positions are even or odd in number."""
    from rhotem.microscope.signals import integrate_moment

    rng, wavelength, spread = np.random.default_rng(5), 0.02, {}
    for shape in ((42, 63), (43, 63), (43, 64), (42, 64)):
        scan = Scan(shape, (14.0, 21.0))
        phases = [integrate_moment(*rng.normal(size=(2, *shape)), scan, wavelength) for _ in range(200)]
        qx, qy = (np.fft.fftfreq(n, l / n) for n, l in zip(shape, scan.size, strict=True))
        q2 = qx[:, None] ** 2 + qy[None] ** 2
        told = (1e-3 / wavelength) ** 2 * (1 / q2[q2 > 0]).sum() / (shape[0] * shape[1])
        spread[shape] = np.mean(np.square(phases)) / told
    assert list(spread.values()) == pytest.approx([1.0] * 4, rel=0.05)
