"""Dislocations: equilibrium of elasticity, circuits, the mean strain, and nothing added or taken out."""

import numpy as np
import pytest

from rhotem.battery.builders.dislocation import dislocation
from rhotem.battery.dislocations import core_of, frame_of, quadrupole
from rhotem.core import InputError
from rhotem.structure.phases import phase

SIDES, CORE, POISSON = (40.0, 50.0), np.array([10.0, 12.5]), 0.3
CORES = [(CORE + np.array([i * 20.0, j * 25.0]), sign) for i, j, sign in ((0, 0, 1), (1, 0, -1), (0, 1, -1), (1, 1, 1))]


def field(points, burgers):
    return quadrupole(np.atleast_2d(points), CORE, SIDES, np.array(burgers), POISSON)


def second(points, burgers, i, j, step=0.01):
    """Second derivatives of the displacement by differences."""
    one, two = np.eye(2)[[i, j]] * step
    pieces = [s * t * field(points + s * one + t * two, burgers) for s in (1, -1) for t in (1, -1)]
    return sum(pieces) / (4 * step**2)


@pytest.mark.parametrize("burgers", [(2.5, 0.0, 0.0), (0.0, 0.0, 3.0), (2.5, 0.0, -1.0)])
def test_bodies_are_in_equilibrium(burgers):
    """Navier's equation without forces, ∇²u + ∇(∇·u)/(1 − 2ν) = 0, where its terms are not small."""
    points = np.array([[15.0, 20.0], [3.0, 33.0], [22.0, 8.0], [12.0, 14.0]])
    xx, yy, xy = (second(points, burgers, *pair) for pair in ((0, 0), (1, 1), (0, 1)))
    gradient = np.stack([xx[:, 0] + xy[:, 1], xy[:, 0] + yy[:, 1], 0 * xx[:, 0]], axis=1)
    scale = np.abs(np.concatenate([xx, yy])).max()
    assert scale > 1e-3
    assert np.abs(xx + yy + gradient / (1 - 2 * POISSON)).max() < 1e-4 * scale


@pytest.mark.parametrize("burgers", [(2.5, 0.0, 0.0), (0.0, 0.0, 3.0)])
def test_circuits_close_but_for_burgers_vectors(burgers):
    angle = np.linspace(0, 2 * np.pi, 4001)
    for core, sign in CORES:
        for radius in (0.5, 6.0):
            moved = field(core + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), burgers)
            steps = np.diff(moved, axis=0)
            smooth = np.abs(steps).max(axis=1) < 1.0  # where the circuit crosses the cut atoms change their partners
            assert smooth.sum() >= len(steps) - 1
            np.testing.assert_allclose(steps[smooth].sum(axis=0), sign * np.array(burgers), atol=0.02)


def test_one_dislocation_far_from_the_others_is_that_of_the_books():
    """J. P. Hirth, J. Lothe, equations 3-45, 3-46 in a wide cell; constants apart."""
    burgers, wide = np.array([2.5, 0.0, 0.0]), 4000.0
    points = np.random.default_rng(1).uniform(-6, 6, (40, 2))
    got = quadrupole(points, np.zeros(2), (wide, wide), burgers, POISSON)
    x, y = points.T
    square, ratio = x**2 + y**2, 1 - POISSON
    # the cut runs along +x here
    angle = np.mod(np.arctan2(y, x), 2 * np.pi)
    told = (
        burgers[0]
        / (2 * np.pi)
        * np.stack(
            [
                angle + x * y / (2 * ratio * square),
                -((1 - 2 * POISSON) / (4 * ratio) * np.log(square) + (x**2 - y**2) / (4 * ratio * square)),
            ],
            axis=1,
        )
    )
    apart = got[:, :2] - told
    np.testing.assert_allclose(apart - apart[0], 0.0, atol=0.01)


def test_the_field_is_periodic_and_has_no_mean_strain():
    points = np.random.default_rng(0).uniform(0, 50, (60, 2))
    for shift in ([SIDES[0], 0.0], [0.0, SIDES[1]]):
        np.testing.assert_allclose(field(points + shift, (2.5, 0, 1)), field(points, (2.5, 0, 1)), atol=1e-6)


@pytest.mark.parametrize(
    "name, plane, burgers, line, kind",
    [
        ("LiF", (1, 1, 0), (0.5, -0.5, 0), None, "edge dislocation"),
        ("LiF", (1, 1, 0), (0.5, -0.5, 0), (1, -1, 0), "screw dislocation"),
        ("SrTiO3", (0, 1, 0), (1, 0, 0), None, "edge dislocation"),
        ("LiCoO2", (0, 0, 1), (1, 0, 0), None, "edge dislocation"),
        ("Si", (1, 1, 1), (0.5, -0.5, 0), None, "edge dislocation"),
        ("Si", (1, 1, 1), (0.5, -0.5, 0), (0, 1, -1), "mixed dislocation"),
    ],
)
def test_blocks_hold_the_crystal(name, plane, burgers, line, kind):
    """Composition and density are the crystal's, vectors add to 0, far from lines bonds are the bulk's."""
    crystal = phase(name)
    made = dislocation(crystal, plane, burgers, line, size=(50.0, 50.0))
    assert made.structure.formula == crystal.formula
    assert len(made.structure) / made.structure.volume == pytest.approx(len(crystal) / crystal.volume, rel=1e-9)
    np.testing.assert_allclose(made.structure.cell, np.diag(np.diag(made.structure.cell)), atol=1e-9)
    assert [defect["kind"] for defect in made.defects] == [kind] * 4
    assert np.abs(np.sum([defect["burgers_A"] for defect in made.defects], axis=0)).max() < 1e-9
    own = crystal.atoms.repeat(4).get_all_distances()
    bulk = own[own > 0.1].min()
    cores = np.array([defect["position_A"] for defect in made.defects])[:, :2]
    sides = np.diag(made.structure.cell)[:2]
    apart = made.structure.positions[:, None, :2] - cores
    apart -= np.rint(apart / sides) * sides
    far = np.linalg.norm(apart, axis=2).min(axis=1) > 0.2 * sides.min()
    distances = made.structure.atoms.get_all_distances(mic=True)[far]
    assert distances[distances > 0.1].min() > 0.9 * bulk


def test_a_walk_over_atoms_around_a_core_ends_one_vector_off():
    """Frank's circuit: so many strontium columns to the right, up, left and down; around nothing it closes."""
    made = dislocation(phase("SrTiO3"), (0, 1, 0), (1, 0, 0), size=(94.0, 94.0))
    columns = made.structure.positions[made.structure.atoms.symbols == "Sr"][:, :2]
    sides = np.diag(made.structure.cell)[:2]

    def walked(start, steps=8, period=3.905):
        here = columns[np.argmin(np.linalg.norm(columns - start, axis=1))]
        moved = np.zeros(2)
        for way in ((1, 0), (0, 1), (-1, 0), (0, -1)):
            for _ in range(steps):
                apart = columns - here - period * np.array(way)
                apart -= np.rint(apart / sides) * sides
                nearest = np.argmin(np.linalg.norm(apart, axis=1))
                moved += apart[nearest] + period * np.array(way)
                here = columns[nearest]
        return moved

    for defect in made.defects:
        core, vector = np.array(defect["position_A"])[:2], np.array(defect["burgers_A"])[:2]
        np.testing.assert_allclose(walked(core - 4 * 3.905), vector, atol=0.6)
        np.testing.assert_allclose(np.abs(walked(core + 3.905 * np.array([2.0, -4.0]))), 0.0, atol=0.6)


def test_cores_lie_between_planes():
    frame = frame_of(phase("LiF"), (1, 1, 0), (0.5, -0.5, 0), None)
    unit = frame.block((1, 1, 1))
    core = core_of(unit)
    apart = unit.positions[:, 1] - core[1]
    assert np.abs(apart - unit.cell[1, 1] * np.rint(apart / unit.cell[1, 1])).min() > 0.6


@pytest.mark.parametrize(
    "plane, burgers, line, told",
    [
        ((1, 1, 0), (0.3, -0.3, 0), None, "no lattice vector"),
        ((1, 0, 0), (0.5, -0.5, 0), None, "must glide there"),
        ((1, 1, 0), (0.5, -0.5, 0), (1, 0, 0), "not in the glide plane"),
    ],
)
def test_what_does_not_fit_is_refused(plane, burgers, line, told):
    with pytest.raises(InputError, match=told):
        dislocation(phase("LiF"), plane, burgers, line)


def test_small_blocks_and_odd_ratios_are_refused():
    with pytest.raises(InputError, match="larger --size"):
        dislocation(phase("LiF"), (1, 1, 0), (0.5, -0.5, 0), size=(8.0, 8.0))
    with pytest.raises(InputError, match="Poisson"):
        dislocation(phase("LiF"), (1, 1, 0), (0.5, -0.5, 0), poisson=0.5)


@pytest.mark.parametrize(
    "odd",
    [{"thickness": np.nan}, {"thickness": np.inf}, {"thickness": -3.0}, {"size": (0.0, 60.0)}, {"line": (0, 0, 0)}],
)
def test_lengths_that_are_none_are_refused(odd):
    with pytest.raises(InputError, match="dislocation: "):
        dislocation(phase("SrTiO3"), (0, 1, 0), (1, 0, 0), **odd)
