"""Error bars of a learned density: from spread of the members, size, place and novelty; calibrated."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, PeriodicGrid
from rhotem.models.arrangement import ArrangementBank
from rhotem.models.checkpoint import load_tensors, save_tensors, write_json
from rhotem.models.grid import on_grid
from rhotem.models.model import DensityModel
from rhotem.models.novelty import UNKNOWN, NoveltyBank, of_structure
from rhotem.models.source import prepared
from rhotem.models.training.dataset import make_probes
from rhotem.structure.model import Structure

#: Share of errors that an interval shall cover, and half-width of a Gaussian's interval of that share over its σ.
LEVEL, HALF_WIDTH = 0.9, 1.6449
#: Added to densities (e/Å³) before logarithms.
FLOOR = 1e-4
#: Points of a structure that tell how far its members are apart.
SAMPLED = 2000
#: Version of the stored calibration.
FORMAT = 2
#: What the scale of an error is read from, in this order.
COLUMNS = ("constant", "spread", "size", "size squared", "distance", "distance squared", "novelty")
#: The two baselines of the log score.
CONSTANT, DISTANCE = [0], [0, 4, 5]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Voxels:
    """Voxels of one held-out label.

    Parameters
    ----------
    name, family : str
    error, target : (P,) arrays
        Predicted minus DFT, and DFT deformation density, e/Å³.
    inputs : (P, 7) array
        `COLUMNS`.
    borrowed : bool
        Whether it is no held-out label, but one that some members were trained on, with the error of the others.
    """

    name: str
    family: str
    error: Array
    target: Array
    inputs: Array
    borrowed: bool = False


@dataclass(frozen=True, eq=False)
class Calibration:
    """What turns inputs into error bars.

    Parameters
    ----------
    weights : (7,) array
        Logarithm of the typical |error| (e/Å³) is inputs @ weights.
    factor : float
        Half-width of the interval over the typical error: 90 % of held-out errors are inside.
    potential_factor : float
        By how much the members must be spread more than their typical errors, for the projected potential (`widening`).
    bank : NoveltyBank
    report : dict
        What was measured, families left out one by one.
    arrangements : ArrangementBank or None
        For the out-of-distribution score.
    """

    weights: Array
    factor: float
    potential_factor: float
    bank: NoveltyBank
    report: dict[str, Any] = field(default_factory=dict)
    arrangements: ArrangementBank | None = None

    def sigma(self, inputs: Array) -> Array:
        """Standard deviation of a Gaussian with the same 90 % interval, e/Å³."""
        return np.exp(inputs @ self.weights) * (self.factor / HALF_WIDTH)

    def out_of_distribution(self, structure: Structure, novelty: Array) -> float:
        """Score of a structure, the novelty (N,) of whose atoms is known: how unlike everything trained on it is.

        The median of structures of known prototypes is near 0; 10: an element was never trained on.
        """
        known = self.arrangements is not None and novelty.max() < UNKNOWN
        return of_structure(novelty, self.arrangements.novelty(structure) if known and self.arrangements else None)


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
    model: DensityModel, calibration: Calibration, structure: Structure, grid: PeriodicGrid
) -> UncertainDensity:
    """Mean and calibrated σ of Δn at every point of a grid.

    Raises
    ------
    InputError
        As `rhotem.models.source.Model`.
    """
    mean, spread = member_statistics(model, structure, grid)
    novelty = calibration.bank.novelty(model, structure)
    distance, nearest = nearest_atoms(structure, grid.points().reshape(-1, 3))
    inputs = make_inputs(mean.ravel(), spread.ravel(), distance, novelty[nearest])
    sigma = calibration.sigma(inputs).reshape(grid.shape)
    return UncertainDensity(mean, sigma, spread, novelty, calibration.out_of_distribution(structure, novelty))


def member_statistics(model: DensityModel, structure: Structure, grid: PeriodicGrid) -> tuple[Array, Array]:
    """Mean and standard deviation of the members on a grid, e/Å³; one member has no spread."""
    members = model.settings.members
    if members == 1:
        mean = on_grid(model, prepared(model, structure), structure.positions, grid)
        return mean, np.zeros_like(mean)
    given = prepared(model, structure, members=True)
    total, squares = np.zeros(grid.shape), np.zeros(grid.shape)
    for k in range(members):
        values = on_grid(model, tuple(c[k] for c in given), structure.positions, grid)
        total += values
        squares += values**2
    mean = total / members
    return mean, np.sqrt(np.maximum(squares / members - mean**2, 0.0) * members / (members - 1))


def at_points(
    model: DensityModel, structure: Structure, points: Array, given: tuple[torch.Tensor, ...] | None = None
) -> tuple[Array, Array]:
    """Mean and standard deviation of the members at points (P, 3) in Å, e/Å³; arguments as `members_at_points`."""
    each = members_at_points(model, structure, points, given)
    return each.mean(0), each.std(0, ddof=1) if len(each) > 1 else np.zeros(len(points))


def members_at_points(
    model: DensityModel, structure: Structure, points: Array, given: tuple[torch.Tensor, ...] | None = None
) -> Array:
    """What every member says at points (P, 3) in Å, (members, P) in e/Å³.

    ``given``: coefficients of the members where they are known already (`prepared`).
    """
    parameter = next(model.parameters())
    probes = make_probes(points, structure, *model.cutoffs[1:]).to(parameter.device, parameter.dtype)
    with torch.no_grad():
        if model.settings.members == 1:
            return model.readout.at_points(prepared(model, structure), probes).double().cpu().numpy()[None]
        if given is None:
            given = prepared(model, structure, members=True)
        each = [model.readout.at_points(tuple(c[k] for c in given), probes) for k in range(model.settings.members)]
        values: Array = torch.stack(each).double().cpu().numpy()
    return values


def widening(
    model: DensityModel,
    calibration: Calibration,
    structure: Structure,
    given: tuple[torch.Tensor, ...] | None = None,
    memory: float | None = None,
) -> float:
    """By how much the members of a structure are spread so that error bars of its potential hold.

    First their spread is brought to the size of the errors that they typically leave in such a structure, then it is
    widened by the factor that the projected potential of held-out labels needs. Without a spread, or of elements that
    the model does not know, there is nothing to compare: the factor alone. ``given``: as `at_points`; ``memory``:
    bytes that the encoder may take.
    """
    if model.settings.members == 1 or not set(structure.numbers.tolist()) <= set(model.settings.elements):
        return calibration.potential_factor
    points = np.random.default_rng(0).random((SAMPLED, 3)) @ structure.cell
    mean, spread = at_points(model, structure, points, given)
    distance, nearest = nearest_atoms(structure, points)
    inputs = make_inputs(mean, spread, distance, calibration.bank.novelty(model, structure, memory)[nearest])
    return calibration.potential_factor * error_over_spread(inputs, calibration.weights)


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


def fit(groups: Sequence[Voxels], columns: Sequence[int] | None = None) -> Array:
    """Weights of the typical error: maximum likelihood of Laplace errors, every family counted alike.

    The logarithm of the scale is linear in the inputs, so the problem is convex; Newton's method. Errors of borrowed
    labels are smaller by a common factor, as the members share an encoder that was trained on them: it is fitted, too.

    Raises
    ------
    InputError
        If there is nothing to fit to.
    """
    if all(g.borrowed for g in groups):
        raise InputError("calibration: no held-out structures; hold some out of training")
    chosen = [*(range(len(COLUMNS)) if columns is None else columns), len(COLUMNS)]
    x = np.concatenate([np.pad(g.inputs, ((0, 0), (0, 1)), constant_values=float(g.borrowed)) for g in groups])
    share = family_shares([g.family for g in groups], [g.error for g in groups])
    centre, size = share @ x, np.sqrt(share @ (x - share @ x) ** 2) + 1e-9
    centre[0], size[0] = 0.0, 1.0
    size[size < 1e-6] = np.inf  # a column that never varies has no say
    x = ((x - centre) / size)[:, chosen]
    error = np.abs(np.concatenate([g.error for g in groups])) + 1e-6
    w = np.zeros(len(chosen))
    w[0] = np.log(share @ error)
    for _ in range(60):
        ratio = error * np.exp(-np.clip(x @ w, -30.0, 30.0))
        gradient = x.T @ (share * (1.0 - ratio)) + 1e-4 * w * (np.arange(len(w)) > 0)
        hessian = (x * (share * ratio)[:, None]).T @ x + 1e-4 * np.eye(len(w))
        step = np.linalg.solve(hessian, gradient)
        w = w - step * min(1.0, 2.0 / max(1e-9, float(np.abs(step).max())))
        if np.abs(step).max() < 1e-8:
            break
    result = np.zeros(len(centre))
    result[chosen] = w / size[chosen]
    result[0] -= float(centre @ result)
    return result[: len(COLUMNS)]


def conformal_factor(groups: Sequence[Voxels], weights: Array) -> float:
    """The LEVEL quantile of |error| over typical error, every family counted alike.

    Voxels of a structure resemble each other, and structures of a family do: families are what a new one is exchanged
    with, so their distributions are averaged (R. Dunn, L. Wasserman, A. Ramdas, J. Am. Stat. Assoc. 118, 2491 (2023)).
    Borrowed labels are not exchangeable with anything new and have no say.
    """
    own = [g for g in groups if not g.borrowed]
    scores = [np.abs(g.error) / np.exp(g.inputs @ weights) for g in own]
    return weighted_quantile(np.concatenate(scores), family_shares([g.family for g in own], scores), LEVEL)


def family_shares(families: Sequence[str], values: Sequence[Array]) -> Array:
    """Weights of concatenated values: families alike, structures of a family alike; sum 1."""
    count = {name: families.count(name) for name in set(families)}
    shares = [
        np.full(len(v), 1.0 / (len(v) * count[f] * len(count))) for f, v in zip(list(families), values, strict=True)
    ]
    return np.concatenate(shares)


def weighted_quantile(values: Array, shares: Array, level: float) -> float:
    """Smallest value with at least ``level`` of the weight at or below it."""
    order = np.argsort(values)
    reached = np.cumsum(shares[order])
    return float(values[order][min(int(np.searchsorted(reached, level * reached[-1])), len(values) - 1)])


def uncertainty_path(weights: Path) -> Path:
    """Where the calibration of weights lies: in the folder ``uncertainty`` beside them, apart from weights."""
    return weights.parent / "uncertainty" / weights.name


def save_calibration(weights: Path, calibration: Calibration) -> Path:
    """Write the calibration beside the weights: tensors, and numbers in JSON."""
    path = uncertainty_path(weights)
    path.parent.mkdir(exist_ok=True)
    numbers = torch.tensor([*calibration.weights, calibration.factor, calibration.potential_factor])
    arrangements = {} if calibration.arrangements is None else calibration.arrangements.tensors()
    save_tensors(path, {"scale": numbers.double(), **calibration.bank.tensors(), **arrangements})
    content = {
        "format_version": FORMAT,
        "columns": list(COLUMNS),
        "level": LEVEL,
        "weights": fingerprint(weights),
        "report": calibration.report,
    }
    write_json(path.with_suffix(".json"), content)
    return path


def fingerprint(weights: Path) -> str:
    """SHA-256 of a file of weights, as it is without a spin head: error bars of another density are worth nothing."""
    content = weights.read_bytes()
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    if b'"spin.' in header:
        from safetensors.torch import load, save

        content = save({name: tensor for name, tensor in load(content).items() if not name.startswith("spin.")})
    return hashlib.sha256(content).hexdigest()


def load_calibration(weights: Path) -> Calibration:
    """The calibration beside weights.

    Raises
    ------
    InputError
        If there is none, or it is damaged or of another version.
    """
    path = uncertainty_path(weights)
    if not path.is_file():
        raise InputError(
            f"model {weights.stem}: has no calibrated uncertainty; `rhotem model calibrate RUN` makes it from the "
            "labels that the run held out"
        )
    tensors = load_tensors(path)
    try:
        side = json.loads(path.with_suffix(".json").read_text())
        numbers = tensors["scale"].double().numpy()
        if side["format_version"] != FORMAT or side["columns"] != list(COLUMNS) or len(numbers) != len(COLUMNS) + 2:
            raise KeyError("columns")
        if side["weights"] != fingerprint(weights):
            raise InputError(f"calibration {path}: made for other weights than {weights.name}; calibrate again")
        bank = NoveltyBank.from_tensors(tensors)
        arrangements = ArrangementBank.from_tensors(tensors)
        return Calibration(numbers[:-2], float(numbers[-2]), float(numbers[-1]), bank, side["report"], arrangements)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"calibration {path}: damaged or of another version; calibrate again") from error
