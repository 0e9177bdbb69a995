"""Fits of focal series: images against those of the lens itself, derivatives, recovery, coverage, bad input."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli import main
from rhotem.core import InputError, PeriodicGrid
from rhotem.experiment.fit.focal import FocalState, Photo, fit_series
from rhotem.experiment.fit.focal.model import FocalLimits, Model
from rhotem.experiment.fit.focal.pairs import Pairs
from rhotem.experiment.fit.focal.planned import frames_of, orientations
from rhotem.experiment.fit.focal.report import draw_series
from rhotem.experiment.fit.focal.state import NAMES
from rhotem.experiment.measurement import Axis, Measurement, Source
from rhotem.microscope.parallel import parallel_images
from rhotem.microscope.settings import Microscope
from rhotem.potential.slices import PotentialSlices
from rhotem.scattering.exits import exit_waves

SIDE, GRID, SLICE = 3.9, 48, 2.0
#: Columns without mirrors across x, in V·Å² for a slice.
COLUMNS = ((0.0, 0.0, 60.0), (1.95, 1.95, 35.0), (1.95, 0.0, 8.0), (0.3, 1.95, 14.0))
LIMITS = FocalLimits((-200, 100), (-2.2e5, -0.8e5), 30)
STEPS = (0.0, 60.0, 120.0, 180.0)
AFFINE = np.array([[0.24, 0.01], [-0.012, 0.235]])
#: 6.2 nm: between the thicknesses that are held, and of a whole number of slices.
TRUTH = {
    "thickness": 62.0, "defocus": -100.0, "focus_step": 1.0, "Cs": -1.4e5, "C12a": 8.0, "C12b": -5.0,
    "focal_spread": 26.0, "blur": 0.35,
}  # fmt: skip


def slices(number, move=None, repeats=1):
    """Columns of Gaussian section; ``move`` (repeats², columns, 2): where those of every cell stand instead."""
    extent, n = SIDE * repeats, GRID * repeats
    g = np.fft.fftfreq(n) * n / extent
    form = np.exp(-2 * np.pi**2 * 0.16**2 * (g[:, None] ** 2 + g[None] ** 2))
    waves = np.zeros((n, n), dtype=complex)
    for cell in range(repeats**2):
        i, j = divmod(cell, repeats)
        for place, (x, y, v) in enumerate(COLUMNS):
            dx, dy = (0.0, 0.0) if move is None else move[cell, place]
            waves += v * np.exp(-2j * np.pi * (g[:, None] * (x + i * SIDE + dx) + g[None] * (y + j * SIDE + dy)))
    one = np.fft.ifft2(waves * form).real * (n / extent) ** 2
    grid = PeriodicGrid(np.diag([extent, extent, SLICE * number]), (n, n, number))
    return PotentialSlices(np.repeat(one[None].astype(np.float32), number, axis=0), grid, mean_inner_potential=0.0)


def lens(focus, truth=TRUTH):
    size, turn = np.hypot(truth["C12a"], truth["C12b"]), 0.5 * np.arctan2(truth["C12b"], truth["C12a"])
    more = {"C12": float(size), "phi12": float(turn)}
    spread = truth["focal_spread"]
    return Microscope(
        energy=300e3, convergence=0.3, defocus=focus, cs=truth["Cs"], focal_spread=spread, aberrations=more
    )


@pytest.fixture(scope="module")
def held():
    """1.2 to 12 nm, 1.2 nm apart."""
    return exit_waves([slices(60)], Microscope(energy=300e3), [12.0 * n for n in range(1, 11)])


@pytest.fixture(scope="module")
def ideal():
    """Images of the cell by the lens itself: as independent of the fit's as the project has it."""
    number = round(TRUTH["thickness"] / SLICE)
    return [parallel_images([slices(number)], lens(TRUTH["defocus"] + step)).images["HRTEM"] for step in STEPS]


def seen(images, origins, shape, affine=AFFINE, blur=TRUTH["blur"]):
    """Images of the cell, blurred, at the pixels of a camera."""
    row, column = np.indices(shape)
    result = []
    for image, origin in zip(images, origins, strict=True):
        q = np.rint(np.fft.fftfreq(GRID) * GRID) / SIDE
        waves = np.fft.fft2(image) / image.size * np.exp(-2 * np.pi**2 * blur**2 * (q[:, None] ** 2 + q[None] ** 2))
        x, y = (o + a[0] * column + a[1] * row for o, a in zip(origin, affine, strict=True))
        along = [np.exp(2j * np.pi * place.ravel()[:, None] * q) for place in (x, y)]
        result.append(((along[0] @ waves) * along[1]).sum(axis=1).real.reshape(shape))
    return result


def photos(ideal, rng, *, dose=150.0, shape=(56, 60), counts=True):
    images = seen(ideal, rng.uniform(0, SIDE, (len(ideal), 2)), shape)
    if counts:
        return [Photo(rng.poisson(dose * np.maximum(one, 0)).astype(float), True) for one in images]
    return [Photo(30 + dose * one + rng.normal(0, 0.1 * dose, shape)) for one in images]


def state(held, number, **changed):
    values = np.array([*(TRUTH | changed).values(), *AFFINE.ravel()])
    return FocalState(values, np.tile([0.4, 1.1, 150.0, 0.0], (number, 1)))


def pulls(fit):
    return {name: (getattr(fit.state, name) - value) / fit.error(name) for name, value in TRUTH.items()}


def test_images_are_those_of_the_lens(held, ideal):
    """Thickness between those held, focus, Cs, astigmatism, focal spread and illumination angle: within 0.1 %."""
    truth = state(held, len(STEPS))
    model = Model(Pairs(held, 0.3, 18.0), [Photo(np.zeros((20, 24)))] * len(STEPS), STEPS, LIMITS)
    shown = model.shown(truth).reshape(-1, 20, 24)
    expected = 150 * np.array(seen(ideal, truth.each[:, :2], (20, 24)))
    assert np.abs(shown - expected).max() < 2e-3 * np.ptp(expected)
    assert np.sqrt(np.mean((shown - expected) ** 2)) < 5e-4 * np.ptp(expected)


def test_thermal_motion_is_the_mean_of_configurations(rng):
    """A block of 2 × 2 cells in three configurations: pairs of beams of every κ, as the lens averages them."""
    moved = [slices(10, 0.08 * rng.normal(size=(4, 4, 2)), 2) for _ in range(3)]
    expected = parallel_images(moved, lens(-40.0), repeats=(2, 2)).images["HRTEM"]
    waves = exit_waves(moved, Microscope(energy=300e3), [8.0, 12.0, 16.0, 20.0], repeats=(2, 2))
    step = SIDE / GRID
    values = np.array([*(TRUTH | {"thickness": 20.0, "blur": 0.0}).values(), 0.0, step, step, 0.0])
    shape = (GRID, GRID)
    model = Model(Pairs(waves, 0.3, 18.0), [Photo(np.zeros(shape))], [0.0], LIMITS)
    values[NAMES.index("defocus")] = -40.0
    shown = model.shown(FocalState(values, np.array([[0.0, 0.0, 1.0, 0.0]]))).reshape(shape)
    assert np.abs(shown - expected).max() < 3e-3 * np.ptp(expected)
    assert model.pairs.without(1).waves.shape[1] == 2


def test_derivatives_are_those_of_finite_differences(held):
    model = Model(Pairs(held, 0.3, 18.0), [Photo(np.zeros((16, 18)))] * 2, (0.0, 60.0), LIMITS)
    truth = state(held, 2)
    shown, slopes = model.with_slopes(truth)
    assert shown == pytest.approx(model.shown(truth), rel=1e-9)
    steps = [0.01, 0.05, 1e-3, 50.0, 0.05, 0.05, 0.05, 1e-3, *[1e-5] * 4, *[1e-4, 1e-4, 1e-2, 1e-2] * 2]
    for place, step in enumerate(steps):
        up, down = (truth.whole + sign * step * (np.arange(len(steps)) == place) for sign in (1, -1))
        difference = (model.shown(truth.from_whole(up)) - model.shown(truth.from_whole(down))) / (2 * step)
        assert np.abs(difference - slopes[place]).max() < 2e-4 * np.abs(slopes[place]).max(), place


def test_exit_waves_at_many_thicknesses_are_those_of_one(held):
    whole = parallel_images([slices(60)], Microscope(energy=300e3, convergence=1e-3)).exit_wave
    waves = np.fft.fft2(whole, norm="forward")
    index = tuple(held.beams.T % GRID)
    assert held.waves[-1, 0] == pytest.approx(waves[index], abs=2e-5)
    with pytest.raises(InputError, match="whole slices of 2 Å, 12 nm at most"):
        exit_waves([slices(60)], Microscope(energy=300e3), [3.1])


def test_a_fit_from_near_by_finds_the_truth(held, ideal, rng):
    near = state(held, len(STEPS), thickness=64.0, defocus=-96.0, Cs=-1.3e5, focal_spread=30.0)
    made = photos(ideal, rng)
    model = Model(Pairs(held, 0.3, 18.0, elastic=True), made, STEPS, LIMITS)
    from rhotem.experiment.fit.focal.search import _Grid, mean_waves

    spectra = model.spectra(near, model.pairs, model.pairs.products(near.thickness)[0])
    near.each[:, :2] = _Grid(model.pairs).matched(mean_waves(model, AFFINE, model.pairs), spectra)[1]
    fit = fit_series(made, held, [AFFINE], STEPS, LIMITS, convergence=0.3, start=near)
    assert fit.excess == pytest.approx(1.0, abs=0.05) and fit.remarks == []
    assert max(map(abs, pulls(fit).values())) < 4, pulls(fit)
    assert fit.record()["parameters"]["thickness"]["value"] == fit.state.thickness


@pytest.mark.slow
@pytest.mark.parametrize("counts", [True, False])
def test_everything_is_searched(held, ideal, counts, tmp_path):
    """Thickness, focus and origins unknown, an orientation that the lattice leaves open, pixels wrong by 0.4 %."""
    turned = np.array([[0, -1], [1, 0]])
    tried = [1.004 * np.linalg.matrix_power(turned, n) @ AFFINE for n in range(4)]
    made = photos(ideal, np.random.default_rng(5), counts=counts)
    fit = fit_series(made, held, tried, STEPS, LIMITS, convergence=0.3)
    assert max(map(abs, pulls(fit).values())) < 4, pulls(fit)
    assert fit.state.affine == pytest.approx(AFFINE, abs=2e-4)
    assert len(fit.minima) == 1 or fit.minima[1][1] < 0.05
    draw_series(fit, tmp_path / "fit.png")


@pytest.mark.slow
def test_errors_cover(held, ideal):
    """Twenty series: of 160 deviations 68 % lie within an error, give or take three of their standard deviations."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        origins = rng.uniform(0, SIDE, (len(STEPS), 2))
        images = seen(ideal, origins, (40, 44))
        made = [Photo(rng.poisson(100 * np.maximum(one, 0)).astype(float), True) for one in images]
        start = state(held, len(STEPS))
        start.each[:, :2], start.each[:, 2] = origins, 100.0
        fit = fit_series(made, held, [AFFINE], STEPS, LIMITS, convergence=0.3)
        found.append(list(pulls(fit).values()))
    size = np.sqrt(np.mean(np.square(found)))
    inside = (np.abs(found) < 1).mean()
    assert 0.57 < inside < 0.80, inside
    assert 0.8 < size < 1.25, size


def test_what_lies_at_a_bound_is_said(held, ideal, rng):
    made = photos(ideal, rng, shape=(40, 44))
    narrow = replace(LIMITS, cs=(-2.2e5, -1.8e5))
    start = state(held, len(STEPS), Cs=-1.9e5)
    start.each[:, 2] = 150.0
    fit = fit_series(made, held, [AFFINE], STEPS, narrow, convergence=0.3, start=start)
    assert any(line.startswith("Cs is at the end of what was tried") for line in fit.remarks), fit.remarks


@pytest.mark.slow
def test_a_series_in_reversed_order_says_so(held, ideal, rng):
    """The focus went the other way than stated: neither numbers nor residuals may pass."""
    images = photos(ideal, rng)[::-1]
    fit = fit_series(images, held, [AFFINE], STEPS, LIMITS, convergence=0.3)
    assert any("does not explain the images" in line and "--focus-step" in line for line in fit.remarks)


def test_noise_holds_no_lattice(held, rng):
    noise = [Photo(rng.poisson(100, (40, 44)).astype(float), True) for _ in STEPS]
    with pytest.raises(InputError, match="the lattice of the crystal is not in them"):
        fit_series(noise, held, [AFFINE], STEPS, LIMITS, convergence=0.3)


def test_wrong_series_are_refused(held):
    image = Photo(np.ones((10, 10)), True)
    with pytest.raises(InputError, match="of one shape, and a focus for each"):
        Model(Pairs(held, 0.3, 18.0), [image, Photo(np.ones((10, 11)), True)], (0.0, 10.0), LIMITS)
    with pytest.raises(InputError, match="below zero"):
        Photo(-np.ones((10, 10)), True)
    few = exit_waves([slices(6)], Microscope(energy=300e3), [4.0, 8.0, 12.0])
    with pytest.raises(InputError, match="needs 4 or more"):
        Pairs(few, 0.3, 18.0)


def measurement(data, kind, saturated=0.0):
    axes = tuple(Axis(name, "Å", 0.2) for name in ("frame", "y", "x")[-np.ndim(data) :])
    return Measurement(data, kind, axes, 300.0, 0.3, saturated=saturated, source=Source("one.dm4", ""))


def test_a_stack_or_images_one_by_one(rng):
    stack = rng.random((3, 8, 9))
    assert [one.data.shape for one in frames_of([measurement(stack, "image stack")]).frames] == [(8, 9)] * 3
    images = [measurement(one, "image") for one in stack]
    assert frames_of(images).places == [0, 1, 2]
    for wrong, words in (
        ([*images, measurement(stack[0, :5], "image")], "different shapes"),
        ([*images, replace(images[2], axes=(Axis("y", "Å", 0.21), Axis("x", "Å", 0.21)))], "different pixels"),
        ([measurement(stack[0], "pattern")], "one stack, or images one by one"),
        ([measurement(stack[0], "image", 0.2)], "saturated"),
        ([images[0], measurement(np.ones((8, 9)), "image")], "frame 2 is blank"),
        ([images[0], images[1], images[0]], "frame 3 is the same recording as 1"),
        ([*images, measurement(9 * stack[1], "image")], "frame 4 has 9.* times the brightness of the others"),
    ):
        with pytest.raises(InputError, match=words):
            frames_of(wrong)


def burnt(rng):
    """Ten images of 1000 electrons a pixel; 6 % of the fourth's pixels, 0.6 % of all, are at the converter's end."""
    stack = rng.poisson(1000, (10, 40, 40)).astype(np.uint16)
    stack[3, :2, :] = 1800
    stack[3, 2, :16] = 1800
    return stack


def test_a_burnt_frame_is_found_though_the_stack_is_not(rng):
    """It was one per mille too few of all pixels to be refused, and went into the fit."""
    stack = measurement(burnt(rng), "image stack", 0.006)
    with pytest.raises(InputError, match=r"frame 4 is burnt: 6 % of its pixels are saturated; --without 4 leaves out"):
        frames_of([stack])
    left = frames_of([stack], [4])
    assert left.places == [0, 1, 2, 4, 5, 6, 7, 8, 9] and len(left.frames) == 9
    assert np.array_equal(left.frames[3].data, stack.data[4])
    with pytest.raises(InputError, match="--without 11: the series has images 1 to 10"):
        frames_of([stack], [11])
    with pytest.raises(InputError, match="no image of the series is left"):
        frames_of([stack], range(1, 11))


def test_a_burnt_frame_is_named_by_the_reader_and_left_out_of_its_mean(tmp_path, rng):
    from rhotem.experiment.picture import _panels
    from rhotem.experiment.read import read_measurement
    from rhotem.experiment.read.stated import Stated

    np.save(tmp_path / "stack.npy", burnt(rng))
    read = read_measurement(tmp_path / "stack.npy", Stated(kind="image stack"))
    assert any("of 10 frames frame 4 is burnt" in remark for remark in read.remarks), read.remarks
    title, mean, _, _ = _panels(read)[0]
    assert title.startswith("mean of 9 of 10 frames") and mean.max() < 1200


def test_a_frame_that_is_left_out_moves_no_focus(held, ideal, rng):
    """Foci of those that stay are what was stated of all: without the second of four the fit finds the same."""
    origins = rng.uniform(0, SIDE, (len(STEPS), 2))
    images = seen(ideal, origins, (40, 44))
    made = [Photo(rng.poisson(150 * np.maximum(one, 0)).astype(float), True) for one in images]
    start = state(held, 3)
    start.each[:, :2], start.each[:, 2] = origins[[0, 2, 3]], 150.0
    left = [made[n] for n in (0, 2, 3)]
    fit = fit_series(left, held, [AFFINE], [STEPS[n] for n in (0, 2, 3)], LIMITS, convergence=0.3, start=start)
    assert max(map(abs, pulls(fit).values())) < 4, pulls(fit)
    assert fit.excess == pytest.approx(1.0, abs=0.06)


def test_the_orientations_that_a_square_lattice_leaves_open():
    class Lattice:
        matrix = np.eye(2)

        class projection:
            vectors = 3.9 * np.eye(2)

    assert len(orientations(Lattice)) == 4


@pytest.mark.parametrize("step", ["nan", "inf", "-3500"])
def test_steps_of_focus_that_are_no_nanometres(tmp_path, rng, step):
    np.save(tmp_path / "series.npy", rng.poisson(50, (3, 64, 64)).astype(np.int32))
    said = [tmp_path / "series.npy", "SrTiO3", "--zone", "0,0,1", "--focus-step", step, "--pixel-A", 0.2, "--cs", 1.2]
    said += ["--energy-keV", 300, "--convergence-mrad", 0.3, "--quiet", "--out", tmp_path / "fit"]
    result = CliRunner().invoke(main.app, ["fit", *map(str, said)])
    assert result.exit_code == 2 and f"--focus-step {step}: expected nm" in result.stderr, result.stderr
    assert not (tmp_path / "fit").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--energy-keV", 300, "--convergence-mrad", 0.3], "say --cs in mm"),
        (["--energy-keV", 300, "--cs", 1.2], "say --convergence-mrad"),
        (["--convergence-mrad", 0.3, "--cs", 1.2], "say --energy-keV"),
        (["--energy-keV", 300, "--convergence-mrad", 0.3, "--cs", 1.2, "--foci", "5,-5"], "expected two numbers"),
        (["--energy-keV", 300, "--cs", 1.2, "--exchange", "Sr/Ti=0,5,9"], "mean nothing to a focal series"),
        (["--energy-keV", 300, "--convergence-mrad", 0.3, "--cs", 1.2, "--without", "x"], "expected numbers of images"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path, rng, arguments, words):
    np.save(tmp_path / "series.npy", rng.poisson(50, (3, 64, 64)).astype(np.int32))
    said = [tmp_path / "series.npy", "SrTiO3", "--zone", "0,0,1", "--focus-step", 4, "--pixel-A", 0.2, *arguments]
    result = CliRunner().invoke(main.app, ["fit", *map(str, said), "--quiet", "--out", str(tmp_path / "fit")])
    assert result.exit_code == 2 and words in result.stderr, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1 and not Path(tmp_path / "fit").exists()
