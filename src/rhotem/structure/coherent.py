"""Coherent interfaces in small cells: two crystals whose plane lattices are matched, periodic in every direction."""

from dataclasses import dataclass
from itertools import product

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.assemble import layer, upright
from rhotem.structure.check import close_atoms
from rhotem.structure.coincidence import match_planes, principal, strain_between
from rhotem.structure.displacement_tensors import alike, deformed, detached, known_at
from rhotem.structure.model import Structure
from rhotem.structure.moments import ARRAY, carried, own_moments, taken
from rhotem.structure.ordering import formal_charge

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Steps of the registry along each vector of the smaller layer: reaches tops, bridges and hollows.
REGISTRIES = 6
#: Exponent of the repulsion between ions (Born, Landé 1918: 6 to 10 from compressibilities).
BORN = 8
#: Poisson's ratio of a strained crystal: salts, oxides and metals of batteries have 0.2 to 0.36.
POISSON = 0.25


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two crystals: ``layers`` (`rhotem.structure.assemble.layer`) of the plane (hkl) of its usual cell."""

    crystal: Structure
    plane: tuple[int, ...]
    layers: int


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
    if any(ARRAY in unit.arrays for unit in units):
        units = [carried(unit, own_moments(unit)) for unit in units]
    rows = [unit.cell.array[:2, :2] for unit in units]
    match = match_planes(rows[0], rows[1], max_strain, max_area)
    common = match.upper @ rows[1] @ match.rotation @ (np.eye(2) + share * match.strain)
    strains = (strain_between(match.lower @ rows[0], common), share * match.strain)
    slabs = [
        strained_to(upright(unit, side.layers), transform, common, float(np.trace(strain)))
        for unit, side, transform, strain in zip(
            units, (lower, upper), (match.lower, match.upper), strains, strict=True
        )
    ]
    # A shift by a vector of either crystal changes nothing: the cell of the smaller one holds all of them.
    finer = max((match.lower, match.upper), key=lambda transform: abs(np.linalg.det(transform)))
    atoms, between = _stacked(slabs[0], slabs[1], gap, np.linalg.solve(finer, slabs[0].cell.array[:2, :2]))
    names = [f"{side.crystal.formula}({''.join(map(str, side.plane))})x{side.layers}" for side in (lower, upper)]
    area = abs(float(np.linalg.det(common)))
    amounts = [principal(strain) for strain in strains]
    note = (
        f"{names[0]} below {names[1]}, {area:.2f} Å², gaps of {between:.2f} Å, principal strains in the plane"
        f" {_percent(amounts[0])} below and {_percent(amounts[1])} above, not relaxed"
    )
    record = {"gap": between, "area": area}
    record |= {f"strain_{name}": e.tolist() for name, e in zip(("lower", "upper"), amounts, strict=True)}
    info = {"name": "|".join(names), "notes": [note], "interface": record, **known_at(lower.crystal, upper.crystal)}
    made = Structure(atoms, moments=taken(atoms), info=info, displacements=detached(atoms))
    close, _ = close_atoms(made)
    if close:
        raise InputError(f"interface {made.info['name']}: {close}; widen the gap")
    return made


def strained_to(atoms: ase.Atoms, transform: Ints, rows: Floats, dilation: float) -> ase.Atoms:
    """The supercell of a slab brought to the plane lattice ``rows``, first vector along x."""
    from ase.build import make_supercell

    full = np.eye(3, dtype=int)
    full[:2, :2] = transform
    made = make_supercell(atoms, full)
    one, two = np.linalg.norm(rows, axis=1)
    cosine = float(rows[0] @ rows[1] / one / two)
    height = atoms.cell[2, 2] * (1 - POISSON / (1 - POISSON) * dilation)  # no stress along the normal
    cell = [[one, 0, 0], [two * cosine, two * np.sqrt(1 - cosine**2), 0], [0, 0, height]]
    deformed(made, np.linalg.solve(made.cell.array, cell).T)
    made.set_cell(cell, scale_atoms=True)
    return made


def clearance(atoms: ase.Atoms) -> float:
    """Distance along z from the topmost atoms of a slab to the next ones of its crystal."""
    return float(atoms.cell[2, 2] - np.ptp(atoms.positions[:, 2]))


@dataclass(frozen=True, eq=False)
class Boundary:
    """All pairs of atoms of two slabs across one boundary: what depends on the shift of the slab above.

    ``flat`` (P, 2): in-plane vectors in Å from the atom below to the one above, unshifted; ``height`` (P,): their
    distances along z; ``charges`` (P,): products of formal charges, those of elements zero; ``contact`` (P,): sums of
    covalent radii; ``plane`` (2, 2): the common plane lattice.
    """

    flat: Floats
    height: Floats
    charges: Floats
    contact: Floats
    plane: Floats

    @classmethod
    def of(cls, below: ase.Atoms, above: ase.Atoms, gap: float) -> "Boundary":
        """Pairs of two slabs whose outermost atoms are ``gap`` apart."""
        from ase.data import covalent_radii

        depth = below.positions[:, 2].max() - below.positions[:, 2]
        rise = above.positions[:, 2] - above.positions[:, 2].min()
        charges = []
        for atoms in (below, above):
            own = np.array([formal_charge(symbol) for symbol in atoms.symbols])
            charges.append(own - own.mean())
        radii = [covalent_radii[atoms.numbers] for atoms in (below, above)]
        return cls(
            (above.positions[None, :, :2] - below.positions[:, None, :2]).reshape(-1, 2),
            np.add.outer(depth, rise).ravel() + gap,
            np.outer(*charges).ravel(),
            np.add.outer(*radii).ravel(),
            below.cell.array[:2, :2],
        )

    def energy(self, shift: Floats) -> float:
        """Born–Landé energy per cell in e²/(4πε0 Å), but for what no shift changes.

        Charges as plane lattices of them, (2π/A) Σ_G q q' cos(G·ρ) exp(−G z)/G (D. E. Parry, Surf. Sci. 49, 433
        (1975), planes apart); repulsion that holds an isolated pair of ions at the sum of their covalent radii.
        """
        flat = self.flat + shift
        nearest = self.height.min()
        reciprocal: Floats = 2 * np.pi * np.linalg.inv(self.plane).T.astype(np.float64)
        g = plane_vectors(reciprocal, 12.0 / nearest)
        g = g[np.any(np.abs(g) > 1e-9, axis=1)]
        length = np.linalg.norm(g, axis=1)
        waves = np.cos(flat @ g.T) * np.exp(-np.outer(self.height, length)) / length
        area = abs(float(np.linalg.det(self.plane)))
        strength = np.maximum(np.abs(self.charges), 1.0) / (BORN * self.contact)
        repulsion = strength * ((self.contact / self._distances(flat)) ** BORN).sum(axis=0)
        return float(2 * np.pi / area * (self.charges @ waves).sum() + repulsion.sum())

    def missing(self, shift: Floats) -> float:
        """How much wider the gap must be for all atoms across to be at least the sum of their covalent radii apart."""
        flat = self.flat + shift
        images = plane_vectors(self.plane, plane_diameter(self.plane) + self.contact.max())
        square = ((flat + images[:, None]) ** 2).sum(axis=2)
        return float((np.sqrt(np.maximum(self.contact**2 - square, 0.0)) - self.height).max())

    def best(self, steps: Floats, wish: Floats) -> Floats:
        """The shift (Å) of lowest energy on a mesh of the cell ``steps``, of equal ones that nearest to ``wish``."""
        mesh = [np.array(ij) / REGISTRIES @ steps for ij in product(range(REGISTRIES), repeat=2)]
        energies = np.array([self.energy(shift) for shift in mesh])

        def away(index: int) -> float:
            fraction = np.linalg.solve(steps.T, mesh[index] - wish)
            return float(np.linalg.norm((fraction - np.rint(fraction)) @ steps))

        equal = np.flatnonzero(energies < energies.min() + 1e-4).tolist()
        return mesh[min(equal, key=lambda i: (round(away(i), 4), i))]

    def _distances(self, flat: Floats) -> Floats:
        """(images, P) distances in Å of every pair, images in the plane out to 6 Å and more."""
        images = plane_vectors(self.plane, plane_diameter(self.plane) + 6.0)
        return np.sqrt(((flat + images[:, None]) ** 2).sum(axis=2) + self.height**2)


def _stacked(lower: ase.Atoms, upper: ase.Atoms, gap: float | None, steps: Floats) -> tuple[ase.Atoms, float]:
    """Both slabs with the registry of lowest energy at either boundary, and the gap; ``steps``: see `Boundary.best`."""
    width = float(np.mean([clearance(atoms) for atoms in (lower, upper)])) if gap is None else float(gap)
    for attempt in range(2):  # the registry may change with the width
        bounds = Boundary.of(lower, upper, width), Boundary.of(upper, lower, width)
        first = bounds[0].best(steps, np.zeros(2))
        shifts = [first, bounds[1].best(steps, -first)]  # upright where nothing speaks against it
        missing = max(bound.missing(shift) for bound, shift in zip(bounds, shifts, strict=True))
        if gap is None and missing > 0 and attempt == 0:
            width += missing
    atoms = lower.copy()
    atoms.positions[:, 2] += width / 2 - lower.positions[:, 2].min()
    above = upper.copy()
    above.positions[:, :2] += shifts[0]
    above.positions[:, 2] += atoms.positions[:, 2].max() + width - upper.positions[:, 2].min()
    height = float(above.positions[:, 2].max()) + width / 2
    alike(atoms, above)
    plane = atoms.cell.array[:2]
    slant = (shifts[0] + shifts[1]) @ np.linalg.inv(plane[:, :2])
    slant -= np.rint(slant - 1e-6)
    atoms += above
    atoms.set_cell([*plane, slant @ plane + [0.0, 0.0, height]])
    atoms.pbc = True
    atoms.wrap(eps=1e-9)
    return atoms, width


def plane_vectors(rows: Floats, radius: float) -> Floats:
    """Vectors of a plane lattice no longer than ``radius``."""
    most = [int(radius * np.linalg.norm(column)) + 1 for column in np.linalg.inv(rows).T]
    mesh = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), axis=-1).reshape(-1, 2)
    vectors = mesh @ rows
    return vectors[np.linalg.norm(vectors, axis=1) <= radius + 1e-9]


def plane_diameter(rows: Floats) -> float:
    """Longest distance in a cell: no vector between two atoms needs an image farther away than this and its reach."""
    return float(max(np.linalg.norm(rows[0] + rows[1]), np.linalg.norm(rows[0] - rows[1]))) * 2


def _percent(strain: Floats) -> str:
    return " and ".join(f"{100 * e:+.2f}" for e in strain) + " %"
