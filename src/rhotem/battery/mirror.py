"""Mirror twins: a crystal and its image in a lattice plane; both have all periods in the plane in common."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import ase
import numpy as np
import numpy.typing as npt

from rhotem.battery.contacts import shortest_pairs
from rhotem.core import InputError
from rhotem.structure.assemble import layer
from rhotem.structure.indices import primitive_cell
from rhotem.structure.model import Structure
from rhotem.structure.ordering import ewald_matrix, formal_charge

Floats = npt.NDArray[np.float64]

#: Å: atoms this near to the mirror lie in it; atoms nearer than one of these to each other can be one plane.
IN_PLANE, ONE_PLANE = 0.02, (0.05, 0.4)
#: Least share of the bulk's distances that atoms across a boundary may have, and Å from it that are looked at.
ACROSS, DEPTH = 0.8, 5.0
#: Atoms of a trial cell up to which places of the mirror are compared; the largest Σ that is looked for.
TRIAL, MOST_SIGMA = 180, 50
#: Neighbours nearer than this times the nearest are bonded.
BONDED = 1.2
#: Steps of the shift along each in-plane vector; trials whose energy is calculated.
SHIFTS, COMPARED = 6, 8


@dataclass(frozen=True, eq=False)
class Twinned:
    """A cell with two twin planes, at z = 0 and at half its height.

    ``grain`` (N,): 0 below, 1 above; ``in_plane`` (N,): atoms that both grains share; ``sigma``: one in so many lattice
    points of the primitive lattice is common to both, None without a common lattice; ``shift`` (2,) and ``expansion``
    (Å): how the upper grain stands off from the exact mirror image, at both boundaries.
    """

    atoms: ase.Atoms
    grain: npt.NDArray[np.int64]
    in_plane: npt.NDArray[np.bool_]
    sigma: int | None
    spacing: float
    layers: int
    shift: Floats
    expansion: float


@dataclass(frozen=True, eq=False)
class Mirror:
    """A place of the mirror in a layer: height (Å), and how thick the plane of atoms in it is (0: between planes)."""

    height: float
    thick: float
    shift: tuple[float, float] = (0.0, 0.0)
    expansion: float = 0.0


def twinned(crystal: Structure, plane: tuple[int, ...], thickness: float) -> Twinned:
    """A crystal below, its mirror image above, ``thickness`` Å or more each, periodic: two twin planes.

    The mirror lies in a plane of atoms (buckled ones are flattened) or between two, the image may be shifted along it:
    where atoms across need the least extra room to be no nearer than 80 % of what the crystal has, of such places that
    with the lowest electrostatic energy of formal charges. Every atomic plane is either in the mirror or on both
    sides, so that the composition is that of the crystal.

    Raises
    ------
    InputError
        If the plane is a mirror of the crystal, so that nothing would be twinned.
    """
    unit, _ = layer(crystal, plane)
    spacing = float(unit.cell.array[2, 2])
    few = max(1, min(int(np.ceil(8.0 / spacing)), TRIAL // (2 * len(unit))))
    limits = {pair: ACROSS * d for pair, d in shortest_pairs([crystal]).items()}
    places = _places(unit, limits, max(1, int(np.ceil(DEPTH / spacing))))
    energies = [_energy(_mirrored(unit, place, few)[0]) for place in places]
    best = places[int(np.argmin(np.round(energies, 4)))]
    sigma = _sigma(unit)
    layers = max(1, int(np.ceil(thickness / spacing - 1e-6)))
    atoms, grain = _mirrored(unit, best, layers)
    if sigma == 1 and len(primitive_cell(Structure(atoms))[0]) <= len(primitive_cell(crystal)[0]):
        text = ",".join(map(str, plane))
        raise InputError(f"twin: ({text}) is a mirror plane of {crystal.formula}; its image is the crystal itself")
    half = float(atoms.cell[2, 2]) / 2
    height = np.abs(atoms.positions[:, 2] - half * np.rint(atoms.positions[:, 2] / half))
    in_plane = height < IN_PLANE + best.expansion / 2
    return Twinned(atoms, grain, in_plane, sigma, spacing, layers, np.array(best.shift), best.expansion)


def _places(unit: ase.Atoms, limits: dict[tuple[int, int], float], layers: int) -> list[Mirror]:
    """The places of the mirror that need the least room, at most `COMPARED`."""
    rows = unit.cell.array
    found = []
    for mirror in _heights(unit):
        atoms, grain = _mirrored(unit, mirror, layers)
        for i, j in product(range(SHIFTS), repeat=2):
            shift = (i * rows[0, :2] + j * rows[1, :2]) / SHIFTS
            found.append(Mirror(mirror.height, mirror.thick, tuple(shift), _missing(atoms, grain, shift, limits)))
    least = min(place.expansion for place in found)
    return [place for place in found if place.expansion < least + 0.05][:COMPARED]


def _missing(
    atoms: ase.Atoms, grain: npt.NDArray[np.int64], shift: Floats, limits: dict[tuple[int, int], float]
) -> float:
    """Room in Å that both boundaries lack when the upper grain is shifted; 0 where nothing is too near."""
    from rhotem.structure.coherent import plane_vectors

    half, plane = float(atoms.cell[2, 2]) / 2, atoms.cell.array[:2, :2]
    images = plane_vectors(plane, 2 * float(np.linalg.norm(plane, axis=1).sum()))
    table = np.zeros((atoms.numbers.max() + 1,) * 2)
    for (one, two), limit in limits.items():
        table[one, two] = table[two, one] = limit
    worst = 0.0
    for lower, side in ((0, half), (1, 2 * half)):
        z = atoms.positions[:, 2]
        below = np.flatnonzero((grain == lower) & (z > side - DEPTH))
        above = np.flatnonzero((grain != lower) & ((z - side) % (2 * half) < DEPTH))
        rise = np.subtract.outer((z[above] - side) % (2 * half), z[below] - side)
        flat = atoms.positions[above, None, :2] - atoms.positions[None, below, :2] + (shift if lower == 0 else -shift)
        least = table[np.ix_(atoms.numbers[above], atoms.numbers[below])]
        square = np.asarray(((flat[None] + images[:, None, None]) ** 2).sum(axis=3))
        lack = np.sqrt(np.maximum(least**2 - square, 0.0)) - rise
        worst = max(worst, float(lack.max(initial=0.0)))
    return worst if worst > 1e-6 else 0.0


def _heights(unit: ase.Atoms) -> list[Mirror]:
    """Where a mirror may lie in a layer: in its planes of atoms, sharp or buckled, and in the middle between them."""
    spacing = float(unit.cell.array[2, 2])
    z = np.sort(unit.positions[:, 2] % spacing)
    found: list[Mirror] = []
    for near in ONE_PLANE:
        groups = [[float(z[0])]]
        for height in z[1:].tolist():
            if height - groups[-1][-1] > near:
                groups.append([])
            groups[-1].append(height)
        if len(groups) > 1 and groups[0][0] + spacing - groups[-1][-1] < near:
            groups[0] = [height - spacing for height in groups.pop()] + groups[0]
        middles = [(group[0] + group[-1]) / 2 for group in groups]
        found += [Mirror(m, g[-1] - g[0]) for m, g in zip(middles, groups, strict=True) if g[-1] - g[0] < near]
        edges = [
            (a[-1] + b) / 2 for a, b in zip(groups, [*(g[0] for g in groups[1:]), groups[0][0] + spacing], strict=True)
        ]
        found += [Mirror(height, 0.0) for height in edges]
    return list({(round(m.height % spacing, 4), round(m.thick, 4)): m for m in found}.values())


def _mirrored(unit: ase.Atoms, mirror: Mirror, layers: int) -> tuple[ase.Atoms, npt.NDArray[np.int64]]:
    """``layers`` of a crystal above the mirror, and their image in the plane at the top."""
    rows = unit.cell.array
    half = mirror.thick / 2 + IN_PLANE
    fractional = unit.get_scaled_positions(wrap=False)
    fractional[:, 2] -= mirror.height / rows[2, 2]
    fractional -= np.floor(fractional[:, 2:] + half / rows[2, 2]) * [0.0, 0.0, 1.0]
    positions = fractional @ rows
    flat = np.abs(positions[:, 2]) < half
    positions[flat, 2] = 0.0
    below = np.concatenate([positions + n * rows[2] for n in range(layers)])
    total = layers * rows[2]
    source = below.copy()
    source[: len(positions)][flat] += total  # of the two mirrors each grain holds the atoms in one
    above = source * [1.0, 1.0, -1.0] + [*mirror.shift, 2.0 * total[2] + mirror.expansion]
    numbers = np.tile(unit.numbers, layers)
    cell = [rows[0], rows[1], [0.0, 0.0, 2.0 * (total[2] + mirror.expansion)]]
    atoms = ase.Atoms(np.tile(numbers, 2), np.concatenate([below, above]), cell=cell, pbc=True)
    return atoms, np.repeat([0, 1], len(numbers))


def _energy(atoms: ase.Atoms) -> float:
    """Electrostatic energy of formal charges, e²/(4πε0 Å); of an element, bonds lost."""
    charges = np.array([formal_charge(symbol) for symbol in atoms.symbols])
    charges -= charges.mean()
    if not np.ptp(charges):
        from ase.neighborlist import neighbor_list

        i, d = neighbor_list("id", atoms, 4.0)
        nearest = np.full(len(atoms), 4.0)
        np.minimum.at(nearest, i, d)
        return -float((d < BONDED * np.median(nearest)).sum())
    return float(0.5 * charges @ ewald_matrix(atoms.cell.array, atoms.get_scaled_positions()) @ charges)


def _sigma(unit: ase.Atoms) -> int | None:
    """Index of the lattice that a crystal and its mirror image share."""
    rows = primitive_cell(Structure(unit))[0].cell
    turn = rows @ np.diag([1.0, 1.0, -1.0]) @ np.linalg.inv(rows)
    exact = [[Fraction(float(x)).limit_denominator(MOST_SIGMA) for x in row] for row in turn]
    if np.abs(np.array(exact, dtype=float) - turn).max() > 1e-6:
        return None
    group: set[tuple[Fraction, ...]] = {(Fraction(0),) * 3}
    for row in exact:
        step = tuple(x % 1 for x in row)
        multiples = [tuple(x * n % 1 for x in step) for n in range(MOST_SIGMA + 1)]
        group = {tuple((a + b) % 1 for a, b in zip(g, m, strict=True)) for g, m in product(group, set(multiples))}
        if len(group) > MOST_SIGMA:
            return None
    return len(group)
