"""The gated readout on grids: in pieces, with the exact electron count, and sharp parts split off for coarse grids."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.density.convert import one_centre_electrons, one_centre_values
from rhotem.density.field import OneCentre
from rhotem.density.harmonics import real_harmonics
from rhotem.learned.counting import check_alone
from rhotem.learned.encoder import single_threaded
from rhotem.learned.readouts.gated.edges import EdgeMap, Gates, Given
from rhotem.learned.readouts.gated.free import LeftFree
from rhotem.learned.readouts.gated.pieces import Piece, pieces
from rhotem.structure.model import Structure

#: One-centre parts: switched off smoothly between these radii (Å), up to this l, on so many radii and directions.
INNER, OUTER, LMAX, RADII, POLAR = 0.5, 1.1, 4, 48, 8

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gating:
    """The readout on the atoms of one structure.

    Parameters
    ----------
    maps : sequence of EdgeMap
        Weights of every member.
    given : sequence of Given
        What atoms give to the edges of each.
    structure : Structure
    left : LeftFree or None
        Atoms left free; None: none.
    """

    maps: Sequence[EdgeMap]
    given: Sequence[Given]
    structure: Structure
    left: LeftFree | None = None

    def gates(self, piece: Piece) -> Iterator[Gates]:
        """Weights and strengths at the points of a piece, of every member."""
        for own, given in zip(self.maps, self.given, strict=True):
            yield own.gates(given.of(piece.owner), piece.points, piece.images)

    def pieces(self, points: Array) -> Iterator[Piece]:
        """Points (P, 3) in Å, piece by piece."""
        return pieces(points, self.structure, self.maps[0].settings.cutoff)

    def members(self) -> "Iterator[Gating]":
        """Every member by itself."""
        for own, given in zip(self.maps, self.given, strict=True):
            yield replace(self, maps=(own,), given=(given,))

    def kept(self, piece: Piece) -> Array | None:
        """Factor of the contribution of every image (I,) of a piece; None where it is 1."""
        factor = None if self.left is None else self.left.kept[piece.owner]
        return factor if factor is not None and (factor < 1.0).any() else None


@dataclass(frozen=True, eq=False)
class GatedGrid:
    """Δn of the gated readout on a grid.

    Parameters
    ----------
    values : array of the grid's shape
        Δn in e/Å³ without ``one_centre``.
    filled : array of the grid's shape
        Σ_i w_i of what is not left free: 1 in a bulk, 0 in vacuum.
    one_centre : tuple of OneCentre
        Sharp parts, if asked for.
    shift : float
        What was added to every strength for the count, e/Å³.
    electrons, correction : (N,) arrays
        ∫ of every atom's contribution, and the part of it that the count added.
    back : (N, 4) array
        Coefficients of what atoms got back of those left free (`LeftFree.widest`).
    """

    values: Array
    filled: Array
    one_centre: tuple[OneCentre, ...]
    shift: float
    electrons: Array
    correction: Array
    back: Array


class Sums(NamedTuple):
    """Sums of the gated readout over points, without the count; the mean of the members.

    Parameters
    ----------
    values, filled : (P,) arrays
        Σ_i w s in e/Å³ and Σ_i w at the points, of what is not left free.
    held, share : (N,) arrays
        Sums of w s and of w over the points, of all that is counted.
    taken : (N, 6) array
        First moments about every atom of w s and of w, of what is left free, Å.
    """

    values: Array
    filled: Array
    held: Array
    share: Array
    taken: Array


def on_gated_grid(gating: Gating, grid: PeriodicGrid, split: bool = False, progress: Progress = silent) -> GatedGrid:
    """Δn at all points of a grid; its sum, with that of the one-centre parts, is exactly −q.

    The electrons missing are put where atoms are: the same λ is added to every strength, ∫ Σ w (s + λ) = −q. In a bulk
    that is a constant, at a surface it ends with the weights; nothing is scaled. With ``split`` the parts near nuclei
    are taken off the grid and returned as one-centre functions. What atoms left free held is given back around them.

    Raises
    ------
    InputError
        If no grid point is within reach of an atom; if all atoms are alone and the cell is charged.
    """
    structure, left = gating.structure, gating.left
    if left is not None and not left.counted.any():
        check_alone(structure)
        empty = np.zeros(grid.shape)
        none = np.zeros(len(structure))
        return GatedGrid(empty, empty, (), 0.0, none, none, np.zeros((len(structure), 4)))
    found = sums(gating, grid.points().reshape(-1, 3), progress)
    values, filled = found.values.reshape(grid.shape), found.filled.reshape(grid.shape)
    held, share = found.held * grid.voxel_volume, found.share * grid.voxel_volume
    terms = one_centre_parts(lambda points: sums(gating, points)[0], structure) if split else ()
    for term in terms:
        at, sampled = one_centre_values(grid, structure.positions[term.atom], term, counted=False)
        np.subtract.at(values, tuple(at.T), sampled)
        held[term.atom] += one_centre_electrons(term) - sampled.sum() * grid.voxel_volume
    check_reached(share, grid)
    shift = (-structure.charge - held.sum()) / share.sum()
    values += shift * filled
    correction = shift * share
    back = np.zeros((len(structure), 4))
    if left is None:
        return GatedGrid(values, filled, terms, shift, held + correction, correction, back)
    taken = np.empty((len(structure), 4))
    taken[:, 0] = (1.0 - left.kept) * (held + correction) * left.counted
    taken[:, 1:] = (found.taken[:, :3] + shift * found.taken[:, 3:]) * grid.voxel_volume
    missing = -structure.charge - grid.integrate(values) - sum(map(one_centre_electrons, terms))
    back = left.give_back(taken, missing)
    values += left.on_grid(back, structure, grid)
    electrons = left.kept * (held + correction) + back[:, 0] * left.widest.electrons[-1]
    return GatedGrid(values, filled, terms, shift, electrons, left.kept * correction, back)


def check_reached(weight: Array, grid: PeriodicGrid) -> None:
    """Refuse a grid none of whose points has a weight: the count could be put right nowhere."""
    if not weight.sum() > 0.0:
        raise InputError(
            f"model: none of the {grid.shape} grid points is within reach of an atom; use a finer grid than "
            f"{grid.spacing.max():.1f} Å"
        )


def sums(gating: Gating, points: Array, progress: Progress = silent) -> Sums:
    """Sums over points (P, 3). Pieces in threads; sums by atom are made in the order of the pieces."""
    values, filled = np.zeros((2, len(points)))
    by_atom = np.zeros((8, len(gating.structure)))

    done = 0
    with single_threaded() as threads, ThreadPoolExecutor(threads) as pool:
        for piece, at_points, by_image in pool.map(lambda p: _of_piece(gating, p), gating.pieces(points)):
            values[piece.rows], filled[piece.rows] = at_points
            for total, own in zip(by_atom, by_image, strict=False):
                np.add.at(total, piece.owner, own)
            done += len(piece.rows)
            progress("density on the grid", done, len(points))
    held, share = by_atom[:2]
    if gating.left is not None:
        held, share = held * gating.left.counted, share * gating.left.counted
    return Sums(values, filled, held, share, by_atom[2:].T)


def _of_piece(gating: Gating, piece: Piece) -> tuple[Piece, Array, Array]:
    """Σ w s and Σ w at its points, and by image their sums; where something is left free also its first moments."""
    kept = gating.kept(piece)
    at_points, part = np.zeros((2, len(piece.rows))), 1.0 / len(gating.maps)
    by_image = np.zeros((2 if kept is None else 8, len(piece.owner)))
    for gates in gating.gates(piece):
        both = gates.weight * gates.strength, gates.weight
        for n, each in enumerate(both):
            at = part * each if kept is None else part * each * kept[gates.image]
            if n == 0 or kept is not None:
                at_points[n] += np.bincount(gates.point, at, len(piece.rows))
            by_image[n] += part * np.bincount(gates.image, each, len(piece.owner))
        if kept is None:
            at_points[1] += part * gates.filled
            continue
        lost = part * (1.0 - kept[gates.image])
        away = (piece.points[gates.point] - piece.images[gates.image]) * lost[:, None]
        for n, each in enumerate(both):
            for axis in range(3):
                by_image[2 + 3 * n + axis] += np.bincount(gates.image, each * away[:, axis], len(piece.owner))
    return piece, at_points, by_image


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
