"""Weighing on position-averaged patterns: the same verdicts through the same seam."""

from dataclasses import replace

import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.experiment.fit.disc import Disc
from rhotem.experiment.fit.frame import Frame
from rhotem.experiment.fit.model import Model, Setting
from rhotem.experiment.weigh import PatternHypothesis, weigh
from rhotem.experiment.weigh.report import draw, verdict
from rhotem.microscope.settings import Microscope
from rhotem.potential.slices import PotentialSlices
from rhotem.scattering.patterns import patterns
from rhotem.scattering.patterns.mean import mean_patterns

ALLOWED, SHAPE = (11.0, 13.0), (100, 100)
P4 = [np.array(m) for m in ([[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]])]
P4MM = [*P4, *(np.array([[-1, 0], [0, 1]]) @ m for m in P4)]
TRUTH = Setting(np.array([143.0, 12.1, 0.6, -0.4, 2.7, 0.4, -0.2, 0.3, 0.3, 0.15, 0.02]))


def made(light):
    """Patterns of a square cell whose light columns are ``light`` V·Å² strong."""
    columns = ((0.0, 0.0, 60.0), (1.95, 1.95, 35.0), (1.95, 0.0, light), (0.0, 1.95, light))
    g = np.fft.fftfreq(32) * 32 / 3.9
    form = np.exp(-2 * np.pi**2 * 0.25**2 * (g[:, None] ** 2 + g[None] ** 2))
    waves = sum(v * np.exp(-2j * np.pi * (g[:, None] * x + g[None] * y)) for x, y, v in columns)
    one = np.fft.ifft2(waves * form).real * (32 / 3.9) ** 2
    grid = PeriodicGrid(np.diag([3.9, 3.9, 160.0]), (32, 32, 80))
    slices = PotentialSlices(np.repeat(one[None].astype(np.float32), 80, axis=0), grid, mean_inner_potential=0.0)
    lens = Microscope(energy=200e3, convergence=ALLOWED[1], camera_step=0.9)
    return patterns([slices], lens, 19.0, tilt=1.6, symmetry=P4MM, threads=1)


def counted(held, brightest, rng):
    y, x = np.indices(SHAPE, dtype=float)
    blank = Frame(np.zeros(SHAPE), x - 50, y - 50, 1, Disc(50.0, 50.0, 33.0), True, "simulated")
    model = Model(held, blank, ALLOWED)
    expected = np.maximum(model.shown(model.beams(TRUTH.values), TRUTH), 0.0)
    return replace(blank, values=rng.poisson(brightest * expected / expected.max()).astype(float))


@pytest.mark.slow
def test_a_pattern_tells_its_crystal_from_one_with_stronger_columns(rng, tmp_path):
    start = TRUTH.with_values(TRUTH.values * 1.01)
    pair = [PatternHypothesis(f"light {v:g}", made(v), ALLOWED, start) for v in (8.0, 14.0)]
    data = counted(pair[0].patterns, 900.0, rng)
    weighed = weigh(pair, data, trials=2)
    assert weighed.names[weighed.order[0]] == "light 8"
    assert weighed.found[0].excess == pytest.approx(1.0, abs=0.1)
    assert weighed.found[0].state.thickness == pytest.approx(TRUTH.thickness, abs=5.0)
    assert weighed.found[0].points == weighed.found[1].points
    mean, deviation = weighed.expected
    assert abs(weighed.margin - mean) < 5 * deviation
    assert verdict(weighed).startswith("light 8, not light 14")
    draw(weighed, tmp_path / "weigh.png")
    again = weigh([pair[0], replace(pair[0], name="again")], data, trials=1)
    assert again.margin == pytest.approx(0.0, abs=1e-6)


def test_a_picture_without_counts_is_refused():
    y, x = np.indices(SHAPE, dtype=float)
    frame = Frame(np.ones(SHAPE), x, y, 1, Disc(50.0, 50.0, 33.0), False, "grey.png")
    with pytest.raises(InputError, match="where values are electrons"):
        PatternHypothesis("A", None, ALLOWED, TRUTH).explain(frame)


def test_the_mean_of_sets_of_displacements():
    """Half-precision intensities: the mean of two is within their rounding; other thicknesses have none."""
    one, other = made(8.0), made(9.0)
    mean = mean_patterns([one, other])
    expected = 0.5 * (one.pacbed(thickness=100.0).astype(float) + other.pacbed(thickness=100.0))
    assert mean.pacbed(thickness=100.0) == pytest.approx(expected, rel=2e-3, abs=1e-3 * expected.max())
    assert mean_patterns([one]) is one and mean.record["sets_of_displacements"] == 2
    hypothesis = PatternHypothesis("A", mean, ALLOWED, TRUTH, (one, other))
    assert [drawn.patterns for drawn in hypothesis.drawn()] == [one, other]
    with pytest.raises(InputError, match="give one or more"):
        mean_patterns([])
    for change in ({"tilt": (1.0, 0.0)}, {"energy": 199e3}):  # intensities of other experiments, without a word
        lens = other.microscope.model_copy(update=change)
        with pytest.raises(InputError, match="different beams, lenses or thicknesses"):
            mean_patterns([one, replace(other, microscope=lens)])
    with pytest.raises(InputError, match="different beams, lenses or thicknesses"):
        mean_patterns([one, replace(other, thicknesses=tuple(1.01 * t for t in other.thicknesses))])


def test_what_lies_at_an_end_is_said():
    held = made(8.0)
    values = TRUTH.values.copy()
    values[0] = held.thicknesses[-1]
    y, x = np.indices(SHAPE, dtype=float)
    frame = Frame(np.ones(SHAPE), x - 50, y - 50, 1, Disc(50.0, 50.0, 33.0), True, "simulated")
    hypothesis = PatternHypothesis("A", held, ALLOWED, TRUTH)
    assert hypothesis.at_bounds(frame, TRUTH) == []
    assert "--thickest" in hypothesis.at_bounds(frame, TRUTH.with_values(values))[0]
