"""Fits of position-averaged patterns: simulated ones give back what they were made with, measured ones their labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rhotem.analysis.plan import Plan
from rhotem.analysis.voice import Voice
from rhotem.core import InputError, PeriodicGrid
from rhotem.experiment.fit.disc import find_disc
from rhotem.experiment.fit.frame import Frame, frame_of
from rhotem.experiment.fit.model import NAMES, Model, Setting
from rhotem.experiment.fit.pacbed import Rival, _remarks, common_convergence, common_energy, fit_pattern
from rhotem.experiment.fit.posterior import scatter, spread_of
from rhotem.experiment.fit.refine import refine
from rhotem.experiment.fit.search import make_library, scales_of, starts, tilt_nodes
from rhotem.experiment.fit.simulated import pattern_plan, patterns_for
from rhotem.experiment.measurement import Axis, Measurement, Source
from rhotem.experiment.read import read_measurement
from rhotem.experiment.read.stated import Stated
from rhotem.microscope.settings import Microscope
from rhotem.potential.slices import PotentialSlices
from rhotem.scattering.patterns import patterns

DATA = Path(__file__).parents[1] / "data" / "experiment"
SRTIO3 = Path(__file__).parents[2] / "examples" / "SrTiO3.cif"
#: Columns of a square cell with the symmetry p4mm, in V·Å² for a slice of 2 Å.
SQUARE = ((0.0, 0.0, 60.0), (1.95, 1.95, 35.0), (1.95, 0.0, 8.0), (0.0, 1.95, 8.0))
P4 = [np.array(m) for m in ([[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]])]
P4MM = [*P4, *(np.array([[-1, 0], [0, 1]]) @ m for m in P4)]
ALLOWED = (11.0, 13.0)
#: Thickness 15.1 nm, tilted by 1.2 mrad, turned by 33 degrees.
TRUTH = Setting(np.array([151.0, 12.1, 1.0, -0.7, 4.3, 3.4, -2.2, 0.58, 0.3, 0.15, 0.02]))


def gaussian_slices(side=3.9, pixels=32, number=110, thickness=2.0, width=0.25):
    """Columns of Gaussian section, without end along the beam."""
    g = np.fft.fftfreq(pixels) * pixels / side
    form = np.exp(-2 * np.pi**2 * width**2 * (g[:, None] ** 2 + g[None] ** 2))
    waves = sum(v * np.exp(-2j * np.pi * (g[:, None] * x + g[None] * y)) for x, y, v in SQUARE)
    one = np.fft.ifft2(waves * form).real * (pixels / side) ** 2
    grid = PeriodicGrid(np.diag([side, side, number * thickness]), (pixels, pixels, number))
    array = np.repeat(one[None].astype(np.float32), number, axis=0)
    return PotentialSlices(array, grid, mean_inner_potential=0.0)


@pytest.fixture(scope="module")
def held():
    """Patterns of 2 to 22 nm, apertures to 13 mrad and mistilts to 1.6 mrad."""
    slices = gaussian_slices()
    lens = Microscope(energy=200e3, convergence=ALLOWED[1], camera_step=0.9)
    return patterns([slices], lens, 19.0, tilt=1.6, symmetry=P4MM, threads=1)


def picture(held, setting, shape=(186, 170)):
    """Expected pattern on a detector; the beam lies ``right`` and ``down`` of its middle."""
    y, x = np.indices(shape, dtype=float)
    frame = Frame(y, x - shape[1] / 2, y - shape[0] / 2, 1, None, False, "simulated")
    model = Model(held, frame, ALLOWED)
    return model.shown(model.beams(setting.values), setting)


def measured(data, **said):
    axes = (Axis("ky", "mrad"), Axis("kx", "mrad"))
    return Measurement(data, "pattern", axes, 200.0, 12.0, source=Source("simulated.png", ""), **said)


def grey(held, setting):
    """Eight bits, as a display shows them."""
    bright = picture(held, setting)
    return np.rint(250 * bright / bright.max()).astype(np.uint8)


@pytest.fixture(scope="module")
def book(held):
    return make_library(held, ALLOWED)


@pytest.fixture(scope="module")
def fitted(held, book):
    return fit_pattern(measured(grey(held, TRUTH)), held, ALLOWED, library=book)


def test_the_search_finds_the_neighbourhood_and_the_fit_the_place(held, book):
    """Nodes of the search are 1.6 mrad and 3 % apart; from the truth, slightly off, the fit goes back to it."""
    frame = frame_of(measured(grey(held, TRUTH)), 12.0 / held.step[0])
    score, start = starts(frame, book, scales_of(frame, ALLOWED))[0]
    assert score > 0.98
    assert start.scale * start.convergence == pytest.approx(TRUTH.scale * TRUTH.convergence, rel=0.06)
    off = np.add(TRUTH.values, [3.0, 0.0, 0.1, -0.1, 0.02, 0, 0, 0.01, 0.0, 0.05, 0.0])
    off[5:7] += 85 - frame.disc.column, 93 - frame.disc.row
    fit = refine(Model(held, frame, ALLOWED), TRUTH.with_values(off), fixed=["convergence"], rounds=6)
    assert fit.setting.thickness == pytest.approx(TRUTH.thickness, abs=1.5)
    assert fit.setting.scale == pytest.approx(TRUTH.scale, rel=2e-3)
    assert (fit.setting.tilt_x, fit.setting.tilt_y) == pytest.approx((TRUTH.tilt_x, TRUTH.tilt_y), abs=0.03)


@pytest.mark.parametrize("radii", [1.15, 1.08])
def test_a_pattern_that_the_camera_cuts_gives_the_same(radii: float, held):
    """What lies beyond the camera's edge was filled with its last column and compared: 11.6 and 11.9 nm for 15.1."""
    left = int(85 + TRUTH.right - radii * TRUTH.scale * TRUTH.convergence)
    frame = frame_of(measured(grey(held, TRUTH)[:, left:]), 12.0 / held.step[0])
    assert frame.values.shape[1] < frame.values.shape[0]
    assert frame.x[0, 0] + frame.disc.column >= 0
    off = np.add(TRUTH.values, [3.0, 0.0, 0.1, -0.1, 0.02, 0, 0, 0.01, 0.0, 0.05, 0.0])
    off[5:7] = 85 + TRUTH.right - left - frame.disc.column, 93 + TRUTH.down - frame.disc.row
    found = refine(Model(held, frame, ALLOWED), TRUTH.with_values(off), rounds=12).setting
    assert found.thickness == pytest.approx(TRUTH.thickness, abs=2.0)
    assert found.scale == pytest.approx(TRUTH.scale, rel=2e-3)
    assert (found.tilt_x, found.tilt_y) == pytest.approx((TRUTH.tilt_x, TRUTH.tilt_y), abs=0.03)


@pytest.mark.slow
def test_a_simulated_picture_gives_back_what_it_was_made_with(fitted):
    """Unknown scale, rotation, centre, aperture, mistilt and background."""
    found = fitted.setting
    assert found.thickness == pytest.approx(TRUTH.thickness, abs=2.0)
    assert found.convergence == pytest.approx(TRUTH.convergence, abs=0.05)
    assert found.scale == pytest.approx(TRUTH.scale, rel=5e-3)
    # a quarter turn of the crystal changes nothing but the names of its axes
    quarters = round((found.rotation - TRUTH.rotation) / (np.pi / 2))
    assert found.rotation - quarters * np.pi / 2 == pytest.approx(TRUTH.rotation, abs=0.01)
    turned = np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), quarters % 4) @ [TRUTH.tilt_x, TRUTH.tilt_y]
    assert [found.tilt_x, found.tilt_y] == pytest.approx(turned, abs=0.05)
    row, column = fitted.centre
    assert (row, column) == pytest.approx((93 + TRUTH.down, 85 + TRUTH.right), abs=0.3)
    best = fitted.rivals[0]
    assert best.raw > 0.999 and best.contrast > 0.995 and best.odds > 0.9


@pytest.mark.slow
def test_the_profile_has_its_minimum_at_the_fit_and_the_width_of_the_covariance(fitted):
    depths, costs = fitted.profile
    assert depths[costs.argmin()] == pytest.approx(fitted.setting.thickness, abs=fitted.spread.error("thickness"))
    error = fitted.spread.error("thickness")
    two = np.abs(np.abs(depths - fitted.setting.thickness) - 2 * error) < 1e-6
    assert costs[two].mean() == pytest.approx(2.0, rel=0.4)


@pytest.mark.slow
def test_errors_of_counted_electrons_cover(held, rng):
    """Thickness, convergence, mistilt and scale of 24 Poisson experiments, in units of their errors."""
    expected = picture(held, TRUTH, (140, 140))
    expected = 6.0 * expected / expected.max()
    pulls = []
    for _ in range(24):
        frame = _frame(rng.poisson(expected).astype(float))
        model = Model(held, frame, ALLOWED)
        fit = refine(model, TRUTH.with_values(TRUTH.values * 1.002), rounds=6)
        spread = spread_of(model, fit)
        names = ("thickness", "convergence", "tilt_x", "scale")
        noise = np.sqrt(np.diag(spread.noise))  # pictures and patterns have the same pixels
        pulls.append([(getattr(fit.setting, n) - getattr(TRUTH, n)) / noise[NAMES.index(n)] for n in names])
    assert fit.likelihood.kind == "counts"
    assert np.mean(fit.residual**2) == pytest.approx(1.0, abs=0.15)
    assert 0.55 < (np.abs(pulls) < 1).mean() < 0.8
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1.0, abs=0.25)


def _frame(values):
    y, x = np.indices(values.shape, dtype=float)
    return Frame(values, x - values.shape[1] / 2, y - values.shape[0] / 2, 1, None, True, "counted")


def test_scatter_of_white_residuals_is_that_of_least_squares(rng):
    mask = np.hypot(*(np.indices((60, 60)) - 29.5)) < 28
    slopes = rng.normal(size=(mask.sum(), 3))
    residual = 0.3 * rng.normal(size=mask.sum())
    found = scatter(slopes, residual, mask, 2.0)
    assert np.diag(found) == pytest.approx(0.09 * np.diag(slopes.T @ slopes), rel=0.25)


def test_nodes_of_mistilts_leave_no_holes(rng):
    nodes = np.array(tilt_nodes(5.0))
    assert np.hypot(*nodes.T).max() <= 5.0
    tried = 5.0 * np.sqrt(rng.random(500))[:, None] * np.exp(2j * np.pi * rng.random(500))[:, None]
    places = np.column_stack([tried.real, tried.imag])
    assert np.min(np.linalg.norm(places[:, None] - nodes[None], axis=2), axis=1).max() < 1.3


def test_the_disc_of_a_picture(held):
    disc = find_disc(picture(held, TRUTH))
    assert (disc.row, disc.column) == pytest.approx((93 + TRUTH.down, 85 + TRUTH.right), abs=5.0)
    assert disc.radius == pytest.approx(TRUTH.scale * TRUTH.convergence, rel=0.15)


def test_bad_pictures_are_refused_in_one_line(held, book, rng):
    bright = grey(held, TRUTH)
    for data, words in (
        (rng.integers(0, 255, (150, 150)).astype(np.uint8), "pixels wide|no disc|edge"),
        (np.zeros((100, 100), dtype=np.uint8), "no bright disc"),
        (bright[:95], "edge"),
        (np.minimum(bright, 90), "top value"),
    ):
        with pytest.raises(InputError, match=words):
            fit_pattern(measured(data), held, ALLOWED, library=book)
    with pytest.raises(InputError, match="recorded at 300 kV"):
        fit_pattern(replace(measured(bright), energy_keV=300.0), held, ALLOWED, library=book)
    with pytest.raises(InputError, match="20 mrad convergence"):
        fit_pattern(replace(measured(bright), convergence_mrad=20.0), held, ALLOWED, library=book)
    with pytest.raises(InputError, match="expected one position-averaged"):
        image = Measurement(bright, "image", (Axis("y", "Å"), Axis("x", "Å")), 200.0, 12.0)
        fit_pattern(image, held, ALLOWED, library=book)
    with pytest.raises(InputError, match="single thicknesses"):
        fit_pattern(measured(bright), held.at(held.thicknesses[:3]), ALLOWED, library=book)
    with pytest.raises(InputError, match="say --energy-keV"):
        common_energy([replace(measured(bright), energy_keV=None)])
    with pytest.raises(InputError, match="say --convergence-mrad"):
        common_convergence([replace(measured(bright), convergence_mrad=None)], 0.1)
    one, other = (replace(measured(bright), convergence_mrad=angle) for angle in (21.0, 25.0))
    for allowed in (0.0, 0.1):  # the smallest was taken of images, and a range over both of patterns
        with pytest.raises(InputError, match=r"25 mrad convergence, .* with 21 mrad"):
            common_convergence([one, other], allowed)
    assert common_convergence([one, replace(one, convergence_mrad=21.05)], 0.0) == pytest.approx((21.0, 21.05))


def test_a_fit_with_little_in_common_is_doubted(held):
    """A thin SrTiO3 fits the bright disc of any crystal: 0.84 of fringes, where the right one gives 0.97 and more."""
    model = Model(held, frame_of(measured(grey(held, TRUTH)), 12.0 / held.step[0]), ALLOWED)
    assert "may mean nothing" in _remarks(model, [Rival(TRUTH, 1.0, 0.98, 0.84)])[0]
    assert not _remarks(model, [Rival(TRUTH, 1.0, 0.99, 0.97)])


def test_names_of_parameters_are_those_of_a_setting():
    assert [getattr(TRUTH, name) for name in NAMES] == TRUTH.values.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name, low, high, scale", [("50-51nm", 50, 51, 4.2), ("61-63nm", 61, 63, 5.0)])
def test_measured_srtio3(measured_held, name, low, high, scale):
    """Patterns of another laboratory, whose thickness its authors fitted; scale, rotation and centre are not known."""
    stated = Stated(kind="pattern", energy_keV=200.0, convergence_mrad=13.6)
    pattern = read_measurement(DATA / f"pacbed-srtio3-{name}.png", stated)
    held, book = measured_held
    fit = fit_pattern(pattern, held, MEASURED, library=book)
    assert 0.1 * fit.setting.thickness == pytest.approx(0.5 * (low + high), abs=1.5)
    assert fit.setting.scale == pytest.approx(scale, rel=0.015)
    assert fit.rivals[0].raw > 0.98 and fit.rivals[0].contrast > 0.92
    assert np.hypot(fit.setting.tilt_x, fit.setting.tilt_y) < 1.0


MEASURED = (12.6, 14.2)


@pytest.fixture(scope="module")
def measured_held():
    """SrTiO3 to 66 nm."""
    plan = Plan(
        specimen={"structure": str(SRTIO3), "zone": (0, 0, 1), "thickness_nm": 66},
        density={"source": "free-atoms"},
        motion={"phonons": 1},
        microscope={"energy_keV": 200.0},
    )
    held = patterns_for(pattern_plan(plan, MEASURED[1]), 1.0, Voice())
    return held, make_library(held, MEASURED)


def test_the_target_of_a_pattern_is_its_likelihood(held):
    """−ln posterior at the minimum is the cost of the fit in its unit; mistilts beyond what is held have none."""
    from rhotem.experiment.fit.mcmc.patterns import target_of_pattern
    from rhotem.experiment.fit.pacbed import PatternFit

    data = picture(held, TRUTH)
    frame = frame_of(measured(np.rint(250 * data / data.max()).astype(np.uint8)), 12.0 / held.step[0])
    model = Model(held, frame, ALLOWED)
    start = TRUTH.with_values(
        TRUTH.values + np.array([0] * 5 + [85 - frame.disc.column, 93 - frame.disc.row] + [0] * 4)
    )
    best = refine(model, start, rounds=6)
    spread = spread_of(model, best)
    empty = np.zeros(0)
    fit = PatternFit(
        measured(data), model, best, spread, [Rival(best.setting, 1.0, 1, 1)], (empty, empty), empty, empty
    )
    target = target_of_pattern(fit)
    assert target.names == best.free and target.shown == NAMES[:4]
    values = target.modes[0].values
    assert target.cost(values) * spread.unit == pytest.approx(best.cost, rel=1e-6)
    beyond = values.copy()
    beyond[2:4] = 0.9 * held.tilt
    assert target.ln(beyond) == -np.inf and np.isfinite(target.ln(values))
