"""`Scene`: the columns of one cell as a picture may show them, with what is true of each."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.analysis.columns import columns
from rhotem.structure.lattice import coset_representatives
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Classes of columns by the element that scatters most in them (Σ Z^1.7); 0 is no column.
SPECIES = ("background", "light", "anion", "transition metal", "other")
#: Elements of the classes; all others are "other".
LIGHT = frozenset({"H", "Li", "Be", "B", "C", "Na", "Mg"})
ANIONS = frozenset({"N", "O", "F", "P", "S", "Cl", "Se", "Br", "Te", "I"})
#: Transition metals: atomic numbers of the d block.
METALS = (range(21, 31), range(39, 49), range(72, 81))
#: Å: sites that are nearer in projection are one column.
TOGETHER = 0.6
#: Power of the atomic number with which a column shows in a dark field.
POWER = 1.7


@dataclass(frozen=True, eq=False)
class Scene:
    """Columns of a periodic cell seen along the beam.

    Parameters
    ----------
    cell : (float, float)
        Sides in Å.
    places : (n, 2) array
        x, y in Å.
    labels : tuple of str
        Elements, the most frequent first, vacant sites counted as what they lack.
    species : (n,) int array
        Place in `SPECIES`.
    sites : (n,) int array
        In one cell, vacant ones included.
    vacant, exchanged : (n,) array
        Shares of the sites that are empty, and that hold an atom of another element than their crystal's.
    region : (n,) int array
        Crystal or layer that most of the atoms belong to.
    weights : (n,) array
        Σ Z^1.7 of the atoms that are there, relative to the largest.
    phases : tuple of str
        Formula of every region.
    molecules : tuple of (atoms, 2) arrays
        x, y in Å of the atoms of every guest, together wherever the cell ends.
    vacuum : float or None
        Å of the cell's length along the beam that are empty; None: not known, or places beside the specimen are seen.
    """

    cell: tuple[float, float]
    places: Floats
    labels: tuple[str, ...]
    species: Ints
    sites: Ints
    vacant: Floats
    exchanged: Floats
    region: Ints
    weights: Floats
    phases: tuple[str, ...]
    molecules: tuple[Floats, ...] = ()
    vacuum: float | None = None


def scene(cell: ImagingCell, built: Mapping[str, Any]) -> Scene:
    """The columns of an imaging cell; ``built``: what a builder says of its specimen, empty for a plain crystal."""
    atoms, known = cell.structure.atoms, len(cell.crystal) == len(cell.origin)
    role = np.full(len(atoms), "host", dtype=object)
    region = np.zeros(len(atoms), dtype=np.int64)
    if built and known:
        role = np.asarray(built["atoms"]["role"], dtype=object)[cell.atom_index]
        region = np.asarray(built["atoms"]["region"])[cell.atom_index]
    gone = [defect for defect in built.get("defects", ()) if defect["kind"] == "vacancy"] if known else []
    missing, empty = _missing(cell, gone)
    meant = _meant(cell, built, role)
    symbols = [*meant, *missing]
    sites = ase.Atoms(symbols, positions=np.concatenate([atoms.positions, empty]), cell=atoms.cell, pbc=True)
    found = columns(replace(cell, structure=Structure(sites)), TOGETHER)
    numbers = np.concatenate([atoms.numbers, np.zeros(len(missing), dtype=np.int64)])
    role = np.concatenate([role, np.full(len(missing), "vacancy", dtype=object)])
    region = np.concatenate([region, _nearest(cell, region, empty)])
    weights = np.array([(numbers[list(c.rows)] ** POWER).sum() for c in found])
    return Scene(
        cell=(float(cell.lengths[0]), float(cell.lengths[1])),
        places=np.array([c.position for c in found]),
        labels=tuple(c.label for c in found),
        species=np.array([species_of(_strongest([symbols[i] for i in c.rows])) for c in found]),
        sites=np.array([c.count for c in found]),
        vacant=np.array([np.mean(role[list(c.rows)] == "vacancy") for c in found]),
        exchanged=np.array([np.mean(role[list(c.rows)] == "antisite") for c in found]),
        region=np.array([Counter(region[list(c.rows)].tolist()).most_common(1)[0][0] for c in found]),
        weights=weights / weights.max(),
        phases=tuple(str(r.get("phase", "")) for r in built.get("regions", ())) or (cell.origin.formula,),
        molecules=_molecules(cell, built) if built and known else (),
    )


def species_of(symbol: str) -> int:
    """Class of an element, a place in `SPECIES`."""
    from ase.data import atomic_numbers

    if symbol in LIGHT:
        return 1
    if symbol in ANIONS:
        return 2
    return 3 if any(atomic_numbers[symbol] in row for row in METALS) else 4


def _strongest(symbols: Sequence[str]) -> str:
    """The element with the largest Σ Z^1.7."""
    from ase.data import atomic_numbers

    return max(sorted(set(symbols)), key=lambda symbol: symbols.count(symbol) * atomic_numbers[symbol] ** POWER)


def _meant(cell: ImagingCell, built: Mapping[str, Any], role: npt.NDArray[Any]) -> list[str]:
    """What every site holds in the crystal without antisites: a column keeps its name."""
    symbols = cell.structure.atoms.get_chemical_symbols()
    changed = [d for d in built.get("defects", ()) if d["kind"] == "antisite"]
    if not changed or not (role == "antisite").any():
        return symbols
    places = np.array([d["position_A"] for d in changed]) @ np.linalg.inv(cell.origin.cell)
    own = cell.origin.atoms.get_scaled_positions(wrap=False)
    for row in np.flatnonzero(role == "antisite"):
        apart = places - own[cell.atom_index[row]]
        distance = np.linalg.norm((apart - np.rint(apart)) @ cell.origin.cell, axis=1)
        symbols[row] = str(changed[int(distance.argmin())]["instead_of"])
    return symbols


def _missing(cell: ImagingCell, defects: Sequence[Mapping[str, Any]]) -> tuple[list[str], Floats]:
    """Elements and places (n, 3) in the imaging cell of sites that are empty."""
    if not defects:
        return [], np.zeros((0, 3))
    places = np.array([d["position_A"] for d in defects]) @ np.linalg.inv(cell.origin.cell)
    shifts = coset_representatives(cell.transform)
    placed = (places[None] + shifts[:, None]).reshape(-1, 3) @ np.linalg.inv(cell.transform.astype(float))
    placed -= np.floor(placed + 1e-9)
    return [str(d["element"]) for d in defects] * len(shifts), placed * cell.lengths


def _molecules(cell: ImagingCell, built: Mapping[str, Any]) -> tuple[Floats, ...]:
    """x, y of the atoms of every guest, once for each of the crystal's cells in the imaging cell.

    Builders place molecules whole, and so does the crystal; the imaging cell may cut them in two.
    """
    role, region = np.asarray(built["atoms"]["role"], dtype=object), np.asarray(built["atoms"]["region"])
    whole = []
    for number in np.unique(region[role == "molecule"]):
        places = cell.crystal.positions[(role == "molecule") & (region == number)]
        shifts = coset_representatives(cell.transform) @ cell.crystal.cell
        whole += [(places + shift)[:, :2] for shift in shifts]
    return tuple(whole)


def _nearest(cell: ImagingCell, region: Ints, places: Floats) -> Ints:
    """Region of the atom next to every place in projection."""
    if not len(places) or not region.any():
        return np.zeros(len(places), dtype=np.int64)
    from scipy.spatial import cKDTree

    sides = cell.lengths[:2]
    tree = cKDTree(np.mod(cell.structure.positions[:, :2], sides) % sides, boxsize=sides)
    return np.asarray(region[tree.query(np.mod(places[:, :2], sides) % sides)[1]], dtype=np.int64)
