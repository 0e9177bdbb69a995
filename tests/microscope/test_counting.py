"""Counting noise: formulas of Poisson and compound Poisson numbers, and what overlapping detectors share."""

import numpy as np
import pytest

from rhotem.microscope.acquisition.settings import Acquisition, Jitter
from rhotem.microscope.cells import Cells
from rhotem.microscope.counting import Pixels, draw
from rhotem.microscope.detectors import channels, integral_weight, weight
from rhotem.microscope.optics import disc_part
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, CenterOfMass, Microscope, Pixelated, Segmented
from rhotem.microscope.simulate import simulate

from .conftest import COLUMNS, gaussian_slices

WAVELENGTH, STEP = 0.025, (0.06, 0.075)
ALL = [
    Annular(name="BF", outer=22),
    Annular(name="ABF", inner=11, outer=22),
    Annular(name="ADF", inner=30, outer=50),
    Annular(name="old", inner=15, outer=40, edges="hard"),
    Segmented(inner=6, outer=22),
    Segmented(name="turned", inner=10, outer=26, rotation=200.0),
    Segmented(name="same", inner=6, outer=22, rotation=90.0),
    CenterOfMass(outer=45),
]


def plane():
    h = np.stack(np.meshgrid(np.arange(-40, 41), np.arange(-35, 36), indexing="ij"), axis=-1).reshape(-1, 2)
    return h[:, 0] * STEP[0], h[:, 1] * STEP[1]


@pytest.mark.parametrize("aperture", [False, True])
def test_every_detector_is_a_sum_of_disjoint_cells(aperture):
    kx, ky = plane()
    opening = 20e-3 / WAVELENGTH if aperture else None
    covered = disc_part(kx, ky, opening, STEP) if aperture else 1.0
    cells = Cells(ALL)
    parts, weights = (f(kx, ky, WAVELENGTH, STEP, opening) for f in (cells.weights, cells.integral_weights))
    assert parts.min() > -1e-12 and (parts.sum(axis=1) <= covered + 1e-9).all()
    for channel in channels(ALL):
        if channel.role not in ("x", "y"):
            for found, each in ((parts, weight), (weights, integral_weight)):
                expected = each(channel, kx, ky, WAVELENGTH, STEP, opening)
                assert np.allclose(found[:, cells.within(channel.name)].sum(axis=1), expected, atol=1e-9), channel.name
            totals = [each(channel, kx, ky, WAVELENGTH, STEP, opening).sum() for each in (weight, integral_weight)]
            assert channel.region.hard or totals[0] == pytest.approx(totals[1]), channel.name


def test_cells_are_as_few_as_the_detectors_tell_apart():
    default = [Annular(name="HAADF", inner=68, outer=200), Annular(name="ABF", inner=11, outer=22)]
    assert len(Cells([*default, Segmented(inner=6, outer=22)]).cells) == 1 + 4 + 4
    assert len(Cells([Annular(name="BF", outer=22), *default]).cells) == 3
    assert {cell.functions for cell in Cells(default).cells} == {()}


def intensities(seed=1):
    """An uneven pattern (fractions of the beam, 0.8 in all) on the pixels of `plane`."""
    kx, ky = plane()
    shape = np.exp(-((kx - 0.2) ** 2 + (ky + 0.1) ** 2) / 0.9) * np.random.default_rng(seed).uniform(0.5, 1.5, len(kx))
    return 0.8 * shape / shape.sum()


def many(detectors, electrons, number=40000, patterns=False):
    """Electrons drawn at ``number`` positions that all expect the same pattern."""
    kx, ky = plane()
    cells, expected = Cells(detectors), intensities()
    parts = cells.weights(kx, ky, WAVELENGTH, STEP)
    scale = 1e3 * WAVELENGTH
    weights = cells.recorded(parts, scale * kx, scale * ky, (scale * STEP[0], scale * STEP[1]))
    moments = np.repeat(weights.T @ expected, number).reshape(-1, number, 1)
    whole = {}
    if patterns:
        whole = {"4D": np.broadcast_to(expected.reshape(81, 71), (number, 1, 81, 71))}
        inside = np.repeat(parts.T @ expected, number).reshape(-1, number, 1)
        moments = np.concatenate([np.zeros_like(moments), inside])
    rng = np.random.default_rng(3)
    return draw(cells, moments, whole, Pixels(STEP, WAVELENGTH), electrons=electrons, rng=rng)


def expected_of(detector):
    kx, ky = plane()
    channel = channels([detector])[0]
    return weight(channel, kx, ky, WAVELENGTH, STEP) * intensities()


@pytest.mark.parametrize("patterns", [False, True])
def test_counts_of_overlapping_detectors_are_correlated_by_what_they_share(patterns):
    """Poisson numbers: variance = mean, covariance of BF and ABF = mean of what lies in both, none with ADF."""
    electrons, number = 200.0, 3000 if patterns else 40000
    drawn = many(ALL[:3], electrons, number, patterns)
    bf, abf, adf = (drawn.counted(name).ravel().astype(float) for name in ("BF", "ABF", "ADF"))
    means = [electrons * expected_of(d).sum() for d in ALL[:3]]
    for counts, mean in zip((bf, abf, adf), means, strict=True):
        assert abs(counts.mean() - mean) < 4 * np.sqrt(mean / number)
        assert abs(counts.var() / mean - 1) < 4 * np.sqrt((2 + 1 / mean) / number)
    scatter = np.sqrt((means[0] * means[1] + means[1] ** 2) / number)
    assert abs(np.cov(bf, abf)[0, 1] - means[1]) < 4 * scatter
    assert abs(np.cov(bf, adf)[0, 1]) < 4 * np.sqrt(means[0] * means[2] / number)
    beam = drawn.elsewhere.ravel() + (drawn.patterns["4D"].sum(axis=(1, 2, 3)) if patterns else bf + adf)
    assert abs(beam.mean() - electrons) < 4 * np.sqrt(electrons / number)
    assert abs(beam.var() / electrons - 1) < 4 * np.sqrt(2 / number)


@pytest.mark.parametrize("patterns", [False, True])
@pytest.mark.parametrize("others", [[], ALL[:2]])
def test_deflection_noise_is_that_of_a_compound_poisson_sum(patterns, others):
    """Σk has the variance N⟨k²⟩ and covariance N⟨kx ky⟩; the mean over n electrons Var(k)·⟨1/n⟩; no bias."""
    electrons, number = 60.0, 3000 if patterns else 40000
    com = CenterOfMass(outer=45)
    drawn = many([com, *others], electrons, number, patterns)
    kx, ky = (1e3 * WAVELENGTH * k for k in plane())
    weights = expected_of(com)
    cells = drawn.cells.within("CoM")
    sx, sy = drawn.sums[cells].sum(axis=0).reshape(2, -1)
    variance = electrons * (weights * kx**2).sum()
    assert abs(sx.mean() - electrons * (weights * kx).sum()) < 4 * np.sqrt(variance / number)
    assert abs(sx.var() / variance - 1) < 4 * np.sqrt(3 / number)
    assert abs(np.cov(sx, sy)[0, 1] - electrons * (weights * kx * ky).sum()) < 4 * variance / np.sqrt(number)
    (x, _), empty = drawn.deflection("CoM")
    assert not empty.any()
    mean = (weights * kx).sum() / weights.sum()
    one = (weights * kx**2).sum() / weights.sum() - mean**2
    expected = one * (1 / drawn.counted("CoM")).mean()
    assert abs(x.mean() - mean) < 4 * np.sqrt(expected / number)
    assert abs(x.var() / expected - 1) < 4 * np.sqrt(3 / number)


def test_a_position_without_electrons_is_not_deflected():
    drawn = many([CenterOfMass(outer=45)], 0.5, 2000)
    (x, y), empty = drawn.deflection("CoM")
    share = 0.5 * expected_of(CenterOfMass(outer=45)).sum()
    assert abs(empty.mean() - np.exp(-share)) < 4 * np.sqrt(np.exp(-share) / 2000)
    assert not x[empty].any() and not y[empty].any() and np.isfinite(x).all()


MICROSCOPE = Microscope(energy=200e3, convergence=25.0)
SLICES = gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, number=2)
DETECTORS = [Annular(name="BF", outer=25), Annular(name="ABF", inner=12, outer=25), CenterOfMass(outer=40)]


def noisy(dose, detectors=DETECTORS, seed=5, **settings):
    microscope = MICROSCOPE.model_copy(update={"dose": dose, "pixel": None, **settings})
    scan = Scan((8, 12), SLICES.extent)
    return simulate([SLICES], microscope, scan, detectors, algorithm="bloch", rng=np.random.default_rng(seed))


def test_many_electrons_give_the_image_without_noise_and_a_seed_the_same_ones():
    clean = simulate([SLICES], MICROSCOPE, Scan((8, 12), SLICES.extent), DETECTORS, algorithm="bloch")
    images, again, other = noisy(1e12), noisy(1e3), noisy(1e3)
    for name in clean.images:
        assert np.abs(images[name] - clean[name]).max() < 1e-4 * np.abs(clean[name]).max()
        assert np.array_equal(again[name], other[name])
    assert not np.array_equal(noisy(1e3, seed=6)["BF"], again["BF"])


def test_counts_of_the_source_blurred_image():
    """e/Å² times the area of a position is its number of electrons; the source acts before they are drawn."""
    blurred = {"source_size": 1.2}
    microscope = MICROSCOPE.model_copy(update=blurred)
    clean = simulate([SLICES], microscope, Scan((8, 12), SLICES.extent), DETECTORS, algorithm="bloch")
    images = [noisy(4e2, seed=i, **blurred) for i in range(40)]
    electrons = 4e2 * 4.2 / 8 * 6.3 / 12
    assert images[0].record["counting"]["electrons_per_position"] == pytest.approx(electrons)
    z = np.stack([(i["BF"] - clean["BF"]) * electrons / np.sqrt(clean["BF"] * electrons) for i in images])
    assert abs(z.mean()) < 4 / np.sqrt(z.size) and abs(z.var() - 1) < 4 * np.sqrt(2 / z.size)
    whole = np.stack([i["BF"] * electrons for i in images])
    assert np.allclose(whole, np.rint(whole))


@pytest.mark.parametrize("shape", [(3, 4), (4, 6), (6, 9)])
@pytest.mark.parametrize("more", [{}, {"source_size": 1.0}])
@pytest.mark.parametrize("patterns", [False, True])
def test_the_mean_of_counts_is_that_expected_also_where_the_scan_is_coarse(shape, more, patterns):
    """Positions farther apart than λ/4α: an interpolated or blurred Fourier series rings below zero, counts cannot.

    Clipped ringing made these dark fields 4 to 18 % too bright without a source.
    """
    detectors = [Annular(name="ADF", inner=30, outer=60), Annular(name="BF", outer=25)]
    detectors += [Pixelated(outer=40)] if patterns else []
    scan, rng = Scan(shape, SLICES.extent), np.random.default_rng(2)
    plain, dosed = (MICROSCOPE.model_copy(update={**more, "dose": dose}) for dose in (None, 1e7))
    clean = simulate([SLICES], plain, scan, detectors, algorithm="bloch")
    drawn = simulate([SLICES], dosed, scan, detectors, algorithm="bloch", rng=rng)
    assert drawn.scan == scan and "counted at these positions" in drawn.record["plan"]["warnings"][0]
    electrons = 1e7 * scan.step[0] * scan.step[1] * shape[0] * shape[1]
    for name in clean.images:
        mean = clean[name].mean()
        assert abs(drawn[name].mean() - mean) < 4 * np.sqrt(mean / electrons), name
        assert clean[name].min() >= 0


def test_a_coarse_scan_is_not_distorted_between_its_positions():
    shaken = {"dose": 1e6, "acquisition": Acquisition(counting=False, jitter=Jitter(sigma_pm=30, time_us=5))}
    microscope, scan = MICROSCOPE.model_copy(update=shaken), Scan((4, 6), SLICES.extent)
    images = simulate([SLICES], microscope, scan, DETECTORS[:1], algorithm="bloch", rng=np.random.default_rng(1))
    assert np.array_equal(images["BF"], images.clean["BF"])
    assert "not known" in images.record["acquisition"]["scan"]["not distorted"]


def test_patterns_beside_them_do_not_change_what_detectors_see_on_average():
    """A BF disc that ends with the aperture: in the pixels of its rim detector and beam end at the same line."""
    clean = simulate([SLICES], MICROSCOPE, Scan((8, 12), SLICES.extent), DETECTORS, algorithm="bloch")
    images = noisy(1e11, [*DETECTORS, Segmented(inner=6, outer=25), Pixelated(outer=50)])
    for name in clean.images:
        assert np.abs(images[name] - clean[name]).max() < 2e-3 * np.ptp(clean[name])


def test_signals_beside_patterns_are_those_of_their_electrons():
    """Detectors inside the camera count its very electrons, one that is partly outside shares those inside."""
    camera, wide = Pixelated(outer=50), Annular(name="ADF", inner=35, outer=80)
    images = noisy(3e3, [camera, Pixelated(name="small", outer=20), Annular(name="BF", outer=25), wide])
    electrons = 3e3 * 4.2 / 8 * 6.3 / 12
    counts = images.patterns["4D"] * electrons
    assert np.allclose(counts, np.rint(counts), atol=1e-2)
    n, m = images.patterns["small"].shape[2:]
    i, j = ((a - b) // 2 for a, b in zip(counts.shape[2:], (n, m), strict=True))
    assert np.array_equal(images.patterns["small"], images.patterns["4D"][:, :, i : i + n, j : j + m])
    step = [s * 1e-3 / MICROSCOPE.wavelength for s in images.angular_step]
    kx, ky = Pixels((step[0], step[1]), MICROSCOPE.wavelength).frequencies(counts.shape[2:])
    k = np.hypot(kx, ky) * 1e3 * MICROSCOPE.wavelength
    flat, margin = np.rint(counts).reshape(8, 12, -1), max(images.angular_step)
    bf, adf = (np.rint(images[name] * electrons) for name in ("BF", "ADF"))
    assert (bf >= flat[..., k < 25 - margin].sum(axis=-1) - 1e-6).all()
    assert (bf <= flat[..., k < 25 + margin].sum(axis=-1) + 1e-6).all()
    assert (adf >= flat[..., (k > 35 + margin) & (k < 50)].sum(axis=-1) - 1e-6).all()
