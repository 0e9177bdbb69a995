"""Coherent interfaces in small cells: two crystals whose in-plane lattices are matched, periodic in every direction."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.assemble import layer, upright
from rhotem.structure.check import check
from rhotem.structure.model import Structure
from rhotem.structure.ordering import ewald_matrix, formal_charge

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Change of bases that keep a lattice and its hand, enough to reach every compact basis from a reduced one.
BASES = np.array([m for m in product((-1, 0, 1), repeat=4) if m[0] * m[3] - m[1] * m[2] == 1]).reshape(-1, 2, 2)
#: Steps of the registry along each vector of the smaller layer: reaches tops, bridges and hollows.
REGISTRIES = 6
#: Exponent of the repulsion between ions (Born, Landé 1918: 6 to 10 from compressibilities).
BORN = 8
#: Distance in Å that leaves only one of the two boundaries to be judged.
APART = 8.0
#: Poisson's ratio of a strained crystal: salts, oxides and metals of batteries have 0.2 to 0.36.
POISSON = 0.25


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two crystals: ``layers`` (`rhotem.structure.assemble.layer`) of the plane (hkl) of its usual cell."""

    crystal: Structure
    plane: tuple[int, ...]
    layers: int


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
        return _principal(self.strain)


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


def coherent_interface(
    lower: Side,
    upper: Side,
    *,
    gap: float | None = None,
    max_strain: float = 0.05,
    share: float = 1.0,
    max_area: float = 60.0,
) -> Structure:
    """Two crystals with matched planes above each other along z, periodic everywhere: two interfaces in the cell.

    Flat and unrelaxed; for pictures of thick crystals seen edge-on there is `rhotem.structure.assemble.interface`. A
    strained crystal keeps its fractional coordinates in the plane, its thickness follows with Poisson's ratio 0.25.
    The crystals are shifted along the plane to where formal charges and the repulsion of atoms across have the lowest
    energy (Born–Landé; elements count as neutral), first at one boundary, then at the other, by the slant of the third
    vector.

    Parameters
    ----------
    lower, upper : Side
    gap : float, optional
        Distance in Å between the outermost atoms of the two, at both interfaces; by default the mean of what it is
        between layers of either crystal, widened until atoms across are no nearer than their covalent radii.
    max_strain : float
        Largest principal strain between the two plane lattices.
    share : float
        Part of the strain that the upper crystal takes; 1: all, as for a soft metal on an oxide.
    max_area : float
        Largest area of the common cell, Å².

    Returns
    -------
    Structure
        ``info["interface"]`` has principal strains of both (``strain_lower``, ``strain_upper``), ``gap`` and ``area``.

    Raises
    ------
    InputError
        If numbers are out of range, no common cell is found, or atoms across are nearer than 60 % of the sum of their
        covalent radii.
    """
    if min(lower.layers, upper.layers) < 1 or not 0 <= share <= 1 or not 0 <= max_strain < 0.2:
        raise InputError("interface: expected layers of 1 and more, a share from 0 to 1, a strain from 0 to 0.2")
    units = [layer(side.crystal, side.plane)[0] for side in (lower, upper)]
    rows = [unit.cell.array[:2, :2] for unit in units]
    match = match_planes(rows[0], rows[1], max_strain, max_area)
    common = match.upper @ rows[1] @ match.rotation @ (np.eye(2) + share * match.strain)
    strains = (_strain(match.lower @ rows[0], common), share * match.strain)
    slabs = [
        _strained(upright(unit, side.layers), transform, common, float(np.trace(strain)))
        for unit, side, transform, strain in zip(
            units, (lower, upper), (match.lower, match.upper), strains, strict=True
        )
    ]
    between = float(np.mean([_clear(atoms) for atoms in slabs])) if gap is None else float(gap)
    smaller = int(abs(np.linalg.det(match.upper)) > abs(np.linalg.det(match.lower)))
    steps = np.linalg.inv((match.lower, match.upper)[smaller].astype(float))
    atoms = _registered(slabs, between, steps)
    wider = _too_near(atoms, len(slabs[0])) if gap is None else 0.0
    if wider:
        between += wider
        atoms = _registered(slabs, between, steps)
    names = [f"{side.crystal.formula}({''.join(map(str, side.plane))})x{side.layers}" for side in (lower, upper)]
    area = abs(float(np.linalg.det(common)))
    principal = [_principal(strain) for strain in strains]
    note = (
        f"{names[0]} below {names[1]}, {area:.2f} Å², gaps of {between:.2f} Å, principal strains in the plane"
        f" {_percent(principal[0])} below and {_percent(principal[1])} above, not relaxed"
    )
    record = {"gap": between, "area": area}
    record |= {f"strain_{name}": e.tolist() for name, e in zip(("lower", "upper"), principal, strict=True)}
    made = Structure(atoms, info={"name": "|".join(names), "notes": [note], "interface": record})
    close = check(made)
    if close:
        raise InputError(f"interface: {close[0]}; widen the gap")
    return made


def _matches(lower: Floats, upper: Floats, n: int, m: int, max_strain: float) -> Iterator[Coincidence]:
    """All pairs of an ``n``-fold supercell of one and an ``m``-fold of the other within the strain."""
    turned = np.concatenate([BASES @ _reduced(p, upper) for p in _supercells(m)])
    for transform in (_reduced(p, lower) for p in _supercells(n)):
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


def _strain(rows: Floats, target: Floats) -> Floats:
    """Symmetric e with ``rows @ R @ (1 + e) == target``."""
    _, s, vt = np.linalg.svd(np.linalg.solve(rows, target))
    return vt.T @ np.diag(s - 1) @ vt


def _strained(atoms: ase.Atoms, transform: Ints, rows: Floats, dilation: float) -> ase.Atoms:
    """The supercell of a slab brought to the plane lattice ``rows``, first vector along x."""
    from ase.build import make_supercell

    full = np.eye(3, dtype=int)
    full[:2, :2] = transform
    made = make_supercell(atoms, full)
    one, two = np.linalg.norm(rows, axis=1)
    cosine = float(rows[0] @ rows[1] / one / two)
    height = atoms.cell[2, 2] * (1 - POISSON / (1 - POISSON) * dilation)  # no stress along the normal
    cell = [[one, 0, 0], [two * cosine, two * np.sqrt(1 - cosine**2), 0], [0, 0, height]]
    made.set_cell(cell, scale_atoms=True)
    return made


def _clear(atoms: ase.Atoms) -> float:
    """Distance along z from the topmost atoms of a slab to the next ones of its crystal."""
    return float(atoms.cell[2, 2] - np.ptp(atoms.positions[:, 2]))


def _stacked(slabs: list[ase.Atoms], gap: float, shift: Floats, slant: Floats, vacuum: float = 0.0) -> ase.Atoms:
    """Both slabs ``gap`` apart, the second also from the next cell but for ``vacuum``.

    ``shift`` moves the upper slab, ``slant`` the next cell's lower one: fractions of the cell in the plane.
    """
    lower, upper = (atoms.copy() for atoms in slabs)
    plane = lower.cell.array[:2]
    height = gap / 2
    for atoms, move in ((lower, np.zeros(2)), (upper, shift)):
        atoms.positions += move @ plane + [0.0, 0.0, height - atoms.positions[:, 2].min()]
        height = float(atoms.positions[:, 2].max()) + gap
    stack = lower + upper
    slant = slant - np.rint(slant - 1e-6)
    stack.set_cell([*plane, slant @ plane + [0.0, 0.0, height - gap / 2 + vacuum]])
    stack.pbc = True
    stack.wrap(eps=1e-9)
    return stack


def _registered(slabs: list[ase.Atoms], gap: float, steps: Floats) -> ase.Atoms:
    """Both slabs with the registry of lowest energy on a mesh, at one boundary after the other."""
    charges = []
    for atoms in slabs:
        own = np.array([formal_charge(s) for s in atoms.symbols])
        charges.append(own - own.mean())
    mesh = [np.array(ij) / REGISTRIES @ steps for ij in product(range(REGISTRIES), repeat=2)]

    def best(stacks: list[ase.Atoms]) -> int:
        energies = [round(_energy(atoms, np.concatenate(charges), len(slabs[0])), 4) for atoms in stacks]
        return int(np.argmin(energies))

    shift = mesh[best([_stacked(slabs, gap, move, np.zeros(2), APART) for move in mesh])]
    slanted = [_stacked(slabs, gap, shift, move) for move in mesh]
    return slanted[best(slanted)]


def _energy(atoms: ase.Atoms, charges: Floats, first: int) -> float:
    """Born–Landé energy in e²/(4πε0 Å): charges by Ewald, repulsion across that holds ions at their covalent radii."""
    i, j, vectors, contact = _across(atoms, first)
    strength = np.maximum(np.abs(charges[i] * charges[j]), 1.0) / (BORN * contact)
    energy = float((strength * (contact / np.linalg.norm(vectors, axis=1)) ** BORN).sum())
    if np.any(charges):
        energy += 0.5 * float(charges @ ewald_matrix(atoms.cell.array, atoms.get_scaled_positions()) @ charges)
    return energy


def _across(atoms: ase.Atoms, first: int) -> tuple[Ints, Ints, Floats, Floats]:
    """Pairs of atoms within 5 Å across the boundaries: indices, vectors, sums of covalent radii."""
    from ase.data import covalent_radii
    from ase.neighborlist import neighbor_list

    i, j, vectors = neighbor_list("ijD", atoms, 5.0)
    pairs = (i < first) & (j >= first)
    i, j = i[pairs], j[pairs]
    radii = covalent_radii[atoms.numbers]
    return i, j, vectors[pairs], radii[i] + radii[j]


def _too_near(atoms: ase.Atoms, first: int) -> float:
    """How much wider the gaps must be for all atoms across to be at least the sum of their covalent radii apart."""
    _, _, vectors, contact = _across(atoms, first)
    clear = np.sqrt(np.maximum(contact**2 - (vectors[:, :2] ** 2).sum(axis=1), 0.0)) - np.abs(vectors[:, 2])
    return max(0.0, float(clear.max(initial=0.0)))


def _principal(strain: Floats) -> Floats:
    return np.asarray(np.linalg.eigvalsh(strain), dtype=np.float64)


def _percent(strain: Floats) -> str:
    return " and ".join(f"{100 * e:+.2f}" for e in strain) + " %"
