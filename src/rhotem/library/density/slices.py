"""Planes through a summary of a density, with the atoms that lie near them."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.library.density.summary import Summary

#: Planes that are offered, Miller indices of the crystal's standard cell.
PLANES = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))
#: Side in Å of a slice, its pixel, and how far from it atoms are marked.
SIDE, PIXEL, NEAR = 12.0, 0.1, 0.4
#: How many times finer than the crystal's own planes those of its standard cell may be.
FINEST = 49

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Slice:
    """Δn in a plane.

    Parameters
    ----------
    values : (n, n) array
        e/Å³; the first axis to the right, the second upwards.
    pixel : float
        Å.
    right : (3,) int array
        Lattice direction of the first axis.
    labels : list of str
    places : (N, 2) array
        Of atoms near the plane, Å from the lower left corner.
    away : (N,) array
        Their distance to the plane in Å.
    """

    values: Floats
    pixel: float
    right: npt.NDArray[np.int64]
    labels: list[str]
    places: Floats
    away: Floats


def spacing(summary: Summary, plane: tuple[int, int, int]) -> float:
    """Distance in Å after which a plane of the standard cell repeats in the crystal's own, which may have defects."""
    g = _normal(summary, plane)
    own = summary.cell @ g
    for times in range(1, FINEST):
        whole = np.rint(times * own).astype(int)
        if np.abs(times * own - whole).max() < 1e-3 and whole.any():
            return float(np.gcd.reduce(whole) / np.linalg.norm(np.linalg.inv(summary.cell) @ whole))
    return float(1.0 / np.linalg.norm(g))


def richest(summary: Summary) -> tuple[tuple[int, int, int], float]:
    """The plane, of those offered, near which most elements lie, and its height in units of its `spacing`."""
    best, found = -1, (PLANES[0], 0.0)
    for plane in PLANES:
        g, period = _normal(summary, plane), spacing(summary, plane)
        heights, near = (summary.positions @ g / np.linalg.norm(g) / period) % 1.0, NEAR / period
        for height in np.unique(heights.round(3)):
            apart = np.abs((heights - height + 0.5) % 1.0 - 0.5)
            count = len(set(summary.numbers[apart < 0.5 * near]))
            if count > best:
                best, found = count, (plane, float(height) % 1.0)
    return found


def slice_of(summary: Summary, plane: tuple[int, int, int], height: float, of: str = "difference") -> Slice:
    """Δn in a plane about the middle of the cell.

    Parameters
    ----------
    summary : Summary
    plane : (int, int, int)
        Miller indices of the standard cell.
    height : float
        Of the plane over the origin in units of its `spacing`.
    of : "difference" or "error"

    Raises
    ------
    InputError
        If the indices are all zero, or there is no error bar.
    """
    from scipy.ndimage import map_coordinates

    if not any(plane):
        raise InputError("plane 0,0,0: give Miller indices that are not all zero")
    shown = summary.error if of == "error" else summary.difference
    if shown is None:
        raise InputError(f"no error bars: {summary.missing}")
    g = _normal(summary, plane)
    normal, right = g / np.linalg.norm(g), _shortest(summary.named, plane)
    e1 = right @ summary.named / np.linalg.norm(right @ summary.named)
    e2 = np.cross(normal, e1)
    middle = summary.cell.sum(axis=0) / 2
    middle = middle + (height * spacing(summary, plane) - middle @ normal) * normal
    corner = middle - 0.5 * SIDE * (e1 + e2)
    steps = PIXEL * (np.arange(round(SIDE / PIXEL)) + 0.5)
    points = corner + steps[:, None, None] * e1 + steps[None, :, None] * e2
    inverse = np.linalg.inv(summary.cell)
    index = np.moveaxis(points @ inverse * shown.shape, -1, 0)
    values = map_coordinates(shown, index, order=3, mode="grid-wrap")
    labels, places, away = _near(summary, (corner, e1, e2, normal))
    return Slice(values, PIXEL, right, labels, places, away)


def _normal(summary: Summary, plane: tuple[int, int, int]) -> Floats:
    """Reciprocal vector of a plane, 1/Å."""
    return np.asarray(np.linalg.inv(summary.named) @ np.array(plane))


def _shortest(cell: Floats, plane: tuple[int, int, int]) -> npt.NDArray[np.int64]:
    """The shortest lattice direction in a plane; of equal ones that with the most positive indices."""
    rows = [u for u in product(range(-3, 4), repeat=3) if any(u) and not np.dot(u, plane)]
    return np.array(min(rows, key=lambda u: (round(float(np.linalg.norm(np.array(u) @ cell)), 6), -sum(u), u)))


def _near(summary: Summary, frame: tuple[Floats, Floats, Floats, Floats]) -> tuple[list[str], Floats, Floats]:
    """Labels, places in the slice and distances of the atoms near it, images of the cell included."""
    from ase.data import chemical_symbols

    corner, e1, e2, normal = frame
    inverse = np.linalg.inv(summary.cell)
    box = product((0.0, SIDE), (0.0, SIDE), (-NEAR, NEAR))
    corners = np.array([corner + u * e1 + v * e2 + w * normal for u, v, w in box]) @ inverse
    least, most = np.floor(corners.min(axis=0)).astype(int) - 1, np.ceil(corners.max(axis=0)).astype(int) + 1
    atoms = (summary.positions @ inverse) % 1.0
    shifts = np.array(list(product(*(range(a, b) for a, b in zip(least, most, strict=True)))))
    there = (atoms[None] + shifts[:, None]).reshape(-1, 3) @ summary.cell - corner
    u, v, away = there @ e1, there @ e2, there @ normal
    inside = (np.abs(away) <= NEAR) & (u >= 0) & (u <= SIDE) & (v >= 0) & (v <= SIDE)
    numbers = np.tile(summary.numbers, len(shifts))[inside]
    return [chemical_symbols[z] for z in numbers], np.stack([u, v], axis=1)[inside], away[inside]
