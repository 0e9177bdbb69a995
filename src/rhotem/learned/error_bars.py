"""Error bars of a learned density: from spread of the members, size, place and novelty; calibrated."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.learned.calibration import COLUMNS, Calibration
from rhotem.learned.model import LearnedModel
from rhotem.learned.readouts.base import Prepared
from rhotem.structure.model import Structure

#: Added to densities (e/Å³) before logarithms.
FLOOR = 1e-4
#: Points of a structure that tell how far its members are apart.
SAMPLED = 2000

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class UncertainDensity:
    """Deformation density with error bars on a grid.

    Parameters
    ----------
    mean, sigma, spread : arrays of the grid's shape
        Mean of the members, calibrated σ, and bare standard deviation of the members; e/Å³.
    novelty : (N,) array
        Of every atom; see `NoveltyBank.novelty`.
    out_of_distribution : float
        Of the structure; see `Calibration.out_of_distribution`.
    """

    mean: Array
    sigma: Array
    spread: Array
    novelty: Array
    out_of_distribution: float


def uncertain_density(
    model: LearnedModel, calibration: Calibration, structure: Structure, grid: PeriodicGrid
) -> UncertainDensity:
    """Mean and calibrated σ of Δn at every point of a grid.

    Raises
    ------
    InputError
        As `rhotem.learned.source.Model`.
    """
    mean, spread = member_statistics(model, structure, grid)
    novelty = calibration.bank.novelty(model, structure)
    distance, nearest = nearest_atoms(structure, grid.points().reshape(-1, 3))
    inputs = make_inputs(mean.ravel(), spread.ravel(), distance, novelty[nearest])
    sigma = calibration.sigma(inputs).reshape(grid.shape) * widened_for(model, structure)[0]
    return UncertainDensity(mean, sigma, spread, novelty, calibration.out_of_distribution(structure, novelty))


def member_statistics(model: LearnedModel, structure: Structure, grid: PeriodicGrid) -> tuple[Array, Array]:
    """Mean of the members, and standard deviation of all opinions, on a grid, e/Å³; one member has no spread."""
    members, readout = model.settings.members, model.readout
    if members == 1:
        mean = readout.values(readout.prepare(structure), structure, grid)
        return mean, np.zeros_like(mean)
    each = readout.prepare_members(structure)
    total, squares = np.zeros(grid.shape), np.zeros(grid.shape)
    for values in readout.members_on_grid(each, structure, grid):
        total += values
        squares += values**2
    mean, count = total / members, members
    if model.witness is not None:
        other = model.witness.readout
        values = other.values(other.prepare(structure), structure, grid)
        total, squares, count = total + values, squares + values**2, members + 1
    return mean, np.sqrt(np.maximum(squares - total**2 / count, 0.0) / (count - 1))


def at_points(
    model: LearnedModel, structure: Structure, points: Array, prepared: Prepared | None = None
) -> tuple[Array, Array]:
    """Mean of the members and standard deviation of all that `members_at_points` gives; arguments as there."""
    each = members_at_points(model, structure, points, prepared)
    return each[: model.settings.members].mean(0), each.std(0, ddof=1) if len(each) > 1 else np.zeros(len(points))


def members_at_points(
    model: LearnedModel, structure: Structure, points: Array, prepared: Prepared | None = None
) -> Array:
    """What every member says at points (P, 3) in Å, (members, P) in e/Å³, and after them what it is judged by.

    ``prepared``: what the readout keeps of every member (`prepare_members`) where it is known already.
    """
    readout = model.readout
    if model.settings.members == 1:
        return readout.at_points(readout.prepare(structure), structure, points)[None]
    each = readout.prepare_members(structure) if prepared is None else prepared
    found = readout.members_at_points(each, structure, points)
    if model.witness is None:
        return found
    other = model.witness.readout
    return np.concatenate([found, other.at_points(other.prepare(structure), structure, points)[None]])


def widening(
    model: LearnedModel,
    calibration: Calibration,
    structure: Structure,
    prepared: Prepared | None = None,
    memory: float | None = None,
) -> float:
    """By how much the members of a structure are spread so that error bars of its potential hold.

    First their spread is brought to the size of the errors that they typically leave in such a structure, then it is
    widened by the factor that the projected potential of held-out labels needs, and where elements are new by the one
    that labels of such need. Without a spread there is nothing to compare: the factors alone. ``prepared``: as
    `at_points`; ``memory``: bytes that the encoder may take.
    """
    factor = calibration.potential_factor * widened_for(model, structure)[1]
    if model.settings.members == 1:
        return factor
    points = np.random.default_rng(0).random((SAMPLED, 3)) @ structure.cell
    mean, spread = at_points(model, structure, points, prepared)
    distance, nearest = nearest_atoms(structure, points)
    inputs = make_inputs(mean, spread, distance, calibration.bank.novelty(model, structure, memory)[nearest])
    return factor * error_over_spread(inputs, calibration.weights)


def widened_for(model: LearnedModel, structure: Structure) -> tuple[float, float]:
    """By how much elements of few or no labels widen error bars of voxels and of the projected potential; else 1."""
    newcomers = model.newcomers
    strange = [] if newcomers is None else set(structure.numbers.tolist()) - newcomers.known
    found = [m for m in map(newcomers.measured_of, strange) if m is not None] if newcomers else []
    return max([1.0, *(m.factor for m in found)]), max([1.0, *(m.potential_factor for m in found)])


def error_over_spread(inputs: Array, weights: Array) -> float:
    """Mean typical error of voxels over the mean spread of the members there."""
    spread = np.exp(inputs[:, COLUMNS.index("spread")]) - FLOOR
    return float(np.exp(inputs @ weights).mean() / max(spread.mean(), FLOOR))


def nearest_atoms(structure: Structure, points: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Distance in Å of points (P, 3) to the nearest atom, images included, and which it is."""
    from scipy.spatial import cKDTree

    inverse = np.linalg.inv(structure.cell)
    atoms, places = (structure.positions @ inverse) % 1.0, ((points @ inverse) % 1.0) @ structure.cell
    # no image farther outside the cell than the farthest of the nearest atoms inside it matters
    farthest = cKDTree(atoms @ structure.cell).query(places)[0].max()
    margin = farthest * np.linalg.norm(inverse, axis=0) + 1e-9
    index = np.arange(len(structure))
    for axis, outside in enumerate(margin):
        steps = np.arange(-np.ceil(outside), np.ceil(outside) + 1)
        images = (atoms[None] + steps[:, None, None] * np.eye(3)[axis]).reshape(-1, 3)
        near = (images[:, axis] > -outside) & (images[:, axis] < 1.0 + outside)
        atoms, index = images[near], np.tile(index, len(steps))[near]
    distance, found = cKDTree(atoms @ structure.cell).query(places)
    return distance, index[found]


def make_inputs(mean: Array, spread: Array, distance: Array, novelty: Array) -> Array:
    """`COLUMNS` of voxels, (P, 7)."""
    size = np.log(np.abs(mean) + FLOOR)
    return np.stack([np.ones_like(mean), np.log(spread + FLOOR), size, size**2, distance, distance**2, novelty], axis=1)
