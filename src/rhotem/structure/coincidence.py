"""Plane lattices that fit each other: the smallest common supercell and the strain it takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Change of bases that keep a lattice and its hand, enough to reach every compact basis from a reduced one.
BASES = np.array([m for m in product((-1, 0, 1), repeat=4) if m[0] * m[3] - m[1] * m[2] == 1]).reshape(-1, 2, 2)


@dataclass(frozen=True, eq=False)
class Coincidence:
    """Supercells of two plane lattices that agree once the upper one is turned and strained.

    ``upper @ upper_rows @ rotation @ (1 + strain) == lower @ lower_rows``, rows as everywhere; ``strain`` symmetric.
    """

    lower: Ints
    upper: Ints
    rotation: Floats
    strain: Floats
    area: float

    @property
    def principal(self) -> Floats:
        """The two principal strains, smaller first."""
        return principal(self.strain)


def match_planes(lower: Floats, upper: Floats, max_strain: float = 0.05, max_area: float = 60.0) -> Coincidence:
    """The smallest common supercell of two plane lattices, of these the one with the least strain.

    Every supercell of both is looked at (A. Zur, T. C. McGill, J. Appl. Phys. 55, 378 (1984)); the upper lattice may
    be turned about the normal.

    Parameters
    ----------
    lower, upper : (2, 2) array
        Right-handed plane lattices, rows, Å.
    max_strain : float
        Largest principal strain, without sign.
    max_area : float
        Largest area of the supercell of ``lower``, Å².

    Raises
    ------
    InputError
        If there is none.
    """
    one, two = (float(np.linalg.det(rows)) for rows in (lower, upper))
    if min(one, two) <= 0:
        raise InputError("plane lattices: expected two right-handed pairs of vectors")
    for n in range(1, int(max_area / one + 1e-9) + 1):
        low, high = (n * one / two / (1 + side * max_strain) ** 2 for side in (1, -1))
        found = [
            match
            for m in range(max(1, int(np.ceil(low - 1e-9))), int(high + 1e-9) + 1)
            for match in _matches(lower, upper, n, m, max_strain)
        ]
        if found:
            return min(found, key=_rank)
    raise InputError(
        f"interface: no common cell of at most {max_area:g} Å² with strains within {100 * max_strain:g} %; allow more"
        " strain or area, or choose other planes"
    )


def _matches(lower: Floats, upper: Floats, n: int, m: int, max_strain: float) -> Iterator[Coincidence]:
    """All pairs of an ``n``-fold supercell of one and an ``m``-fold of the other within the strain."""
    for transform in (_reduced(p, lower) for p in _supercells(n)):
        yield from _onto(transform, lower, upper, m, max_strain)


def _onto(transform: Ints, lower: Floats, upper: Floats, m: int, max_strain: float) -> Iterator[Coincidence]:
    """All ``m``-fold supercells of one lattice that fit a supercell of the other within the strain."""
    turned = np.concatenate([BASES @ _reduced(p, upper) for p in _supercells(m)])
    target = transform @ lower
    u, s, vt = np.linalg.svd(np.linalg.solve(turned @ upper, np.broadcast_to(target, turned.shape)))
    good = np.flatnonzero((np.abs(s - 1).max(axis=1) <= max_strain + 1e-9) & (np.linalg.det(u @ vt) > 0))
    for k in good:
        strain = vt[k].T @ np.diag(s[k] - 1) @ vt[k]
        yield Coincidence(transform, turned[k], u[k] @ vt[k], strain, abs(float(np.linalg.det(target))))


def _rank(match: Coincidence) -> tuple:
    """Least strain, then least turned; the rest only makes the choice the same everywhere."""
    angle = abs(float(np.arctan2(match.rotation[0, 1], match.rotation[0, 0])))
    flat = (*match.lower.ravel().tolist(), *match.upper.ravel().tolist())
    return (round(float(np.abs(match.principal).max()), 5), round(angle, 4), *flat)


def match_many(
    planes: Sequence[Floats], keep: int, max_strain: float = 0.05, max_area: float = 100.0
) -> list[Coincidence]:
    """The smallest supercell of one plane lattice that every other one fits, each turned and strained on its own.

    The strain between any two of them is within the limit.

    Parameters
    ----------
    planes : sequence of (2, 2) array
        Right-handed plane lattices, rows, Å.
    keep : int
        Which of them is not strained.
    max_strain, max_area
        As `match_planes`.

    Returns
    -------
    list of Coincidence
        One for each of ``planes``, all with the same ``lower``.

    Raises
    ------
    InputError
        If there is none.
    """
    fixed, areas = planes[keep], [float(np.linalg.det(rows)) for rows in planes]
    if min(areas) <= 0:
        raise InputError("plane lattices: expected right-handed pairs of vectors")
    for n in range(1, int(max_area / areas[keep] + 1e-9) + 1):
        found = []
        for transform in (_reduced(p, fixed) for p in _supercells(n)):
            fitted = [_fitted(transform, fixed, rows, max_strain) for rows in planes]
            matches = [match for match in fitted if match]
            if len(matches) == len(planes) and _widest(matches) <= max_strain + 1e-9:
                found.append(matches)
        if found:
            return min(found, key=lambda matches: round(_widest(matches), 5))
    raise InputError(
        f"interface: no common cell of at most {max_area:g} Å² with strains within {100 * max_strain:g} %; allow more"
        " strain or area, or choose other planes"
    )


def _widest(matches: Sequence[Coincidence]) -> float:
    """Largest principal strain between any two of the lattices."""
    return max(float(np.abs(principal(one.strain - two.strain)).max()) for one in matches for two in matches)


def _fitted(transform: Ints, lower: Floats, upper: Floats, max_strain: float) -> Coincidence | None:
    """The supercell of ``upper`` that fits one of ``lower`` best, within the strain."""
    area = float(np.linalg.det(transform @ lower)) / float(np.linalg.det(upper))
    low, high = (area / (1 + side * max_strain) ** 2 for side in (1, -1))
    sizes = range(max(1, int(np.ceil(low - 1e-9))), int(high + 1e-9) + 1)
    found = [match for m in sizes for match in _onto(transform, lower, upper, m, max_strain)]
    return min(found, key=_rank, default=None)


def _supercells(size: int) -> Iterator[Ints]:
    """Every sublattice of index ``size`` once (Hermite normal forms)."""
    for a in (a for a in range(1, size + 1) if size % a == 0):
        for b in range(size // a):
            yield np.array([[a, b], [0, size // a]])


def _reduced(transform: Ints, rows: Floats) -> Ints:
    """The same supercell with its two shortest vectors (Gauss), right-handed."""
    short, long = transform
    while True:
        if np.linalg.norm(short @ rows) > np.linalg.norm(long @ rows) + 1e-9:
            short, long = long, -short
        factor = int(np.rint((long @ rows) @ (short @ rows) / ((short @ rows) @ (short @ rows)) - 1e-9))
        if factor == 0:
            return np.array([short, long])
        long = long - factor * short


def strain_between(rows: Floats, target: Floats) -> Floats:
    """Symmetric e with ``rows @ R @ (1 + e) == target``."""
    _, s, vt = np.linalg.svd(np.linalg.solve(rows, target))
    return vt.T @ np.diag(s - 1) @ vt


def principal(strain: Floats) -> Floats:
    """Principal strains, smaller first."""
    return np.asarray(np.linalg.eigvalsh(strain), dtype=np.float64)
