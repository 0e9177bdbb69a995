"""The lattice of a crystal seen along a zone axis: vectors, columns, reflections."""

from collections.abc import Sequence
from dataclasses import dataclass

import ase.data
import numpy as np
import numpy.typing as npt

from rhotem.analysis.columns import columns
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell, orient

Floats = npt.NDArray[np.float64]

#: Exponent of the atomic number in the weight of a column, as dark fields have it.
EXPONENT = 1.7
#: Standard deviation in Å of columns as an image shows them, and the weakest reflection that counts.
BLUR, WEAKEST = 0.4, 0.01


@dataclass(frozen=True, eq=False)
class Projection:
    """A crystal along a zone axis, x to the right and y downwards as in pictures (docs/conventions.md).

    Parameters
    ----------
    vectors : (2, 2) array
        Å, rows: a rectangular, or nearly rectangular, cell of the projection; the first along x. No strain.
    positions : (n, 2) array
        Columns in units of ``vectors``.
    labels : tuple of str
        Elements of each column.
    weights : (n,) array
        Sum of Z^1.7 of the atoms of each column, relative.
    reflections : (m, 2) array
        1/Å, without their opposites, strongest first.
    factors : (m,) complex array
        Structure factors of columns as Gaussians of these weights: F = Σ w exp(−2πi g·r).
    axes : dict
        Crystal directions of ``x``, ``y`` and ``zone``.
    """

    vectors: Floats
    positions: Floats
    labels: tuple[str, ...]
    weights: Floats
    reflections: Floats
    factors: npt.NDArray[np.complex128]
    axes: dict[str, str]


def project(structure: Structure, zone: Sequence[int], largest: float = 1.3) -> Projection:
    """The projection of a crystal along a zone axis with its reflections up to ``largest`` (1/Å)."""
    cell = orient(structure, zone)
    vectors = _flat(cell)
    lengths = np.linalg.norm(cell.structure.cell, axis=1)
    found = columns(cell)
    positions = np.array([column.position for column in found]) / lengths[:2]
    weights = np.array([_weight(column.label, column.count) for column in found])
    weights /= weights.max()
    reciprocal = np.linalg.inv(vectors).T
    most = [int(np.ceil(largest * np.linalg.norm(v))) for v in vectors]
    h, k = (i.ravel() for i in np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"))
    half = (h > 0) | ((h == 0) & (k > 0))
    indices = np.stack([h, k], axis=1)[half]
    g = indices @ reciprocal
    factors = (weights * np.exp(-2j * np.pi * indices @ positions.T)).sum(axis=1)
    factors *= np.exp(-2 * (np.pi * BLUR) ** 2 * (g**2).sum(axis=1))
    order = np.argsort(-np.abs(factors), kind="stable")
    strength = np.abs(factors[order])
    kept = order[(strength > WEAKEST * strength[0]) & (np.linalg.norm(g[order], axis=1) <= largest)]
    labels = tuple(column.label for column in found)
    return Projection(vectors, positions, labels, weights, g[kept], factors[kept], dict(cell.labels))


def _flat(cell: ImagingCell) -> Floats:
    """In-plane vectors of the imaging cell without the strain that makes it rectangular."""
    a, b, c = cell.transform @ cell.origin.cell if len(cell.origin) == len(cell.crystal) else cell.structure.cell
    axis = c / np.linalg.norm(c)
    a, b = a - (a @ axis) * axis, b - (b @ axis) * axis
    x = a / np.linalg.norm(a)
    y = np.cross(axis, x) * np.sign(np.linalg.det(np.stack([a, b, c])))
    return np.array([[a @ x, 0.0], [b @ x, b @ y]])


def _weight(label: str, count: int) -> float:
    elements = label.split("/")
    mean = np.mean([ase.data.atomic_numbers[e] ** EXPONENT for e in elements])
    return float(count * mean)
