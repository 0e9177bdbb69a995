"""Nodes of a fit of images: interpolation, derivatives, recovery of what lies between."""

from dataclasses import replace

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.experiment.fit.images import NodeAxis, Nodes, Recorded, State, fit_images
from rhotem.experiment.fit.images.errors import of_mean
from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.fit.images.refine import refine

from . import four_columns
from .four_columns import DETECTORS, PIXELS, SHAPE, VALUES


def made(light, heavy=35.0):
    """At fewer thicknesses: nodes are many."""
    return four_columns.made(light, heavy, range(4, 9))


@pytest.fixture(scope="module")
def axis():
    """The light column from 5 to 14 V·Å², as if its occupancy changed by a factor 2.8."""
    values = (5.0, 8.0, 11.0, 14.0)
    return NodeAxis("light", values, tuple(made(v) for v in values), "V·Å²")


@pytest.fixture(scope="module")
def nodes(axis):
    return Nodes(axis.responses[0], (axis,))


def state(*between, electrons=3e4):
    return State(VALUES, np.full(2, electrons), np.array([2.0, 1.0]), np.array(between))


def blank():
    return [Recorded(detector, np.zeros(SHAPE)) for detector in DETECTORS]


def test_images_between_nodes_are_those_simulated_there(nodes):
    """Of 9.4, in the middle of the middle gap: within 2 % of what the nodes beside it differ by."""
    exact = Model(made(9.4), blank()).cells(state())
    between = Model(nodes, blank()).cells(state(9.4))
    ends = [Model(nodes, blank()).cells(state(v)) for v in (8.0, 11.0)]
    assert np.abs(between - exact).max() < 0.02 * np.abs(ends[1] - ends[0]).max()
    assert Model(nodes, blank()).cells(state(11.0)) == pytest.approx(Model(made(11.0), blank()).cells(state()))


def test_derivatives_are_those_of_finite_differences(nodes):
    model, there = Model(nodes, blank()), state(9.4)
    expected, slopes = model.with_slopes(there)
    assert expected == pytest.approx(model.shown(there), rel=1e-6)
    for place, step in ((0, 0.5), (1, 0.5), (4, 0.02), (5, 0.02), (11, 0.02), (13, 100.0), (15, 1.0), (17, 0.2)):
        up, down = there.whole, there.whole
        up[place] += step
        down[place] -= step
        change = (model.shown(there.from_whole(up)) - model.shown(there.from_whole(down))) / (2 * step)
        assert slopes[place] == pytest.approx(change, abs=6e-3 * np.abs(change).max())


def test_a_fit_finds_what_lies_between(nodes, rng):
    truth = made(9.4)
    expected = Model(truth, blank()).shown(state())
    pairs = zip(DETECTORS, expected, strict=True)
    images = [Recorded(d, rng.poisson(e).reshape(SHAPE).astype(float), True) for d, e in pairs]
    fit = fit_images(images, nodes, PIXELS)
    assert abs(fit.state.nodes[0] - 9.4) < 4 * fit.error("light")
    assert 0.01 < fit.error("light") < 1.5
    assert abs(fit.state.thickness - 63.0) < 4 * fit.error("thickness")
    said = fit.record()["nodes"]["light"]
    assert said["value"] == fit.state.nodes[0] and said["unit"] == "V·Å²"
    assert "light" in str(fit)
    held = refine(Model(nodes, images), replace(fit.state, nodes=np.array([8.0])), fixed=["light"])
    assert held.state.nodes[0] == 8.0 and held.cost > fit.best.cost


@pytest.mark.slow
def test_changes_along_two_axes_are_added(nodes, axis):
    """Light and heavy column together: within 15 % of the change of both; each alone exact."""
    other = NodeAxis("heavy", (35.0, 38.0, 41.0), (axis.responses[0], made(5.0, 38.0), made(5.0, 41.0)))
    both = Model(Nodes(axis.responses[0], (axis, other)), blank())
    start, end = both.cells(state(5.0, 35.0)), Model(made(8.0, 38.0), blank()).cells(state())
    assert np.abs(both.cells(state(8.0, 38.0)) - end).max() < 0.15 * np.abs(end - start).max()
    assert both.cells(state(8.0, 35.0)) == pytest.approx(Model(nodes, blank()).cells(state(8.0)), rel=1e-6)


def test_bad_nodes_are_refused(axis):
    with pytest.raises(InputError, match="2 values and 2 responses; expected 3 to 6 increasing"):
        NodeAxis("x", axis.values[:2], axis.responses[:2])
    with pytest.raises(InputError, match="different thicknesses or cells"):
        NodeAxis("x", axis.values[:3], (*axis.responses[:2], axis.responses[2].at([40.0, 50.0])))
    with pytest.raises(InputError, match="the reference is not the response that all axes share"):
        Nodes(axis.responses[1], (axis,))


def test_draws_average_and_their_scatter_is_part_of_the_errors(axis, rng):
    """Two draws whose columns differ by 10 %: the fit of their mean says so in its error."""
    values = (5.0, 8.0, 11.0)
    other = NodeAxis("light", values, tuple(made(v, 36.5) for v in values), "V·Å²")
    first = replace(axis, values=values, responses=axis.responses[:3])
    draws = [Nodes(one.responses[0], (one,)) for one in (first, other)]
    mean = Nodes.mean(draws)
    cells = [Model(one, blank()).cells(state(9.4)) for one in (*draws, mean)]
    assert cells[2] == pytest.approx(0.5 * (cells[0] + cells[1]), rel=1e-4, abs=1e-7)
    expected = Model(mean, blank()).shown(state(9.4))
    pairs = zip(DETECTORS, expected, strict=True)
    images = [Recorded(d, rng.poisson(e).reshape(SHAPE).astype(float), True) for d, e in pairs]
    start = state(9.4)
    with_draws = fit_images(images, mean, PIXELS, start=start)
    alone = fit_images(images, replace(mean, draws=()), PIXELS, start=start)
    assert with_draws.state.whole == pytest.approx(alone.state.whole)
    fits = [refine(Model(one, images), start).state.thickness for one in draws]
    added = with_draws.error("thickness") ** 2 - alone.error("thickness") ** 2
    cauchy = np.tan(np.pi * 0.5 * 0.6827)  # of two draws: one degree of freedom, 68 % of which lie within this
    assert added == pytest.approx((0.5 * cauchy * (fits[0] - fits[1])) ** 2, rel=0.05, abs=0.01)


def test_one_error_of_the_mean_of_three_draws_holds_two_thirds_of_means(rng):
    """Of many sets of three draws around 0, whose spread each set has to find out by itself."""
    sets = rng.normal(size=(4000, 3, 2)) * [1.0, 50.0]
    errors = np.array([np.sqrt(np.diag(of_mean(one))) for one in sets])
    inside = (np.abs(sets.mean(axis=1)) < errors).mean(axis=0)
    assert inside == pytest.approx([0.683, 0.683], abs=0.025)  # of the normal distribution: 0.58


def test_images_are_means_over_what_a_crystal_repeats_by(nodes):
    """As images that are shifted by half a cell both ways; their derivatives, too. Arrangements at random need it."""
    centred, there = nodes.repeating(np.array([[0.0, 0.0], [0.5, 0.5]])), state(9.4)
    plain, mean = Model(nodes, blank()), Model(centred, blank())
    half = [n // 2 for n in plain.cell.shape]
    assert [2 * n for n in half] == list(plain.cell.shape)
    for own, others in zip(mean.cell_slopes(there), plain.cell_slopes(there), strict=True):
        shifted = np.roll(others, half, axis=(-2, -1))
        assert own == pytest.approx(0.5 * (others + shifted), abs=1e-9 * np.abs(others).max())
    assert mean.cells(there) == pytest.approx(mean.cell_slopes(there)[0], rel=1e-6)
    (draw,) = replace(nodes, draws=(nodes,)).repeating(centred.translations).draws
    assert draw.translations is centred.translations
