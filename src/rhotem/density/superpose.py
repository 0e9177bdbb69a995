"""Free atoms superposed on any periodic grid; work and memory linear in the atoms."""

from collections.abc import Callable, Iterator
from functools import lru_cache

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.fourier import Electrons, electron_count
from rhotem.structure.model import Structure

#: An atom is followed to where less than this many electrons remain outside.
TAIL = 1e-6
#: Points of the lookup table of a radial density, even in √r: its error is 1e-6 of the density.
TABLE_POINTS = 30_000
#: Points handled at once.
BLOCK_POINTS = 1_000_000
#: Samples per voxel and direction near nuclei, and points on a sphere, of voxel averages.
SAMPLES, SPHERE_POINTS = 4, 600

Radial = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


def superpose(
    structure: Structure, grid: PeriodicGrid, electrons: Electrons = None, voxel_average: bool = False
) -> npt.NDArray[np.float64]:
    """Density of superposed free atoms on ``grid`` in e/Å³, all periodic images included.

    Parameters
    ----------
    structure : Structure
    grid : PeriodicGrid
        Its cell is the structure's.
    electrons : None, "valence" or dict
        All electrons, GPAW's default valence, or the electrons of the valence by atomic number. With 0 electrons an
        element is left out.
    voxel_average : bool
        False: values at the grid points; their sum is not the electron count, because cores are steeper than a grid.
        True: averages over voxels; positive and of the exact count for every atom. The average multiplies the
        Fourier coefficients F_h of the true density by Π sinc(h_i/n_i).

    Raises
    ------
    InputError
        If an element is not in the table or has no such valence.
    """
    total = np.zeros(grid.shape)
    for atom in range(len(structure)):
        add_atom(total, structure, grid, atom, electrons, voxel_average)
    return total


def add_atom(
    total: npt.NDArray[np.float64],
    structure: Structure,
    grid: PeriodicGrid,
    atom: int,
    electrons: Electrons = None,
    voxel_average: bool = False,
) -> None:
    """Add one free atom to ``total``; arguments of `superpose`."""
    z = int(structure.numbers[atom])
    count = electron_count(z, electrons)
    if count == 0:
        return
    if voxel_average:
        # on a grid of the atom's own size: work does not grow with the cell
        add_atom_to_planes(total, range(grid.shape[2]), structure, grid, atom, electrons, voxel_average)
        return
    radial, cutoff = radial_lookup(z, count)
    for index, r_squared in blocks(grid, structure.positions[atom], cutoff):
        total[index] += radial(r_squared)


def add_atom_to_planes(
    planes: npt.NDArray[np.float64],
    wanted: range,
    structure: Structure,
    grid: PeriodicGrid,
    atom: int,
    electrons: Electrons = None,
    voxel_average: bool = False,
) -> None:
    """`add_atom` for some planes (n1, n2, len(wanted)) across the third axis; an atom that is far costs nothing."""
    z = int(structure.numbers[atom])
    count = electron_count(z, electrons)
    if count == 0:
        return
    small, moved, corner = _around(grid, structure.positions[atom], _cutoff(z, count))
    i, j, height = ((c + np.arange(m)) % n for c, m, n in zip(corner, small.shape, grid.shape, strict=True))
    inside = (height >= wanted.start) & (height < wanted.stop)
    if not inside.any():
        return
    part = np.zeros(small.shape)
    if voxel_average:
        _add_average(part, small, moved, z, count)
    else:
        one = ase.Atoms([z], [moved], cell=small.cell, pbc=True)
        add_atom(part, Structure(one), small, 0, electrons)
    planes[np.ix_(i, j, height[inside] - wanted.start)] += part[:, :, inside]


def free_reach(Z: int, electrons: Electrons = None) -> float:
    """Radius in Å where a free atom ends; 0 for one without electrons."""
    count = electron_count(Z, electrons)
    return 0.0 if count == 0 else _cutoff(Z, count)


def _around(
    grid: PeriodicGrid, centre: npt.NDArray[np.float64], cutoff: float
) -> tuple[PeriodicGrid, npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The points of ``grid`` around a sphere as a grid of their own, the centre in it, and the first point's index.

    Along an axis that the sphere fills it is the grid itself, periodic as it is.
    """
    n = np.array(grid.shape)
    reach = np.ceil(cutoff * np.linalg.norm(grid.reciprocal, axis=1) * n).astype(np.int64)
    size = np.minimum(n, 2 * reach + 6)
    index = np.floor(np.linalg.solve(grid.cell.T, centre) * n + 1e-9).astype(np.int64)
    corner = np.where(size < n, index - size // 2, 0)
    steps = grid.cell / n[:, None]
    a, b, c = (int(x) for x in size)
    return PeriodicGrid(steps * size[:, None], (a, b, c)), centre - corner @ steps, corner


def blocks(
    grid: PeriodicGrid, centre: npt.NDArray[np.float64], cutoff: float
) -> Iterator[tuple[tuple, npt.NDArray[np.float64]]]:
    """Grid points within ``cutoff`` (Å) of ``centre`` in pieces, each with a parallelepiped around it.

    Yields
    ------
    index : tuple from `numpy.ix_`
        No point occurs twice within a piece, so ``a[index] += f`` is right; images come as further pieces.
    r_squared : array
        Squared distances in Å².
    """
    fractional = np.linalg.solve(grid.cell.T, centre)
    reach = cutoff * np.linalg.norm(grid.reciprocal, axis=1)
    axes = []
    for f, extent, n in zip(fractional, reach, grid.shape, strict=True):
        points = np.arange(np.ceil((f - extent) * n - 1e-9), np.floor((f + extent) * n + 1e-9) + 1.0).astype(int)
        plane = max(1, int(np.sqrt(BLOCK_POINTS)))
        step = min(n, plane)
        axes.append([points[s : s + step] for s in range(0, len(points), step)])
    steps = grid.cell / np.array(grid.shape)[:, None]
    metric = steps @ steps.T
    for j in axes[1]:
        for k in axes[2]:
            v, w = j - fractional[1] * grid.shape[1], k - fractional[2] * grid.shape[2]
            across = (metric[1, 1] * v**2)[:, None] + 2 * metric[1, 2] * v[:, None] * w + metric[2, 2] * w**2
            slope = 2 * (metric[0, 1] * v[:, None] + metric[0, 2] * w)
            thick = max(1, BLOCK_POINTS // max(1, across.size))
            for long in axes[0]:
                for i in (long[s : s + thick] for s in range(0, len(long), thick)):
                    u = (i - fractional[0] * grid.shape[0])[:, None, None]
                    r_squared = metric[0, 0] * u**2 + u * slope + across
                    if len(i) and r_squared.min() < cutoff**2:
                        wrapped = (x % n for x, n in zip((i, j, k), grid.shape, strict=True))
                        yield np.ix_(*wrapped), np.maximum(r_squared, 0.0)


def near_points(
    grid: PeriodicGrid, centre: npt.NDArray[np.float64], radius: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Indices (M, 3) of the grid points within ``radius`` (Å) of ``centre`` and vectors (M, 3) in Å from it.

    A point occurs once for every periodic image that is near: add with `numpy.add.at`.
    """
    fractional = np.linalg.solve(grid.cell.T, centre)
    reach = radius * np.linalg.norm(grid.reciprocal, axis=1)
    axes = [
        np.arange(int(np.ceil((f - e) * n)), int(np.floor((f + e) * n)) + 1)
        for f, e, n in zip(fractional, reach, grid.shape, strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    vectors = (points / np.array(grid.shape) - fractional) @ grid.cell
    near = (vectors**2).sum(1) <= radius**2
    return points[near] % grid.shape, vectors[near]


@lru_cache(maxsize=256)
def radial_lookup(Z: int, electrons: float | None) -> tuple[Radial, float]:
    """A fast density of r² (Å²) of a free atom, and the radius in Å where it ends."""
    cutoff = _cutoff(Z, electrons)
    root = np.linspace(0.0, np.sqrt(cutoff), TABLE_POINTS)
    return _lookup(root, free_atoms.load().evaluate(Z, root**2, electrons)), cutoff


def _lookup(root: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> Radial:
    """Linear interpolation in √r of values that are zero beyond the last point."""
    values = np.append(values, [0.0, 0.0])
    slope = np.append(np.diff(values), 0.0)
    slope[-3:] = 0.0
    last = len(root) - 1
    scale = last / root[-1]

    def density(r_squared: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x = np.minimum(np.sqrt(np.sqrt(r_squared)) * scale, last + 1.0)
        i = x.astype(np.intp)
        return values[i] + slope[i] * (x - i)

    return density


@lru_cache(maxsize=256)
def _cutoff(Z: int, electrons: float | None) -> float:
    table = free_atoms.load()
    r, weights = table.quadrature
    outside = np.cumsum((weights * table.evaluate(Z, r, electrons))[::-1])[::-1]
    return float(r[np.searchsorted(-outside, -TAIL)])


def _add_average(
    total: npt.NDArray[np.float64],
    grid: PeriodicGrid,
    centre: npt.NDArray[np.float64],
    z: int,
    electrons: float | None,
) -> None:
    """Add the voxel average of a free atom: n capped at n(a), sampled within voxels, and the peak as point charges.

    The cap leaves nothing steep to sample; its sum is scaled to its exact charge (a change of 1e-3 or less).
    """
    table = free_atoms.load()
    cap = 1.5 * float(grid.spacing.max())
    root = np.linspace(0.0, np.sqrt(_cutoff(z, electrons)), TABLE_POINTS)
    flat = _lookup(root, table.evaluate(z, np.maximum(root**2, cap), electrons))
    r, weights = table.quadrature
    outer = float(np.dot(weights, table.evaluate(z, np.maximum(r, cap), electrons)))
    density = np.zeros(grid.shape)
    for index, r_squared in blocks(grid, centre, float(root[-1] ** 2)):
        density[index] += flat(r_squared)
    _sample_near(density, grid, centre, flat, cap + 3.0 * float(grid.spacing.max()))
    total += density * (outer / grid.integrate(density))

    inside = r < cap
    peak = (weights * (table.evaluate(z, r, electrons) - table.evaluate(z, cap, electrons)))[inside]
    # shells of the quadrature on one set of directions each: no more than 80 are needed
    for part in np.array_split(np.arange(len(peak)), min(len(peak), 80)):
        charge = peak[part].sum()
        radius = np.dot(peak[part], r[inside][part]) / charge if charge else 0.0
        points = centre + radius * _sphere(SPHERE_POINTS)
        fractional = np.linalg.solve(grid.cell.T, points.T).T
        voxel = np.rint(fractional * grid.shape).astype(int) % grid.shape
        np.add.at(total, tuple(voxel.T), charge / (SPHERE_POINTS * grid.voxel_volume))


def _sample_near(
    density: npt.NDArray[np.float64], grid: PeriodicGrid, centre: npt.NDArray[np.float64], flat: Radial, radius: float
) -> None:
    """Replace point values within ``radius`` (Å) of ``centre`` by averages over points inside the voxels."""
    offsets = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    steps = grid.cell / np.array(grid.shape)[:, None]
    shifts = np.stack(np.meshgrid(offsets, offsets, offsets, indexing="ij"), -1).reshape(-1, 3) @ steps
    points, vectors = near_points(grid, centre, radius)
    change = -flat((vectors**2).sum(1))
    for shift in shifts:
        change += flat(((vectors + shift) ** 2).sum(1)) / len(shifts)
    np.add.at(density, tuple(points.T), change)


@lru_cache(maxsize=4)
def _sphere(points: int) -> npt.NDArray[np.float64]:
    """Directions spread evenly over the sphere (Fibonacci lattice)."""
    i = np.arange(points) + 0.5
    z = 1.0 - 2.0 * i / points
    angle = np.pi * (1.0 + np.sqrt(5.0)) * i
    s = np.sqrt(1.0 - z**2)
    return np.stack([s * np.cos(angle), s * np.sin(angle), z], axis=1)
