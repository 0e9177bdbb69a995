"""The gated readout on grids: in pieces, with the exact electron count, and sharp parts split off for coarse grids."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import ase
import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.density.convert import evaluate_one_centre, one_centre_electrons
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.harmonics import real_harmonics
from rhotem.learned.pairs import probe_pairs
from rhotem.structure.model import Structure
from rhotem.training.gated.network import Gated, Gates
from rhotem.training.network.model import DensityModel
from rhotem.training.network.readouts.spherical import Pairs, Probes

#: Edges from atoms to points handled at once.
EDGES_AT_ONCE = 10_000
#: One-centre parts: switched off smoothly between these radii (Å), up to this l, on so many radii and directions.
INNER, OUTER, LMAX, RADII, POLAR = 0.5, 1.1, 4, 48, 10

#: What `Gated.forward` gave.
Given = tuple[torch.Tensor, ...]
Array = npt.NDArray[np.float64]


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


def on_gated_grid(
    model: DensityModel,
    given: Given,
    structure: Structure,
    grid: PeriodicGrid,
    split: bool = False,
    progress: Progress = silent,
) -> GatedGrid:
    """Δn at all points of a grid; its sum, with that of the one-centre parts, is exactly −q.

    The electrons missing are put where atoms are: the same λ is added to every strength, ∫ Σ w (s + λ) = −q. In a bulk
    that is a constant, at a surface it ends with the weights; nothing is scaled. With ``split`` the parts near nuclei
    are taken off the grid and returned as one-centre functions.

    Raises
    ------
    InputError
        If no grid point is within reach of an atom.
    """
    flat, room, held, share = _sums(model, given, structure, grid.points().reshape(-1, 3), progress)
    values, filled = flat.reshape(grid.shape), room.reshape(grid.shape)
    held, share = held * grid.voxel_volume, share * grid.voxel_volume
    terms = one_centre_parts(lambda points: at(model, given, structure, points)[0], structure) if split else ()
    for term in terms:
        alone = DensityField("deformation", structure, grid, values, one_centre=(term,))
        sampled = evaluate_one_centre(alone)
        values = values - sampled
        held[term.atom] += one_centre_electrons(term) - grid.integrate(sampled)
    check_reached(share, grid)
    elsewhere = sum(map(one_centre_electrons, terms))
    shift = (-structure.charge - grid.integrate(values) - elsewhere) / grid.integrate(filled)
    correction = shift * share
    return GatedGrid(values + shift * filled, filled, terms, shift, held + correction, correction)


def gated_values(
    model: DensityModel, given: Given, positions: Array, grid: PeriodicGrid, progress: Progress = silent
) -> Array:
    """Δn of atoms at ``positions`` (N, 3) on a grid, everything on it; the charge is what the encoder was given."""
    return on_gated_grid(model, given, nameless(positions, given[-1], grid), grid, progress=progress).values


def nameless(positions: Array, charges: torch.Tensor, grid: PeriodicGrid) -> Structure:
    """Atoms without elements in the cell of a grid; ``charges``: what of its charge the encoder was given, by atom."""
    atoms = ase.Atoms(np.zeros(len(positions), dtype=int), positions, cell=grid.cell, pbc=True)
    return Structure(atoms, charge=float(charges.double().sum()))


def check_reached(weight: Array, grid: PeriodicGrid) -> None:
    """Refuse a grid none of whose points has a weight: the count could be put right nowhere."""
    if not weight.sum() > 0.0:
        raise InputError(
            f"model: none of the {grid.shape} grid points is within reach of an atom; use a finer grid than "
            f"{grid.spacing.max():.1f} Å"
        )


def at(model: DensityModel, given: Given, structure: Structure, points: Array) -> tuple[Array, Array]:
    """Σ w s in e/Å³ and Σ w at points (P, 3), without the count."""
    return _sums(model, given, structure, points)[:2]


def _sums(
    model: DensityModel, given: Given, structure: Structure, points: Array, progress: Progress = silent
) -> tuple[Array, Array, Array, Array]:
    """Σ_i w s and Σ_i w at points (P, 3), and the sums of w s and w over the points by atom (N,)."""
    values, filled = np.zeros(len(points)), np.zeros(len(points))
    held, share = np.zeros(len(structure)), np.zeros(len(structure))
    for piece, gates in gates_at(model, given, structure, points):
        point, atom = gates.point.cpu().numpy(), gates.atom.cpu().numpy()
        weight = gates.weight.double().cpu().numpy()
        brought = weight * gates.strength.double().cpu().numpy()
        values[piece] = np.bincount(point, brought, len(gates.filled))
        filled[piece] = gates.filled.double().cpu().numpy()
        held += np.bincount(atom, brought, len(structure))
        share += np.bincount(atom, weight, len(structure))
        progress("density on the grid", piece.stop, len(points))
    return values, filled, held, share


def gates_at(model: DensityModel, given: Given, structure: Structure, points: Array) -> Iterator[tuple[slice, Gates]]:
    """Weights and strengths at points (P, 3) in Å, in pieces that bound memory.

    Raises
    ------
    InputError
        If the readout of the model has no gate.
    """
    readout = model.readout
    if not isinstance(readout, Gated):
        raise InputError('model: its readout has no gate; train one with readout = "gated"')
    per_point = 4.0 / 3.0 * np.pi * readout.cutoff**3 * len(structure) / structure.volume
    step = max(64, int(EDGES_AT_ONCE / max(1.0, per_point)))
    device, dtype = given[0].device, given[0].dtype
    for start in range(0, len(points), step):
        piece = slice(start, min(start + step, len(points)))
        probes = make_gated_probes(points[piece], structure, readout.cutoff, dtype).to(device, dtype)
        with torch.no_grad():
            yield piece, readout.gates(given, probes)


def make_gated_probes(points: Array, structure: Structure, cutoff: float, dtype: torch.dtype) -> Probes:
    """Pairs of points (P, 3) in Å with the atoms within reach, vectors as exact as ``dtype``."""
    point, atom, vectors = probe_pairs(points, structure.positions, structure.cell, cutoff)
    keep = (vectors**2).sum(1) < cutoff**2
    counts = np.bincount(atom[keep], minlength=len(structure)).tolist()
    none = Pairs(torch.zeros(0, dtype=torch.long), torch.zeros(0, 3, dtype=dtype), [0] * len(structure))
    far = Pairs(torch.from_numpy(point[keep]), torch.from_numpy(vectors[keep]).to(dtype), counts)
    return Probes(len(points), none, far)


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
