"""Cells that exploration starts from: crystals with and without vacancies, and ions halfway through a hop."""

from dataclasses import dataclass

import ase
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from rhotem.core import InputError
from rhotem.structure.model import Structure

#: Å between lattice planes of the smallest cell: enough for an atom's shells, few enough atoms for many frames.
HEIGHT = 4.8
#: An ion hops to a vacancy at most so many times farther than the nearest one.
NEAR = 1.3
#: Elements whose ions move, the first that the material has.
IONS = ("Li", "Na", "K", "Mg", "Zn", "Ca", "Al")
#: What a frame of an ion on its way counts for in the training: of its atoms, one is what it is made for.
WEIGHT = 3.0
#: u of an ion that is held where it is while others move around it.
HELD = 1e6
#: Places tried for an ion that is put in.
TRIED = 2000
#: An ion that strays is at least so many times its shortest distance in the crystal away from every atom.
CLOSEST = 0.7

Generator = np.random.Generator


@dataclass(frozen=True, eq=False)
class Start:
    """A cell to explore from.

    Parameters
    ----------
    atoms : ase.Atoms
    held : int or None
        Atom that stays where it is: an ion on its way.
    weight : float
        What its frames count for in the training.
    """

    atoms: ase.Atoms
    held: int | None = None
    weight: float = 1.0


def cell_of(structure: Structure, most: int) -> ase.Atoms:
    """The structure, repeated until its lattice planes are `HEIGHT` apart.

    Raises
    ------
    InputError
        If it has more than ``most`` atoms.
    """
    counts = np.ceil(HEIGHT / structure.heights - 1e-6).astype(int)
    atoms = structure.atoms.repeat(tuple(int(n) for n in counts))
    if len(atoms) > most:
        raise InputError(
            f"distil: {len(atoms)} atoms to learn from, at most {most}; give the crystal, not a large specimen"
        )
    atoms.pbc, atoms.calc = True, None
    return atoms


def larger(crystal: ase.Atoms, least: int) -> ase.Atoms:
    """The crystal, repeated along what is thinnest until it has at least so many atoms."""
    heights = Structure(crystal).heights
    counts = np.ones(3, dtype=int)
    while counts.prod() * len(crystal) < least:
        counts[np.argmin(counts * heights)] += 1
    return crystal.repeat(tuple(int(n) for n in counts))


def moving(atoms: ase.Atoms, element: str) -> str:
    """The element whose ions move: the one asked for, else the first of `IONS`; "" if there is none.

    Raises
    ------
    InputError
        If the one asked for is missing.
    """
    there = set(atoms.get_chemical_symbols())
    if element and element not in there:
        raise InputError(f"distil: --element {element}: not in {atoms.get_chemical_formula()}")
    return element or next((e for e in IONS if e in there), "")


def strained(atoms: ase.Atoms, size: float, rng: Generator) -> ase.Atoms:
    """With a random strain of the cell, each component of standard deviation ``size``."""
    strain = rng.normal(0.0, size, (3, 3))
    result = atoms.copy()
    result.set_cell(atoms.cell.array @ (np.eye(3) + 0.5 * (strain + strain.T)), scale_atoms=True)
    return result


def rattled(atoms: ase.Atoms, size: float, rng: Generator) -> ase.Atoms:
    """With every coordinate moved by a normal deviate of ``size`` Å."""
    result = atoms.copy()
    result.positions += rng.normal(0.0, size, result.positions.shape)
    return result


def with_vacancies(atoms: ase.Atoms, element: str, count: int, rng: Generator) -> ase.Atoms:
    """Without ``count`` ions, or half of all where there are fewer; of two, the second is next to the first."""
    sites = np.flatnonzero(atoms.symbols == element)
    count = min(count, len(sites) // 2)
    result = atoms.copy()
    if count:
        first = int(rng.choice(sites))
        del result[_nearest(atoms, first, sites)[:count]]
    return result


def with_extra(atoms: ase.Atoms, element: str, count: int, rng: Generator) -> ase.Atoms:
    """With ``count`` ions more, each in the roomiest of `TRIED` places: the farthest from all atoms."""
    result = atoms.copy()
    for _ in range(count):
        places, room = _places(result, rng)
        result.append(ase.Atom(element, places[np.argmax(room)]))
    return result


def stray(atoms: ase.Atoms, element: str, rng: Generator) -> Start | None:
    """An ion anywhere between the others, `CLOSEST` or farther; None where there is no room.

    Runs take ions to places that no crystal has. A potential that was never told how others push them away there may
    pull them in.
    """
    sites = np.flatnonzero(atoms.symbols == element)
    mover = int(rng.choice(sites))
    others = np.delete(np.arange(len(atoms)), mover)
    least = CLOSEST * atoms.get_distances(mover, others, mic=True).min()
    places, room = _places(atoms[others], rng)
    if not (room >= least).any():
        return None
    result = atoms.copy()
    result.positions[mover] = rng.choice(places[room >= least])
    return Start(result, mover)


def _places(atoms: ase.Atoms, rng: Generator) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """`TRIED` places anywhere in the cell, and how far the nearest atom is from each."""
    places = rng.random((TRIED, 3)) @ atoms.cell.array
    shifts = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3), axis=-1).reshape(-1, 3) @ atoms.cell.array
    around = (atoms.get_positions(wrap=True)[:, None] + shifts).reshape(-1, 3)
    return places, cKDTree(around).query(places)[0]


def hop(atoms: ase.Atoms, element: str, fraction: float, rng: Generator) -> Start | None:
    """An ion that is ``fraction`` of the way to a vacancy beside it; None where no two ions are neighbours."""
    sites = np.flatnonzero(atoms.symbols == element)
    if len(sites) < 2:
        return None
    empty = int(rng.choice(sites))
    others = _nearest(atoms, empty, sites)[1:]
    distances = atoms.get_distances(empty, others, mic=True)
    mover = int(rng.choice(others[distances <= NEAR * distances[0]]))
    result = atoms.copy()
    result.positions[mover] += fraction * atoms.get_distance(mover, empty, mic=True, vector=True)
    del result[empty]
    return Start(result, mover - (empty < mover), WEIGHT)


def _nearest(atoms: ase.Atoms, first: int, sites: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Sites by their distance from the first of them, itself included."""
    return sites[np.argsort(atoms.get_distances(first, sites, mic=True), kind="stable")]
