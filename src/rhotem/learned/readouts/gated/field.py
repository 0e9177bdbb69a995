"""The gated readout on grids: in pieces, with the exact electron count, and sharp parts split off for coarse grids."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.density.convert import one_centre_electrons, one_centre_values
from rhotem.density.field import OneCentre
from rhotem.density.harmonics import real_harmonics
from rhotem.learned.encoder import single_threaded
from rhotem.learned.readouts.gated.edges import EdgeMap, Gates, Given
from rhotem.learned.readouts.gated.pieces import Piece, pieces
from rhotem.structure.model import Structure

#: One-centre parts: switched off smoothly between these radii (Å), up to this l, on so many radii and directions.
INNER, OUTER, LMAX, RADII, POLAR = 0.5, 1.1, 4, 48, 8

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gating:
    """The readout on the atoms of one structure: weights of every member, what atoms give to each, and the atoms."""

    maps: Sequence[EdgeMap]
    given: Sequence[Given]
    structure: Structure

    def gates(self, piece: Piece) -> Iterator[Gates]:
        """Weights and strengths at the points of a piece, of every member."""
        for own, given in zip(self.maps, self.given, strict=True):
            yield own.gates(given.of(piece.owner), piece.points, piece.images)

    def pieces(self, points: Array) -> Iterator[Piece]:
        """Points (P, 3) in Å, piece by piece."""
        return pieces(points, self.structure, self.maps[0].settings.cutoff)


@dataclass(frozen=True, eq=False)
class GatedGrid:
    """Δn of the gated readout on a grid.

    Parameters
    ----------
    values : array of the grid's shape
        Δn in e/Å³ without ``one_centre``.
    filled : array of the grid's shape
        Σ_i w_i: 1 in a bulk, 0 in vacuum.
    one_centre : tuple of OneCentre
        Sharp parts, if asked for.
    shift : float
        What was added to every strength for the count, e/Å³.
    electrons, correction : (N,) arrays
        ∫ w s of every atom, and the part of it that the count added.
    """

    values: Array
    filled: Array
    one_centre: tuple[OneCentre, ...]
    shift: float
    electrons: Array
    correction: Array


def on_gated_grid(gating: Gating, grid: PeriodicGrid, split: bool = False, progress: Progress = silent) -> GatedGrid:
    """Δn at all points of a grid; its sum, with that of the one-centre parts, is exactly −q.

    The electrons missing are put where atoms are: the same λ is added to every strength, ∫ Σ w (s + λ) = −q. In a bulk
    that is a constant, at a surface it ends with the weights; nothing is scaled. With ``split`` the parts near nuclei
    are taken off the grid and returned as one-centre functions.

    Raises
    ------
    InputError
        If no grid point is within reach of an atom.
    """
    structure = gating.structure
    flat, room, held, share = sums(gating, grid.points().reshape(-1, 3), progress)
    values, filled = flat.reshape(grid.shape), room.reshape(grid.shape)
    held, share = held * grid.voxel_volume, share * grid.voxel_volume
    terms = one_centre_parts(lambda points: sums(gating, points)[0], structure) if split else ()
    for term in terms:
        at, sampled = one_centre_values(grid, structure.positions[term.atom], term, counted=False)
        np.subtract.at(values, tuple(at.T), sampled)
        held[term.atom] += one_centre_electrons(term) - sampled.sum() * grid.voxel_volume
    check_reached(share, grid)
    elsewhere = sum(map(one_centre_electrons, terms))
    shift = (-structure.charge - grid.integrate(values) - elsewhere) / grid.integrate(filled)
    correction = shift * share
    return GatedGrid(values + shift * filled, filled, terms, shift, held + correction, correction)


def check_reached(weight: Array, grid: PeriodicGrid) -> None:
    """Refuse a grid none of whose points has a weight: the count could be put right nowhere."""
    if not weight.sum() > 0.0:
        raise InputError(
            f"model: none of the {grid.shape} grid points is within reach of an atom; use a finer grid than "
            f"{grid.spacing.max():.1f} Å"
        )


def sums(gating: Gating, points: Array, progress: Progress = silent) -> tuple[Array, Array, Array, Array]:
    """Σ_i w s and Σ_i w at points (P, 3), without the count, and the sums of both over the points by atom (N,).

    The mean of the members. Pieces in threads; sums by atom are made in the order of the pieces.
    """
    values, filled = np.zeros(len(points)), np.zeros(len(points))
    held, share = np.zeros(len(gating.structure)), np.zeros(len(gating.structure))
    part = 1.0 / len(gating.maps)

    def work(piece: Piece) -> tuple[Piece, list[Array]]:
        found = [np.zeros(len(n)) for n in (piece.rows, piece.rows, piece.owner, piece.owner)]
        for gates in gating.gates(piece):
            brought = gates.weight * gates.strength
            found[0] += part * np.bincount(gates.point, brought, len(piece.rows))
            found[1] += part * gates.filled
            found[2] += part * np.bincount(gates.image, brought, len(piece.owner))
            found[3] += part * np.bincount(gates.image, gates.weight, len(piece.owner))
        return piece, found

    done = 0
    with single_threaded() as threads, ThreadPoolExecutor(threads) as pool:
        for piece, (own, room, by_image, share_by_image) in pool.map(work, gating.pieces(points)):
            values[piece.rows], filled[piece.rows] = own, room
            np.add.at(held, piece.owner, by_image)
            np.add.at(share, piece.owner, share_by_image)
            done += len(piece.rows)
            progress("density on the grid", done, len(points))
    return values, filled, held, share


def one_centre_parts(values: Callable[[Array], Array], structure: Structure) -> tuple[OneCentre, ...]:
    """Parts near every atom up to l = 4, switched off smoothly from 0.5 to 1.1 Å: what no coarse grid holds.

    Of a density given by its ``values`` at points (P, 3) in Å. Projected on spheres around the atom, Gauss–Legendre in
    cos θ and even in φ.
    """
    radii = np.linspace(0.0, np.sqrt(OUTER), RADII) ** 2
    directions, weights, harmonics = _sphere()
    offsets = (radii[:, None, None] * directions).reshape(-1, 3)
    window = _window(radii)
    terms = []
    for atom, centre in enumerate(structure.positions):
        on_spheres = values(centre + offsets).reshape(RADII, -1)
        projected = (harmonics * weights[:, None]).T @ on_spheres.T
        projected[1:, 0] = 0.0  # no direction at the nucleus
        terms.append(OneCentre(atom, radii, projected * window))
    return tuple(terms)


@lru_cache
def _sphere() -> tuple[Array, Array, Array]:
    """Directions (S, 3), weights (S,) that add up to 4π, and Y_lm (S, lm): exact to l = 2·POLAR − 1."""
    x, w = np.polynomial.legendre.leggauss(POLAR)
    turns = 2 * POLAR
    phi = 2.0 * np.pi * (np.arange(turns) + 0.5) / turns
    sine = np.sqrt(1.0 - x**2)
    across = [np.outer(sine, np.cos(phi)), np.outer(sine, np.sin(phi))]
    directions = np.stack([*across, np.repeat(x[:, None], turns, 1)], -1).reshape(-1, 3)
    return directions, np.repeat(w, turns) * 2.0 * np.pi / turns, real_harmonics(directions, LMAX)


def _window(r: Array) -> Array:
    """1 up to INNER, 0 from OUTER, two continuous derivatives."""
    u = np.clip((r - INNER) / (OUTER - INNER), 0.0, 1.0)
    return 1.0 + u**3 * (-6.0 * u**2 + 15.0 * u - 10.0)
