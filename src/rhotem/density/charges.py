"""Atomic charges of a density: Hirshfeld (stockholder) and Bader (zero-flux basins on the grid)."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.convert import as_kind, one_centre_electrons, valence_by_element
from rhotem.density.field import DensityField
from rhotem.density.fourier import Electrons
from rhotem.density.superpose import add_atom, superpose
from rhotem.structure.model import Structure

#: Free-atom density in e/Å³ below which a voxel belongs to nobody (its share goes to all atoms alike).
EMPTY = 1e-12
#: A maximum of the density farther than this (Å) from every atom is a non-nuclear attractor.
ATTRACTOR = 0.8


def hirshfeld_charges(field: DensityField, weights: Literal["total", "valence"] = "total") -> npt.NDArray[np.float64]:
    """Hirshfeld charges in e, q_a = −∫ w_a Δn with w_a = n_a/Σ n_b of neutral free atoms; they sum to −∫ Δn.

    One-centre parts belong to their own atom, whose weight is 1 within a few per cent where they are not zero.

    Parameters
    ----------
    field : DensityField
        Any kind; only its deformation counts.
    weights : "total" or "valence"
        Free-atom densities that share out: of all electrons, or of the valence (as programs that know only a valence
        do). They differ where a core reaches into a neighbour.

    References
    ----------
    F. L. Hirshfeld, Theor. Chim. Acta 44, 129 (1977).
    """
    grid, structure = field.grid, field.structure
    own_terms = np.zeros(len(structure))
    for term in field.one_centre:
        own_terms[term.atom] += one_centre_electrons(term)
    if field.kind == "deformation" and not np.any(field.values):
        return -own_terms
    deformation = _grid_deformation(field)
    electrons: Electrons = None if weights == "total" else valence_by_element(field)
    total = superpose(structure, grid, electrons)
    empty = total < EMPTY
    share = deformation / np.where(empty, 1.0, total)
    share[empty] = 0.0
    charges = -own_terms
    own = np.zeros(grid.shape)
    for atom in range(len(structure)):
        own[:] = 0.0
        add_atom(own, structure, grid, atom, electrons)
        charges[atom] -= grid.integrate(own * share)
    nobody = grid.integrate(np.where(empty, deformation, 0.0))
    return charges - nobody / len(structure)


def bader_charges(field: DensityField) -> npt.NDArray[np.float64]:
    """Bader charges in e, Z minus the electrons in each atom's basin. See `bader`."""
    return bader(field).charges


@dataclass(frozen=True)
class Bader:
    """Bader partition of a density.

    Parameters
    ----------
    charges : (N,) array
        In e; they sum to Z's minus the electrons on the grid.
    volumes : (N,) array
        Of the basins in Å³; they sum to the cell's.
    attractors : int
        Maxima farther than 0.8 Å from every atom (non-nuclear attractors, or vacuum); given to the nearest atom.
    """

    charges: npt.NDArray[np.float64]
    volumes: npt.NDArray[np.float64]
    attractors: int


def bader(field: DensityField) -> Bader:
    """Bader charges and volumes by the weight method, free of the bias of grids towards their own directions.

    The electrons of every voxel flow to higher neighbours in proportion to the gradient through the shared Voronoi
    face; what arrives at a maximum belongs to it. All voxels together are one sparse triangular system. The density
    is the total one with cores averaged over voxels, so that every atom is a maximum and counts are exact. Needs a
    grid of about 0.1 Å.

    References
    ----------
    M. Yu and D. R. Trinkle, J. Chem. Phys. 134, 064111 (2011).

    Raises
    ------
    InputError
        If the density has an atom that is no maximum on this grid.
    """
    total = as_kind(field, "total")
    grid, structure = total.grid, total.structure
    density = np.asarray(total.values, dtype=float)
    maxima, arrived = _flow(grid, density, np.stack([density, np.ones(grid.shape)], axis=-1))
    owner, distance = _nearest_atom(structure, grid, maxima)
    electrons = np.bincount(owner, arrived[:, 0], len(structure)) * grid.voxel_volume
    volumes = np.array(np.bincount(owner, arrived[:, 1], len(structure)) * grid.voxel_volume, dtype=float)
    if (volumes == 0).any():
        atom = int(np.flatnonzero(volumes == 0)[0])
        raise InputError(
            f"Bader: atom {atom} ({structure.atoms.symbols[atom]}) is no maximum on a grid of "
            f"{grid.spacing.max():.2f} Å; use a finer grid (0.1 Å)"
        )
    return Bader(np.array(structure.numbers - electrons, dtype=float), volumes, int((distance > ATTRACTOR).sum()))


def _flow(
    grid: PeriodicGrid, density: npt.NDArray[np.float64], carried: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Carry quantities (…, K) of the voxels uphill: indices (M, 3) of the maxima and what arrives there (M, K)."""
    from scipy.sparse import csr_matrix, eye
    from scipy.sparse.linalg import spsolve_triangular

    size = grid.size
    order = np.argsort(-density.ravel(), kind="stable")
    rank = np.empty(size, dtype=np.int64)
    rank[order] = np.arange(size)
    rank = rank.reshape(grid.shape)
    sources, targets, fluxes = [], [], []
    for offset, weight in zip(*_voronoi_neighbours(grid), strict=True):
        back = tuple(-int(o) for o in offset)
        other = np.roll(density, back, (0, 1, 2))
        other_rank = np.roll(rank, back, (0, 1, 2))
        up = other_rank < rank
        sources.append(rank[up])
        targets.append(other_rank[up])
        # equal densities: a flow too small to matter unless there is no other way up
        fluxes.append(weight * np.maximum(other[up] - density[up], 1e-300))
    source, target, flux = map(np.concatenate, (sources, targets, fluxes))
    outflow = np.bincount(source, flux, size)
    flux = flux / outflow[source]
    # y = c + Jᵀ y, J from each voxel to higher ones (lower ranks): upper triangular in rank order
    system = (eye(size, format="csr") - csr_matrix((flux, (target, source)), shape=(size, size))).tocsr()
    collected = spsolve_triangular(system, carried.reshape(size, -1)[order], lower=False, unit_diagonal=True)
    top = np.flatnonzero(outflow == 0.0)
    return np.stack(np.unravel_index(order[top], grid.shape), axis=1), np.asarray(collected)[top]


def _voronoi_neighbours(grid: PeriodicGrid) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Offsets of the voxels that share a Voronoi face with one, and face area over distance."""
    from scipy.spatial import ConvexHull, Voronoi

    steps = grid.cell / np.array(grid.shape)[:, None]
    offsets = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    points = offsets @ steps
    centre = int(np.flatnonzero((offsets == 0).all(1))[0])
    voronoi = Voronoi(points)
    found: dict[int, float] = {}
    for pair, vertices in zip(voronoi.ridge_points, voronoi.ridge_vertices, strict=True):
        if centre not in pair or -1 in vertices:
            continue
        other = int(pair[0] if pair[1] == centre else pair[1])
        distance = float(np.linalg.norm(points[other]))
        face = voronoi.vertices[vertices]
        # the face spans a pyramid with the centre: area = 3 volume / height
        hull: Any = ConvexHull(np.vstack([face, np.zeros(3)]), qhull_options="QJ")
        area = 3.0 * float(hull.volume) / (distance / 2.0)
        if area > 1e-6 * distance**2:
            found[other] = area / distance
    return offsets[list(found)], np.array(list(found.values()))


def _nearest_atom(
    structure: Structure, grid: PeriodicGrid, voxels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Index of the atom nearest to each voxel, images included, and its distance in Å."""
    from scipy.spatial import cKDTree

    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    fractional = structure.atoms.get_scaled_positions(wrap=True)
    images = (fractional[None] + shifts[:, None]).reshape(-1, 3) @ grid.cell
    distance, index = cKDTree(images).query(voxels / np.array(grid.shape) @ grid.cell)
    return index % len(structure), distance


def _grid_deformation(field: DensityField) -> npt.NDArray[np.float64]:
    """Deformation density of the grid part alone."""
    from dataclasses import replace

    return np.asarray(as_kind(replace(field, one_centre=()), "deformation").values, dtype=float)
