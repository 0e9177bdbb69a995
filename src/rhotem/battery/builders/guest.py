"""Molecules in the pores of a crystal: guests of zeolites and frameworks."""

import ase
import numpy as np
import numpy.typing as npt

from rhotem.battery.builders.adsorb import BOX, TOUCH, molecules, radii
from rhotem.battery.builders.table import Generator
from rhotem.battery.specimen import HOST, Specimen
from rhotem.core import InputError
from rhotem.structure.model import Structure
from rhotem.structure.moments import beside

Floats = npt.NDArray[np.float64]

#: Å between the points among which the widest places are looked for; how many of them are tried, with how many turns.
STEP, PLACES, TURNS = 0.5, 12, 60
#: Å: a place is looked at only if it is farther than that from one that is kept already.
APART = 1.0


def guested(host: Structure, molecule: ase.Atoms, count: int, rng: Generator) -> Specimen:
    """Molecules in the widest places of a crystal, each turned so that it has most room.

    Room is the least distance of an atom from the others, the molecule's own copies in other cells among them, less
    0.8 of both van der Waals radii; the turn is the best of many random ones, nothing is relaxed.

    Parameters
    ----------
    host : Structure
    molecule : ase.Atoms
    count : int
    rng : Generator

    Raises
    ------
    InputError
        If there is no room for so many.
    """
    if count < 1:
        raise InputError(f"guest: {count} molecules; expected at least 1")
    atoms, region = host.atoms.copy(), [0] * len(host)
    for number in range(1, count + 1):
        placed, room = _placed(atoms, molecule, rng)
        if room < 0:
            fewer = "take fewer" if number > 1 else "take a crystal with wider pores"
            raise InputError(
                f"guest: no room for molecule {number} of {count} in {host.formula}, the best place is {-room:.1f} Å "
                f"too narrow; {fewer}, a smaller molecule, or a larger cell (rhotem structure build --repeat)"
            )
        atoms += placed
        region += [number] * len(placed)
    name, formula = str(host.info.get("name") or host.formula), molecule.get_chemical_formula()
    index = np.array(region)
    regions = [{"name": name, "phase": host.formula}]
    regions += [{"name": f"{formula} {n}", "phase": formula} for n in range(1, count + 1)]
    places = [atoms.positions[index == n].mean(axis=0).tolist() for n in range(1, count + 1)]
    defects = [{"kind": "molecule", "position_A": place} for place in places]
    alone = molecule.copy()
    alone.set_cell(np.ptp(molecule.positions, axis=0) + BOX)
    note = f"{count} {formula} in the widest places, turned for most room, not relaxed"
    info = {**host.info, "notes": [*host.info.get("notes", []), note]}
    role = np.where(index > 0, "molecule", HOST).astype(object)
    return Specimen(
        Structure(atoms, host.charge, beside(host, len(atoms)), info),
        regions,
        index,
        role,
        defects,
        [host, Structure(alone)],
    )


def _placed(atoms: ase.Atoms, molecule: ase.Atoms, rng: Generator) -> tuple[ase.Atoms, float]:
    """The molecule where it has most room, and that room in Å."""
    from scipy.spatial.transform import Rotation

    centred = molecule.positions - molecule.positions.mean(axis=0)
    far = float(np.linalg.norm(centred, axis=1).max())
    room = _Room(atoms, far + 6.0)
    best, most = centred, -np.inf
    own = TOUCH * radii(molecule)
    long = 2 * (far + own.max()) > room.heights.min()
    for place in _widest(atoms, room):
        for turn in Rotation.random(TURNS, random_state=rng):
            tried = turn.apply(centred) + place
            left = min(float((room(tried) - own).min()), _from_images(tried, own, atoms) if long else np.inf)
            if left > most:
                best, most = tried, left
    return ase.Atoms(molecule.numbers, best), most


def _from_images(positions: Floats, radius: Floats, atoms: ase.Atoms) -> float:
    """Room in Å between a molecule and its own copies in the neighbouring cells."""
    steps = np.array([step for step in np.ndindex(3, 3, 3) if step != (1, 1, 1)]) - 1
    apart = np.full((len(positions), len(positions)), np.inf)
    for shift in steps @ atoms.cell.array:
        apart = np.minimum(apart, np.linalg.norm(positions[:, None] - positions + shift, axis=2))
    return float((apart - np.add.outer(radius, radius)).min())


def _widest(atoms: ase.Atoms, room: "_Room") -> list[Floats]:
    """The places farthest from all atoms, `PLACES` of them, apart from each other."""
    numbers = np.maximum(1, np.ceil(atoms.cell.lengths() / STEP)).astype(int)
    mesh = np.meshgrid(*(np.arange(n) / n for n in numbers), indexing="ij")
    points = np.stack([m.ravel() for m in mesh], axis=1) @ atoms.cell.array
    order = np.argsort(-np.round(room(points), 6), kind="stable")
    kept: list[Floats] = []
    for point in points[order[: 40 * PLACES]]:
        if len(kept) < PLACES and all(np.linalg.norm(point - other) > APART for other in kept):
            kept.append(point)
    return kept


class _Room:
    """Distance in Å of points from the van der Waals spheres, `TOUCH` as large, of a crystal's atoms.

    Parameters
    ----------
    atoms : ase.Atoms
    reach : float
        Copies of atoms so far outside the cell count.
    """

    def __init__(self, atoms: ase.Atoms, reach: float) -> None:
        from scipy.spatial import cKDTree

        self.heights = heights = atoms.cell.volume / np.linalg.norm(
            np.cross(atoms.cell.array[[1, 2, 0]], atoms.cell.array[[2, 0, 1]]), axis=1
        )
        sides = [np.arange(-n, n + 1) for n in np.ceil(reach / heights).astype(int)]
        wrapped = atoms.get_scaled_positions(wrap=True)
        copies = np.stack([m.ravel() for m in np.meshgrid(*sides, indexing="ij")], axis=1)
        everywhere = wrapped[None] + copies[:, None]
        margin = reach / heights
        inside = np.all((everywhere > -margin) & (everywhere < 1 + margin), axis=2)
        radius = np.broadcast_to(TOUCH * radii(atoms), inside.shape)[inside]
        places = everywhere[inside] @ atoms.cell.array
        self._trees = [(r, cKDTree(places[radius == r])) for r in np.unique(radius)]

    def __call__(self, points: Floats) -> Floats:
        return np.asarray(np.min([tree.query(points)[0] - r for r, tree in self._trees], axis=0))


BUILDER = molecules(
    "guest", "Molecules in the pores of a crystal, where they have most room.", guested, "C6H6", "STRUCTURE"
)
