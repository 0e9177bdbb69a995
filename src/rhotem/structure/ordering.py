"""Which atom sits where on partly occupied sites: the arrangement of lowest electrostatic energy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

Floats = npt.NDArray[np.float64]

#: Formal charges used to rank arrangements; anything else counts by group through `formal_charge`.
CHARGES: dict[str, float] = {
    **dict.fromkeys(["H", "Li", "Na", "K", "Rb", "Cs", "Ag", "Cu"], 1.0),
    **dict.fromkeys(["Be", "Mg", "Ca", "Sr", "Ba", "Zn", "Cd", "Ni", "Pb"], 2.0),
    **dict.fromkeys(["Al", "Ga", "In", "Sc", "Y", "La", "Bi", "Cr", "Fe", "Co", "V", "B", "Nd", "Gd"], 3.0),
    **dict.fromkeys(["C", "Si", "Ge", "Sn", "Ti", "Zr", "Hf", "Mn", "Ce", "Ru", "Ir", "Te"], 4.0),
    **dict.fromkeys(["P", "As", "Sb", "Nb", "Ta"], 5.0),
    **dict.fromkeys(["S", "Se", "O"], -2.0),
    **dict.fromkeys(["F", "Cl", "Br", "I"], -1.0),
    **dict.fromkeys(["Mo", "W"], 6.0),
    "N": -3.0,
}
VACANCY = ""
#: Starts of the descent; all deterministic.
STARTS = 12


@dataclass(frozen=True, eq=False)
class Sites:
    """A crystal with partly occupied sites.

    Parameters
    ----------
    cell : (3, 3) array
        Å, rows.
    positions : (N, 3) array
        Fractional.
    occupants : sequence of N mappings
        Element symbol -> occupancy; what is missing to 1 is vacancy.
    axes : (3, 3) int array, optional
        Directions at right angles (in units of the cell) along which supercells should repeat soon: images of the
        ordered crystal stay small. The cell's own vectors by default.
    """

    cell: Floats
    positions: Floats
    occupants: Sequence[Mapping[str, float]]
    axes: npt.NDArray[np.int64] | None = None


def order(
    sites: Sites, *, tolerance: float = 0.02, max_sites: int = 400, repeats: tuple[int, int, int] | None = None
) -> tuple[ase.Atoms, str]:
    """An ordered crystal in the smallest, most compact supercell that matches the composition, or in given repeats.

    The arrangement minimises the electrostatic energy of formal charges (Ewald), found by exchanging occupants of
    like sites until no exchange lowers it, from several fixed starts: deterministic, and even where charges are equal.

    Parameters
    ----------
    sites : Sites
    tolerance : float
        Largest deviation of any occupancy of the result from the one asked for.
    max_sites : int
        Largest supercell tried.
    repeats : tuple of three int, optional
        Along the cell's own vectors: the supercell keeps their directions.

    Returns
    -------
    ase.Atoms, str
        The crystal, and a sentence saying what was done.

    Raises
    ------
    InputError
        If an occupancy is not in 0–1 or no supercell matches within the tolerance.
    """
    groups = _groups(sites)
    sizes = range(1, max(1, max_sites // len(sites.positions)) + 1)
    for size in sizes if repeats is None else [int(np.prod(repeats))]:
        counts = [_whole(kinds, size * len(members), tolerance) for kinds, members in groups]
        if all(count is not None for count in counts):
            break
    else:
        asked = (
            f"supercell of up to {max_sites} sites" if repeats is None else f"whole number of atoms in {repeats} cells"
        )
        raise InputError(
            f"partial occupancies: no {asked} matches them within {tolerance}; "
            + ("order the structure by hand" if repeats is None else "take other repeats")
        )
    transform = np.diag(repeats) if repeats is not None else compact_supercell(sites.cell, size, sites.axes)
    from rhotem.structure.lattice import coset_representatives

    shifts = coset_representatives(transform)
    fractional = (sites.positions[None] + shifts[:, None]).reshape(-1, 3) @ np.linalg.inv(transform)
    cell = transform @ sites.cell
    members = [np.concatenate([m + k * len(sites.positions) for k in range(size)]) for _, m in groups]
    species = [[kind for kind, n in count.items() for _ in range(n)] for count in counts if count is not None]
    labels = arrange(cell, fractional, members, species)
    keep = [i for i, kind in enumerate(labels) if kind != VACANCY]
    atoms = ase.Atoms([labels[i] for i in keep], cell=cell, scaled_positions=fractional[keep] % 1.0, pbc=True)
    return atoms, f"ordered in {size} times the cell of the file by lowest electrostatic energy of formal charges"


def sites_of(atoms: ase.Atoms, sites: Sites) -> npt.NDArray[np.int64]:
    """Index of the site that each atom of an ordered crystal (`order`) sits on."""
    fractional = np.linalg.solve(sites.cell.T, atoms.positions.T).T
    index = np.empty(len(atoms), dtype=np.int64)
    for i, place in enumerate(fractional):
        apart = place - sites.positions
        index[i] = np.linalg.norm((apart - np.rint(apart)) @ sites.cell, axis=1).argmin()
    return index


def arrange(
    cell: Floats, fractional: Floats, members: Sequence[npt.NDArray], species: Sequence[Sequence[str]]
) -> list[str]:
    """Distribute species over groups of like sites with the lowest electrostatic energy.

    Parameters
    ----------
    cell, fractional : (3, 3) and (N, 3) arrays
    members : indices of the sites of each group
    species : for each group as many symbols ("" for vacancy) as it has sites

    Returns
    -------
    list of N str
    """
    matrix = ewald_matrix(cell, fractional)
    charges = _distinct_charges(species)
    best_energy, best = np.inf, [""] * len(fractional)
    rng = np.random.default_rng(0)
    for start in range(STARTS):
        labels = [""] * len(fractional)
        for group, kinds in zip(members, species, strict=True):
            shuffled = list(kinds) if start == 0 else [kinds[i] for i in rng.permutation(len(kinds))]
            for site, kind in zip(group, shuffled, strict=True):
                labels[site] = kind
        energy, labels = _descend(matrix, labels, charges, members)
        if energy < best_energy - 1e-7:
            best_energy, best = energy, labels
        if all(len(set(kinds)) == 1 for kinds in species):
            break
    return best


def formal_charge(symbol: str) -> float:
    """Formal charge used for ranking; 0 for a vacancy, 3 for a metal without an entry."""
    return 0.0 if symbol == VACANCY else CHARGES.get(symbol, 3.0)


def _distinct_charges(species: Sequence[Sequence[str]]) -> dict[str, float]:
    """Formal charges, moved by 0.05 where two kinds that share sites would be equal: like species then repel."""
    charges: dict[str, float] = {}
    for kinds in species:
        for kind in sorted(set(kinds)):
            value = formal_charge(kind)
            taken = [charges[other] for other in set(kinds) if other in charges and other != kind]
            while kind not in charges and any(abs(value - t) < 0.01 for t in taken):
                value += 0.05
            charges.setdefault(kind, value)
    return charges


def ewald_matrix(cell: Floats, fractional: Floats) -> Floats:
    """M with ½ qᵀMq the electrostatic energy per cell of point charges q on a neutralising background, in e²/(4πε0 Å).

    P. P. Ewald, Ann. Phys. 369, 253 (1921); real- and reciprocal-space sums converged to 1e-8.
    """
    from scipy.special import erfc

    volume = abs(np.linalg.det(cell))
    eta = np.sqrt(np.pi) / volume ** (1 / 3)  # balances both sums
    cut = np.sqrt(-np.log(1e-9))
    reciprocal = np.asarray(2 * np.pi * np.linalg.inv(cell).T, dtype=np.float64)
    h = _within(reciprocal, 2 * eta * cut)
    g = h[np.any(h != 0, axis=1)] @ reciprocal
    g2 = (g**2).sum(axis=1)
    weight = 4 * np.pi / volume * np.exp(-g2 / (4 * eta**2)) / g2
    phase = (fractional @ cell) @ g.T
    matrix = (np.cos(phase) * weight) @ np.cos(phase).T + (np.sin(phase) * weight) @ np.sin(phase).T
    difference = fractional[:, None] - fractional[None]
    difference = (difference - np.rint(difference)) @ cell
    reach = cut / eta + 0.5 * np.linalg.norm(cell, axis=1).sum()
    for shift in _within(cell, reach) @ cell:
        r = np.linalg.norm(difference + shift, axis=2)
        near = (r > 1e-8) & (r < cut / eta)
        matrix[near] += erfc(eta * r[near]) / r[near]
    matrix -= np.pi / (volume * eta**2)
    matrix[np.diag_indices(len(matrix))] -= 2 * eta / np.sqrt(np.pi)
    return matrix


def compact_supercell(cell: Floats, size: int, axes: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
    """A supercell of ``size`` cells: among the compact ones the one that repeats soonest along ``axes``.

    Compact means a longest side (once reduced) at most 1.5 times the shortest possible.
    """
    from ase.geometry import minkowski_reduce

    lines = np.eye(3, dtype=np.int64) if axes is None else axes
    found = []
    for a, b, c in _factors(size):
        for i, j, k in product(range(b), range(c), range(c)):
            rows = np.array([[a, i, j], [0, b, k], [0, 0, c]])
            reduced, change = minkowski_reduce(rows @ cell)
            sides = np.sort(np.linalg.norm(reduced, axis=1))
            shares = np.round(lines @ np.linalg.inv(rows) * size).astype(np.int64)
            periods = size // np.gcd(np.gcd.reduce(shares, axis=1), size)
            found.append((int(periods.prod()), *np.round(sides[::-1], 4).tolist(), np.asarray(change) @ rows))
    longest = 1.5 * min(entry[1] for entry in found)
    best = min((entry for entry in found if entry[1] <= longest + 1e-3), key=lambda entry: entry[:4])[4]
    best = best.astype(np.int64)
    return -best if np.linalg.det(best) < 0 else best


def _factors(size: int) -> list[tuple[int, int, int]]:
    divisors = [d for d in range(1, size + 1) if size % d == 0]
    return [(a, b, size // a // b) for a in divisors for b in divisors if size % (a * b) == 0]


def _within(cell: Floats, radius: float) -> npt.NDArray[np.int64]:
    """Integer combinations of the rows that can be shorter than ``radius``."""
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    ranges = [np.arange(-int(radius / d) - 1, int(radius / d) + 2) for d in heights]
    grid = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[np.linalg.norm(grid @ cell, axis=1) <= radius]


def _groups(sites: Sites) -> list[tuple[dict[str, float], npt.NDArray]]:
    """Sites with the same occupants, in order of appearance."""
    found: dict[tuple, list[int]] = {}
    for index, kinds in enumerate(sites.occupants):
        total = sum(kinds.values())
        if min(kinds.values(), default=0.0) < 0 or total > 1.001:
            raise InputError(f"site {index + 1}: occupancies {dict(kinds)} add up to {total:.3f}, expected 0 to 1")
        found.setdefault(tuple(sorted((k, round(v, 4)) for k, v in kinds.items())), []).append(index)
    return [(dict(key), np.array(members)) for key, members in found.items()]


def _whole(kinds: Mapping[str, float], number: int, tolerance: float) -> dict[str, int] | None:
    """Whole numbers of each kind (and vacancies) on ``number`` sites, or None beyond the tolerance."""
    vacancy = 1.0 - sum(kinds.values())
    wanted = {**kinds, **({VACANCY: vacancy} if vacancy > 1e-3 else {})}
    counts = {kind: int(np.floor(share * number + 1e-9)) for kind, share in wanted.items()}
    short = number - sum(counts.values())
    rests = sorted(wanted, key=lambda kind: (counts[kind] - wanted[kind] * number, kind))
    for kind in rests[:short]:
        counts[kind] += 1
    if any(abs(counts[kind] / number - share) > tolerance for kind, share in wanted.items()):
        return None
    return counts if sum(counts.values()) == number else None


def _descend(
    matrix: Floats, labels: list[str], charge_of: Mapping[str, float], members: Sequence[npt.NDArray]
) -> tuple[float, list[str]]:
    """Exchange occupants within groups, always the pair that gains most, until none gains."""
    labels = list(labels)
    charges = np.array([charge_of.get(kind, 0.0) for kind in labels])
    pairs = np.array([(i, j) for group in members for n, i in enumerate(group) for j in group[n + 1 :]]).reshape(-1, 2)
    i, j = pairs.T.astype(int)
    for _ in range(20 * len(labels) if len(pairs) else 0):
        field = matrix @ charges
        step = charges[j] - charges[i]
        gain = step * (field[i] - field[j]) + 0.5 * step**2 * (matrix[i, i] + matrix[j, j] - 2 * matrix[i, j])
        best = int(np.argmin(gain))
        if gain[best] > -1e-9:
            break
        a, b = (int(x) for x in pairs[best])
        labels[a], labels[b] = labels[b], labels[a]
        charges[[a, b]] = charges[[b, a]]
    return float(0.5 * charges @ matrix @ charges), labels
