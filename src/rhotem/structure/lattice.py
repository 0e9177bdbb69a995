"""Integer vectors of a lattice that make an (almost) orthogonal cell along a given direction."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.structure.indices import triangle

#: Principal strain below which a cell counts as needing none (rounding of lattice constants in files).
EXACT = 2e-5
#: Longest side in Å of a cell that is looked for.
LONGEST = 240.0

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class OrthogonalCell:
    """Three integer vectors (rows) and the strain that makes them orthogonal."""

    vectors: Ints
    strain: float
    volume: float


@dataclass(frozen=True, eq=False)
class Limits:
    """What bounds a search: axis, frame of the plane normal to it, strain, volume, direction of the second side."""

    normal: Floats
    frame: Floats
    max_strain: float
    max_volume: float
    up: Floats | None


def complete(vector: npt.ArrayLike) -> Ints:
    """A unimodular integer matrix whose last row is ``vector`` (coprime)."""
    row = np.array(vector, dtype=object)
    transform = np.eye(3, dtype=object)  # row @ transform = (0, 0, 1) at the end
    while np.count_nonzero(row) > 1:
        used = [i for i in range(3) if row[i] != 0]
        smallest = min(used, key=lambda i: abs(row[i]))
        for i in used:
            if i != smallest:
                factor = row[i] // row[smallest]
                row[i] -= factor * row[smallest]
                transform[:, i] -= factor * transform[:, smallest]
    last = int(np.flatnonzero(row)[0])
    transform[:, last] *= row[last]  # ±1 for coprime input
    order = [i for i in range(3) if i != last] + [last]
    return integer_inverse(transform[:, order].astype(np.int64))


def integer_inverse(matrix: Ints) -> Ints:
    """Inverse of a unimodular integer matrix."""
    return np.rint(np.linalg.inv(matrix.astype(float))).astype(np.int64)


def coset_representatives(transform: Ints) -> Ints:
    """The |det P| lattice vectors that fill the cell ``P @ cell`` once, in units of ``cell``."""
    work = triangle(transform)
    counts = [abs(int(work[i, i])) for i in range(3)]
    return np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1).reshape(-1, 3)


def stretch(rows: Floats) -> tuple[Floats, Floats, Floats]:
    """Deformation that turns ``rows`` into an orthogonal cell with sides of the same lengths.

    Returns
    -------
    lengths : (3,) array
        Sides in Å.
    strain : (3, 3) array
        Symmetric ``e`` and
    rotation : (3, 3) array
        proper or improper ``R`` with ``rows @ (1 + e) @ R.T = diag(lengths)`` (polar decomposition).
    """
    lengths = np.linalg.norm(rows, axis=1)
    gradient = np.linalg.solve(rows, np.diag(lengths))
    u, s, vt = np.linalg.svd(gradient)
    return lengths, (u * s) @ u.T - np.eye(3), (u @ vt).T


def search(
    cell: Floats, axis: Ints, *, plane: bool, max_strain: float, max_volume: float, up: Floats | None = None
) -> OrthogonalCell | None:
    """Smallest orthogonal cell with the third vector along ``axis``.

    A cell that needs no strain is taken if there is one within ``max_volume``; otherwise the smallest one with
    principal strains below ``max_strain``.

    Parameters
    ----------
    cell : (3, 3) array
        Lattice vectors in Å, rows.
    axis : (3,) int
        Lattice direction [uvw], or with ``plane`` the indices (hkl) of the plane whose normal is wanted.
    plane : bool
        In the first case the third vector is exact and the first two are searched near its normal plane; in the second
        the first two lie in the plane and the third is searched near the normal.
    max_strain, max_volume : float
        Largest principal strain; largest volume in Å³.
    up : (3,) array, optional
        Cartesian direction that the second vector must follow in projection.

    Returns
    -------
    OrthogonalCell or None
        Vectors a, b, c; not yet ordered in hand or length.
    """
    basis = integer_inverse(complete(axis)).T if plane else complete(axis)
    normal = np.cross(basis[0] @ cell, basis[1] @ cell) if plane else basis[2] @ cell
    normal = normal / np.linalg.norm(normal)
    frame = np.linalg.svd(normal[None])[2][1:]  # two unit vectors normal to the axis
    if up is not None:
        up = frame @ up / np.linalg.norm(frame @ up)
    limits = Limits(normal, frame, max_strain, max_volume, up)
    basis = _reduced(basis, cell, frame)
    shortest = min(np.linalg.norm((basis[:2] @ cell) @ frame.T, axis=1))
    thirds = _along_normal(basis, cell, limits) if plane else [basis[2]]
    if not thirds:
        return None
    height = min(float(abs(c @ cell @ normal)) for c in thirds)
    best: OrthogonalCell | None = None
    radius, limit = 3.0 * shortest, min(LONGEST, max_volume / height / shortest)
    while True:
        radius = min(radius, limit)
        found = _best(cell, basis, thirds, radius, plane, limits)
        if found is not None and (best is None or _rank(found) < _rank(best)):
            best = found
        if radius >= limit:
            return best
        if best is not None and best.strain <= EXACT:  # nothing smaller has a longer side than this
            limit = max(radius, min(limit, 1.01 * best.volume / height / shortest))
        radius *= 2.0


def _rank(cell: OrthogonalCell) -> tuple[bool, float, float]:
    return cell.strain > EXACT, round(cell.volume, 3), cell.strain


def _reduced(basis: Ints, cell: Floats, frame: Floats) -> Ints:
    """The same lattice with the first two vectors shortest in projection (Gauss)."""
    basis = basis.copy()
    while True:
        flat = (basis[:2] @ cell) @ frame.T
        if flat[0] @ flat[0] > flat[1] @ flat[1] * (1 + 1e-12):
            basis[[0, 1]] = basis[[1, 0]]
            continue
        factor = int(np.rint(flat[0] @ flat[1] / (flat[0] @ flat[0]) - 1e-9))
        if factor == 0:
            return basis
        basis[1] -= factor * basis[0]


def _along_normal(basis: Ints, cell: Floats, limits: Limits) -> list[Ints]:
    """Lattice vectors ever closer to the plane normal, shortest first."""
    frame, normal, max_strain = limits.frame, limits.normal, limits.max_strain
    flat = (basis @ cell) @ frame.T
    height = abs(float(basis[2] @ cell @ normal))
    area = abs(float(np.linalg.det(flat[:2])))
    found: list[Ints] = []
    tilt = 2.2 * max_strain + 1e-9
    for layers in range(1, max(1, int(min(LONGEST, limits.max_volume / area) / height)) + 1):
        guess = np.rint(-layers * flat[2] @ np.linalg.inv(flat[:2])).astype(int)
        options = [
            layers * basis[2] + (guess[0] + i) * basis[0] + (guess[1] + j) * basis[1]
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        ]
        tilts = [float(np.linalg.norm(frame @ (o @ cell))) / (layers * height) for o in options]
        best = int(np.argmin(tilts))
        if tilts[best] < tilt - 1e-9:
            found.append(options[best])
            tilt = tilts[best]
        if tilt < EXACT or len(found) >= 12:
            break
    return found


def _best(
    cell: Floats, basis: Ints, thirds: list[Ints], radius: float, plane: bool, limits: Limits
) -> OrthogonalCell | None:
    """Best cell with both sides in the plane shorter than ``radius``."""
    height = min(float(abs(c @ cell @ limits.normal)) for c in thirds)
    sides, flat, tilt = _sides(cell, basis, radius, plane, limits)
    a, b, shear = _pairs(flat, tilt, limits, height)
    found = []
    for third in thirds:
        lean = np.linalg.norm(limits.frame @ (third @ cell)) / abs(third @ cell @ limits.normal)
        straight = (shear < 3 * EXACT) & (lean < 3 * EXACT)
        for keep, strain in ((straight, EXACT), (np.ones(len(a), dtype=bool), limits.max_strain)):
            best = next(_passing(cell, sides, a[keep], b[keep], third, limits, strain), None)
            if best is not None:
                found.append(best)
                break
    return min(found, key=_rank, default=None)


def _sides(cell: Floats, basis: Ints, radius: float, plane: bool, limits: Limits) -> tuple[Ints, Floats, Floats]:
    """Half of all lattice vectors near the plane: integers, in-plane components (Å), slope out of the plane."""
    flat = (basis @ cell) @ limits.frame.T
    lengths = np.linalg.norm(flat[:2], axis=1)
    area = abs(float(np.linalg.det(flat[:2])))
    most = [int(radius * lengths[1 - i] / area) + 1 for i in (0, 1)]
    i, j = (x.ravel() for x in np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"))
    half = (i > 0) | ((i == 0) & (j > 0))
    sides = np.outer(i[half], basis[0]) + np.outer(j[half], basis[1])
    if not plane:  # whole steps along the axis bring a vector back to the plane
        period = float(basis[2] @ cell @ limits.normal)
        sides -= np.outer(np.rint((sides @ cell @ limits.normal) / period - 1e-9).astype(np.int64), basis[2])
    flat = (sides @ cell) @ limits.frame.T
    lengths = np.linalg.norm(flat, axis=1)
    tilt = np.abs(sides @ cell @ limits.normal) / lengths
    keep = (lengths <= radius) & (tilt <= 2.2 * limits.max_strain + EXACT)
    order = np.argsort(lengths[keep], kind="stable")
    return sides[keep][order], flat[keep][order], tilt[keep][order]


def _pairs(flat: Floats, tilt: Floats, limits: Limits, height: float) -> tuple[Ints, Ints, Floats]:
    """Indices of pairs of sides that are nearly at right angles, smallest area first, and their largest shear."""
    lengths = np.linalg.norm(flat, axis=1)
    shear_limit = 2.2 * limits.max_strain + EXACT
    along = np.ones(len(flat), dtype=bool)
    if limits.up is not None:
        along = np.abs(flat @ limits.up) >= lengths * np.cos(max(2 * limits.max_strain, 1e-3))
    first, second, shears = [np.empty(0, int)], [np.empty(0, int)], [np.empty(0)]
    for a in range(len(flat)):
        stop = np.searchsorted(lengths, 1.05 * limits.max_volume / height / lengths[a])
        cosine = np.abs(flat[a + 1 : stop] @ flat[a]) / (lengths[a + 1 : stop] * lengths[a])
        good = np.flatnonzero((cosine <= shear_limit) & (along[a] | along[a + 1 : stop]))
        first.append(np.full(len(good), a))
        second.append(good + a + 1)
        shears.append(np.maximum(cosine[good], np.maximum(tilt[a], tilt[good + a + 1])))
    one, two, shear = np.concatenate(first), np.concatenate(second), np.concatenate(shears)
    order = np.lexsort((shear, lengths[two], np.round(lengths[one] * lengths[two], 3)))
    return one[order], two[order], shear[order]


def _passing(
    cell: Floats, sides: Ints, a: Ints, b: Ints, third: Ints, limits: Limits, max_strain: float
) -> Iterator[OrthogonalCell]:
    """Cells among the pairs within the limits, smallest first."""
    for i, j in zip(a, b, strict=True):
        rows = np.array([sides[i], sides[j], third])
        volume = abs(float(np.linalg.det(rows @ cell)))
        if volume > limits.max_volume * (1 + 1e-9):
            continue
        strain = float(np.abs(np.linalg.eigvalsh(stretch(rows @ cell)[1])).max())
        if strain <= max_strain + 1e-12:
            yield OrthogonalCell(rows, strain, volume)
