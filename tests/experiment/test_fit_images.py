"""Fits of scanned images: derivatives, recovery from any start, errors that cover, bad input."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.experiment.fit.images import Recorded, State, fit_images
from rhotem.experiment.fit.images.errors import covariance
from rhotem.experiment.fit.images.fit import at_bounds
from rhotem.experiment.fit.images.model import Model, cubic
from rhotem.experiment.fit.images.planned import recordings
from rhotem.experiment.fit.images.refine import Noise, refine, white_noise
from rhotem.experiment.fit.images.search import starts
from rhotem.experiment.fit.images.state import NAMES, affine
from rhotem.experiment.fit.told import check_alike, check_scaleless
from rhotem.experiment.measurement import Axis, Measurement, Source
from rhotem.experiment.weigh import ImageHypothesis
from rhotem.microscope.settings import Annular, CenterOfMass, Microscope, Segmented
from rhotem.potential.slices import PotentialSlices
from rhotem.scattering.response import Range, response

#: Columns of a 3.9 Å cell without mirrors across x, in V·Å² for a slice of 2 Å.
COLUMNS = ((0.0, 0.0, 60.0), (1.95, 1.95, 35.0), (1.95, 0.0, 8.0), (0.3, 1.95, 14.0))
SHAPE = (40, 44)
DETECTORS = (Annular(name="ADF", inner=20, outer=60), Annular(name="ABF", inner=9, outer=18))
#: 6.3 nm, 1.2 nm underfocus, 0.7 nm astigmatism, a sheared, turned and bent scan.
TRUTH = State(
    np.array([63.0, 12.0, 6.0, -4.0, 0.9, 0.7, 1.1, 0.201, 0.004, -0.003, 0.198, 0.12, -0.08]),
    np.array([4e4, 3e3]),
    np.array([20.0, 5.0]),
)


@pytest.fixture(scope="module")
def held():
    """2 to 10 nm, defocus −3 to 5 nm, astigmatism to 2 nm."""
    return response_with_edges([])


def response_with_edges(edges, detectors=DETECTORS):
    return response_of(COLUMNS, tuple(edges), tuple(detectors))


@cache
def response_of(columns, edges, detectors):
    """Made once for all files that ask for it."""
    g = np.fft.fftfreq(40) * 40 / 3.9
    form = np.exp(-2 * np.pi**2 * 0.25**2 * (g[:, None] ** 2 + g[None] ** 2))
    waves = sum(v * np.exp(-2j * np.pi * (g[:, None] * x + g[None] * y)) for x, y, v in columns)
    one = np.fft.ifft2(waves * form).real * (40 / 3.9) ** 2
    array = np.repeat(one[None].astype(np.float32), 50, axis=0)
    slices = PotentialSlices(array, PeriodicGrid(np.diag([3.9, 3.9, 100.0]), (40, 40, 50)), mean_inner_potential=0.0)
    lens = Microscope(energy=200e3, convergence=18.0)
    span = Range(defocus=(-30, 50), aberrations={"C12": 20})
    return response([slices], lens, detectors, [10.0 * n for n in range(2, 11)], range=span, edges=edges, threads=1)


def blank(state=TRUTH, shape=SHAPE):
    return [Recorded(detector, np.zeros(shape)) for detector in DETECTORS]


def counted(held, rng, state=TRUTH):
    """Electrons that the detectors count."""
    expected = Model(held, blank()).shown(state)
    return [
        Recorded(detector, rng.poisson(values).reshape(SHAPE).astype(float), True)
        for detector, values in zip(DETECTORS, expected, strict=True)
    ]


def test_derivatives_are_those_of_finite_differences(held):
    model = Model(held, blank())
    expected, slopes = model.with_slopes(TRUTH)
    assert expected == pytest.approx(model.shown(TRUTH), rel=1e-6)
    # the response gives images in single precision: steps that rise above it
    steps = np.array([0.5, 0.5, 0.5, 0.5, 0.02, 0.02, 0.02, 5e-4, 5e-4, 5e-4, 5e-4, 0.02, 0.02, 100.0, 10.0, 1.0, 1.0])
    for place, step in enumerate(steps):
        up, down = TRUTH.whole, TRUTH.whole
        up[place] += step
        down[place] -= step
        change = (model.shown(TRUTH.from_whole(up)) - model.shown(TRUTH.from_whole(down))) / (2 * step)
        assert slopes[place] == pytest.approx(change, abs=6e-3 * np.abs(change).max())


def test_pixels_lie_where_the_response_scans(held):
    """A scan along the cell's axes is the image that the response itself gives, row y downwards."""
    state = State(np.array([60.0, 12.0, 0, 0, 0.9, 0, 0, 3.9 / 44, 0, 0, 3.9 / 40]), np.ones(2), np.zeros(2))
    shown = Model(held, blank()).shown(state).reshape(2, *SHAPE)
    image = held.images(thickness=60.0, defocus=12.0, source_size=0.9).resampled(3.9 / 44)["ABF"]
    assert image.shape == (44, 44)
    assert shown[1][0] == pytest.approx(image[:, 0], abs=2e-3 * np.ptp(image))
    assert shown[1][::10, 0] == pytest.approx(image[0, ::11], abs=2e-3 * np.ptp(image))


def test_drift_bends_the_middle_of_a_scan(held):
    model = Model(held, blank())
    straight = Model(held, blank()).positions(State(TRUTH.values[:11], TRUTH.gains, TRUTH.offsets))
    off = np.subtract(model.positions(TRUTH), straight).reshape(2, *SHAPE)
    assert off[:, [0, -1]] == pytest.approx(0.0, abs=1e-12)
    rows = np.arange(40) - 19.5
    for axis, bend in enumerate((0.12, -0.08)):  # a parabola through the ends, its height at the middle
        assert off[axis] == pytest.approx(np.repeat(bend * (1 - (rows / 19.5) ** 2)[:, None], SHAPE[1], axis=1))


def test_a_fit_finds_what_images_were_made_with(held, rng):
    fit = fit_images(counted(held, rng), held, [[0.2, 0.0], [0.0, 0.2]])
    for name in ("thickness", "defocus", "C12a", "C12b", "source_size", "x_column", "y_row", "x_bend", "y_bend"):
        assert abs(getattr(fit.state, name) - getattr(TRUTH, name)) < 4 * fit.error(name), name
    assert fit.error("thickness") < 10.0
    assert fit.excess == pytest.approx(1.0, abs=0.1)
    assert affine(fit.state) == pytest.approx(affine(TRUTH), abs=5e-3)
    assert fit.minima[0][1] == max(odds for _, odds in fit.minima)
    said = fit.record()
    assert said["images"]["ADF"]["gain"] == pytest.approx(4e4, rel=0.1)
    assert str(fit).startswith("thickness")


@pytest.mark.parametrize(
    ("gains", "words"), [((1.0, 1.0), ""), ((0.05, 0.05), "a mean of frames"), ((1.0, 1.8), "an offset")]
)
def test_values_that_are_no_electrons_are_told_of(held, rng, gains, words):
    """Counts over 20 frames, and one image of a converter: errors, odds and doses are not those of electrons."""
    pairs = zip(counted(held, rng), gains, strict=True)
    images = [replace(one, values=gain * one.values) for one, gain in pairs]
    start = State(TRUTH.values, TRUTH.gains * gains, TRUTH.offsets * gains)
    fit = fit_images(images, held, [[0.2, 0.0], [0.0, 0.2]], start=start)
    assert bool(words) == bool(fit.remarks) and words in " ".join(fit.remarks), (fit.remarks, fit.excess)
    told = ImageHypothesis("a", held, [[0.2, 0.0], [0.0, 0.2]]).at_bounds(images, fit.state)
    assert bool(words) == any("say --no-counts" in line for line in told)


@pytest.mark.parametrize("focus", [0, 1])
def test_a_start_on_bounds_goes_to_the_same_minimum(held, rng, focus):
    """Thinnest and farthest focus that the response holds: the fit once stayed near where it began."""
    model = Model(held, counted(held, rng))
    corner = TRUTH.values.copy()
    corner[[0, 1, 4]] = held.thicknesses[0], held.range.defocus[focus], 0.8
    inside, start = refine(model, TRUTH), refine(model, State(corner, TRUTH.gains, TRUTH.offsets))
    assert start.cost == pytest.approx(inside.cost, abs=5.0)


def dark_field(held, rng, gain=400.0):
    """One dark field of few electrons, without source blur: between columns nearly none."""
    state = State(TRUTH.values.copy(), np.array([gain, 1.0]), np.zeros(2))
    state.values[[2, 3, 4]] = 0.0, 0.0, 0.05
    expected = Model(held, blank()).shown(state)[0]
    return [Recorded(DETECTORS[0], rng.poisson(np.maximum(expected, 0)).reshape(SHAPE).astype(float), True)]


def test_starts_that_expect_less_than_no_electrons_do_not_stop_the_fit(held, rng):
    """The line through a sharp dark field has an offset below zero: slopes there were 1e5 too large."""
    images = dark_field(held, rng)
    fit = fit_images(images, held, [[0.2, 0.0], [0.0, 0.2]])
    assert fit.excess < 1.2 and not fit.remarks
    model = Model(held, images)
    low = replace(fit.state, offsets=fit.state.offsets - 0.05 * images[0].values.max())
    assert model.shown(low).min() < 0
    assert refine(model, low).cost == pytest.approx(fit.best.cost, abs=5.0)


def test_deviance_goes_on_below_zero_with_its_slope():
    noise = Noise(Recorded(DETECTORS[0], np.array([[0.0, 1.0, 7.0, 4.0]]), True))
    for level in (-3.0, 0.01, 2.0):
        expected = np.full(4, level)
        slope = noise.residual(expected)[1]
        change = (noise.residual(expected + 1e-5)[0] - noise.residual(expected - 1e-5)[0]) / 2e-5
        assert slope == pytest.approx(change, rel=1e-3)
    assert (noise.residual(np.full(4, -2.0))[0] < noise.residual(np.full(4, -1.0))[0]).all()


def test_a_noise_free_image_leaves_nothing():
    """Dark pixels among it: else rivals that are equal seem to be told apart by more electrons."""
    values = np.array([[1e-3, 0.01, 0.04, 5.0]])
    assert np.abs(Noise(Recorded(DETECTORS[0], values, True)).residual(values.ravel())[0]).max() < 1e-6


def test_the_search_offers_another_origin(held, rng):
    found = starts(Model(held, dark_field(held, rng)), [[0.2, 0.0], [0.0, 0.2]], [-30.0, 10.0, 50.0])
    first = found[0][1]
    away = [np.hypot(*((np.array([s.x - first.x, s.y - first.y]) + 1.95) % 3.9 - 1.95)) for _, s in found]
    assert max(away) > 0.6


def test_a_fit_that_explains_nothing_says_so(held, rng):
    """Another crystal's columns: residuals far above noise, one plain line."""
    images = dark_field(held, rng, 4e4)
    mirrored = replace(images[0], values=np.fliplr(images[0].values))
    fit = fit_images([mirrored], held, [[0.2, 0.0], [0.0, 0.2]])
    assert fit.excess > 1.5
    assert any("does not explain the images" in remark for remark in fit.remarks)
    assert fit.record()["remarks"] == fit.remarks


def test_the_search_finds_the_scan(held, rng):
    """The first pixel within a tenth of an Å of where it is, whichever thickness is the best."""
    model = Model(held, counted(held, rng))
    _, best = starts(model, [[0.2, 0.0], [0.0, 0.2]], [-30.0, 10.0, 50.0])[0]
    offset = (np.array([best.x - TRUTH.x, best.y - TRUTH.y]) + 1.95) % 3.9 - 1.95
    assert np.hypot(*offset) < 0.25  # the pixel given is off by 0.5 %


@pytest.mark.slow
def test_errors_cover(held, rng):
    """Of 60 Poisson experiments 68 % intervals hold the truth, within what 60 can tell."""
    names = ("thickness", "defocus", "C12a", "C12b", "source_size", "x_column")
    pulls = []
    for _ in range(60):
        model = Model(held, counted(held, rng))
        fit = refine(model, TRUTH)
        errors = np.sqrt(np.diag(covariance(model, fit)))
        pulls.append([(getattr(fit.state, n) - getattr(TRUTH, n)) / errors[NAMES.index(n)] for n in names])
    assert 0.6 < (np.abs(pulls) < 1).mean() < 0.76
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.15)


def test_cubic_weights_hold_polynomials():
    nodes, depth = [20.0, 30.0, 40.0, 55.0, 70.0], 47.0
    weights, slopes = cubic(nodes, depth)
    for power in range(4):
        values = np.array(nodes) ** power
        assert weights @ values == pytest.approx(depth**power)
        assert slopes @ values == pytest.approx(power * depth ** (power - 1) if power else 0.0, abs=1e-9)


def test_noise_of_an_image_and_deviance(rng):
    y, x = np.indices((80, 80))
    smooth = 100 + 30 * np.sin(x / 9) * np.cos(y / 11)
    assert white_noise(smooth + 2.5 * rng.normal(size=smooth.shape)) == pytest.approx(2.5, rel=0.06)
    noise = Noise(Recorded(DETECTORS[0], np.array([[0.0, 7.0, 30.0]]), True))
    expected = np.array([4.0, 7.0, 25.0])
    value, slope = noise.residual(expected)
    step = 1e-5
    change = (noise.residual(expected + step)[0] - noise.residual(expected - step)[0]) / (2 * step)
    assert value[0] ** 2 == pytest.approx(8.0)
    assert slope == pytest.approx(change, rel=1e-4)


def test_bad_images_are_refused_in_one_line(held, rng):
    noise = [Recorded(d, rng.poisson(50.0, SHAPE).astype(float), True) for d in DETECTORS]
    with pytest.raises(InputError, match="lattice of the crystal is not in them"):
        fit_images(noise, held, [[0.2, 0.0], [0.0, 0.2]])
    with pytest.raises(InputError, match="same scan"):
        fit_images([noise[0], replace(noise[1], values=np.zeros((3, 3)))], held, np.eye(2))
    with pytest.raises(InputError, match="say which as image="):
        Recorded(CenterOfMass(outer=30), np.zeros(SHAPE))
    with pytest.raises(InputError, match="below zero"):
        Recorded(DETECTORS[0], np.full(SHAPE, -1.0), True)
    with pytest.raises(InputError, match="finite"):
        Recorded(DETECTORS[0], np.full(SHAPE, np.nan))
    with pytest.raises(InputError, match="needs 4 or more"):
        Model(held.at([20.0, 30.0]), noise)


def test_a_doubt_of_a_detector_widens_errors_by_what_it_shifts(held, rng):
    """A detector in doubt by what another one is: the error is that of noise and the shift of the fit, in squares."""
    other = Annular(name="ADF", inner=18, outer=60)
    wide = response_with_edges([18.0])
    images = counted(wide, rng)
    plain = fit_images(images, wide, [[0.2, 0.0], [0.0, 0.2]], start=TRUTH)
    doubted = [replace(images[0], doubt=other), images[1]]
    fit = fit_images(doubted, wide, [[0.2, 0.0], [0.0, 0.2]], start=TRUTH)
    moved = refine(Model(wide, [replace(images[0], detector=other), images[1]]), TRUTH)
    assert fit.state.whole == pytest.approx(plain.state.whole)
    for name in ("thickness", "defocus", "source_size"):
        shift = getattr(moved.state, name) - getattr(plain.state, name)
        added = np.sqrt(fit.error(name) ** 2 - plain.error(name) ** 2)
        assert added == pytest.approx(abs(shift), rel=0.5, abs=0.1 * plain.error(name)), name


def test_a_whole_number_of_pixels_in_a_cell_hides_nothing_from_the_search(held, rng):
    """13 pixels in a cell sample the same places in all cells: what they do not resolve is not compared."""
    values = TRUTH.values.copy()
    values[7:11] = 0.3, 0.0, 0.0, 0.3
    images = counted(held, rng, State(values, TRUTH.gains, TRUTH.offsets))
    score, _ = starts(Model(held, images), [[0.3, 0.0], [0.0, 0.3]], [-30.0, 10.0, 50.0])[0]
    assert score > 0.9


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"thickness": 99.5}, "the thickness is at an end of the 2 to 10 nm"),
        ({"defocus": -30.0}, "the defocus is at an end of the -3 to 5 nm"),
        ({"C12a": 19.8}, "the astigmatism is at the largest"),
        ({"source_size": 3.0}, "the source is as wide"),
    ],
)
def test_what_lies_at_an_end_is_said(held, changed, words):
    model = Model(held, blank())
    values = TRUTH.values.copy()
    for name, value in changed.items():
        values[NAMES.index(name)] = value
    assert at_bounds(model, TRUTH) == []
    (line,) = at_bounds(model, replace(TRUTH, values=values))
    assert line.startswith(words)


def test_segments_of_one_detector_are_images_of_their_own():
    """Their sum is the ring; a doubt, and two detectors whose images share names, are refused."""
    ring = Annular(name="ABF", inner=9, outer=18)
    parts = Segmented(inner=9, outer=18, each=True)
    held = response_with_edges([], (*DETECTORS, parts))
    images = [
        Recorded(ring, np.zeros(SHAPE)),
        *(Recorded(parts, np.zeros(SHAPE), image=f"segment{n}") for n in range(4)),
    ]
    cells = Model(held, images).cells(TRUTH)
    assert cells[1:].sum(axis=0) == pytest.approx(cells[0], abs=1e-5)
    with pytest.raises(InputError, match="say which"):
        Recorded(parts, np.zeros(SHAPE))
    with pytest.raises(InputError, match="one image"):
        Recorded(parts, np.zeros(SHAPE), doubt=parts, image="segment0")
    other = Segmented(inner=6, outer=9, each=True)
    with pytest.raises(InputError, match="images of one name"):
        Model(held, [images[1], Recorded(other, np.zeros(SHAPE), image="segment1")])


def test_a_crystal_that_is_not_in_an_image_without_scale_is_refused(held, monkeypatch):
    """Columns all alike (as of LiF) laid over two kinds (as of SrTiO3): the lattice fits at some scale, the image not.

    With a scale the lattice is evidence, and the fit only warns; the right crystal is fitted either way.
    """
    images = counted(held, np.random.default_rng(1))
    pixels = np.array([[0.2, 0.0], [0.0, 0.2]])
    axis = Axis("y", "Å", None)
    bare = Measurement(images[0].values, "image", (axis, axis), source=Source("image.png", ""))
    scaled = replace(bare, axes=(replace(axis, scale=0.2), replace(axis, scale=0.2)))
    monkeypatch.setattr("tests.experiment.test_fit_images.COLUMNS", ((0.0, 0.0, 15.0), (1.95, 1.95, 15.0)))
    near = State(TRUTH.values, 4 * TRUTH.gains, TRUTH.offsets)
    wrong = fit_images(images, response_with_edges([]), pixels, start=near)
    assert wrong.left > 0.2 and "do not trust" in wrong.remarks[0]
    check_scaleless(wrong, scaled, "LiF", pixels)
    with pytest.raises(InputError, match=r"has no scale, and at the 0\.2 Å per pixel .* LiF .*say --pixel-A") as error:
        check_scaleless(wrong, bare, "LiF", pixels)
    assert "\n" not in str(error.value)
    right = fit_images(images, held, pixels, start=TRUTH)
    check_scaleless(right, bare, "SrTiO3", pixels)
    assert right.left < 0.01


def recorded(shape=SHAPE, pixel=(0.2, 0.2), name="haadf.npy"):
    axes = (Axis("y", "Å", pixel[0]), Axis("x", "Å", pixel[1]))
    return Measurement(np.ones(shape), "image", axes, source=Source(name, ""))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (recorded((80, 88), name="abf.npy"), r"abf.npy: images of one scan of different shapes, 40 × 44 and 80 × 88"),
        (recorded(pixel=(0.25, 0.25), name="abf.npy"), r"abf.npy: .* different pixels, 0.2 × 0.2 Å and 0.25 × 0.25 Å"),
    ],
)
def test_images_that_no_scan_gives_together_are_refused(other, words):
    """Middles of 128 pixels of both were fitted as one place, whatever was around them."""
    with pytest.raises(InputError, match=words):
        check_alike([recorded(), other], "images of one scan")
    plan = type("Plan", (), {"preset": lambda self: type("Preset", (), {"detectors": DETECTORS})()})()
    with pytest.raises(InputError, match=words):
        recordings([recorded(), other], plan)
    assert len(recordings([recorded(), recorded(pixel=(None, None))], plan)) == 2
