"""Fit of the typical error of voxels, and what covers a share of the errors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.learned.calibration import COLUMNS, LEVEL

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
