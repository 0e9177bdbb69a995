"""How far the bonds and the crowding around atoms are from any that were trained on, as a strain.

The other measures of novelty do not see this: features of a crystal stretched by a quarter change little, and its
arrangement (`rhotem.learned.arrangement`) not at all, as lengths there are counted in units of the nearest distance. So
three lengths describe an atom, each as a logarithm, so that a uniform strain ε moves all three by ε:

- that to the nearest atom, ln d;
- that of one bond as strong as all together, −(B/L) ln Σ exp(−(d − r_i − r_j)/B), bond strengths falling off as bond
  valences do (I. D. Brown, D. Altermatt, Acta Cryst. B 41, 244 (1985)), r covalent radii, L the usual nearest distance
  of the element;
- that of the room per neighbour, −⅓ ln Σ cos²(πd/2R), R = 8 Å: small in a squeezed crystal, large beside a vacuum.

The root mean square of the differences to the nearest training atom of the element is the strain that separates them.

Elements have one length in one compound and another in the next: Li atoms are as near each other in Li2O as in the
metal squeezed by a quarter. So atoms of a compound that was trained on several times are also compared with those of
that compound alone, by the first two lengths: surfaces and layers have another room, without being strained, so the
third difference counts as none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.learned.neighbours import Neighbours
from rhotem.structure.model import Structure

#: Å within which neighbours are looked for, and over which the strength of a bond falls to 1/e.
REACH, SOFTNESS = 8.0, 0.37
#: Sums below this are those of an atom alone.
LEAST = 1e-9
#: Training atoms of one element nearer than this to one that is kept are not kept.
ALIKE = 0.002
#: Labels of a composition from which its atoms are compared with each other alone.
OFTEN = 3
#: Atoms at once: what their neighbours need is some 30 MB.
ATOMS = 1024

Array = npt.NDArray[np.float64]
Names = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Lengths around training atoms.

    Parameters
    ----------
    numbers : (M,) int array
        Atomic numbers.
    lengths : (M, 3) array
        Of `lengths`.
    usual : dict
        Median distance in Å to the nearest atom, by element.
    compounds : (M,) array of str, or None
        Composition of the structure where it was trained on at least `OFTEN` times, else empty. None: not known.
    """

    numbers: Names
    lengths: Array
    usual: dict[int, float]
    compounds: npt.NDArray[np.str_] | None = None

    def strain(self, structure: Structure) -> tuple[Array, Array]:
        """By how much all atoms would have to be strained to have what a training atom has.

        Returns
        -------
        strain : (N,) array
            Larger than 1 for an atom without neighbours; infinite for elements that were never trained on.
        differences : (N, 3) array
            Of the three lengths to those of the nearest training atom; positive is longer, roomier than trained.
        """
        from scipy.spatial import cKDTree

        own = lengths(structure, self.usual)
        strain, differences = np.full(len(structure), np.inf), np.zeros((len(structure), 3))
        for z in set(structure.numbers.tolist()) & set(self.numbers.tolist()):
            mine, known = structure.numbers == z, self.lengths[self.numbers == z]
            distance, nearest = cKDTree(known).query(own[mine])
            strain[mine] = distance / np.sqrt(3.0)
            differences[mine] = own[mine] - known[nearest]
        self._of_compound(structure, own, strain, differences)
        return strain, differences

    def _of_compound(self, structure: Structure, own: Array, strain: Array, differences: Array) -> None:
        """Larger strains of atoms whose compound was trained on often, put in their places."""
        from scipy.spatial import cKDTree

        if self.compounds is None:
            return
        same = self.compounds == composition(structure)
        for z in set(self.numbers[same].tolist()):
            mine, known = np.flatnonzero(structure.numbers == z), self.lengths[same & (self.numbers == z)]
            distance, nearest = cKDTree(known[:, :2]).query(own[mine, :2])
            larger = distance / np.sqrt(3.0) > strain[mine]
            rows = mine[larger]
            strain[rows] = distance[larger] / np.sqrt(3.0)
            differences[rows] = np.pad(own[rows, :2] - known[nearest[larger], :2], ((0, 0), (0, 1)))


def composition(structure: Structure) -> str:
    """Reduced formula."""
    return str(structure.atoms.get_chemical_formula(mode="hill", empirical=True))


def lengths(structure: Structure, usual: dict[int, float]) -> Array:
    """Logarithms (N, 3) of the three lengths of every atom; ``usual``: of `Surroundings`.

    Raises
    ------
    InputError
        If there are no atoms, or two are closer than 0.5 Å.
    """
    from ase.data import covalent_radii

    radii = covalent_radii[structure.numbers]
    result = np.empty((len(structure), 3))
    for atoms, centre, other, d in _pairs(structure):
        own, count = atoms[centre], len(atoms)
        strengths = np.exp((radii[own] + radii[other] - d) / SOFTNESS)
        nearest = np.full(count, REACH)
        np.minimum.at(nearest, centre, d)
        bonds = np.bincount(centre, strengths, count)
        crowd = np.bincount(centre, np.cos(0.5 * np.pi * d / REACH) ** 2, count)
        unit = np.array([usual.get(z, 2.0) for z in structure.numbers[atoms].tolist()])
        result[atoms, 0] = np.log(nearest)
        result[atoms, 1] = -np.log(np.maximum(bonds, LEAST)) * SOFTNESS / unit
        result[atoms, 2] = -np.log(np.maximum(crowd, LEAST)) / 3.0
    return result


def nearest_neighbours(structure: Structure, reach: float = REACH) -> Array:
    """Distance (N,) in Å of every atom to the nearest other one; inf beyond ``reach``."""
    result = np.full(len(structure), np.inf)
    for atoms, centre, _, d in _pairs(structure, reach):
        np.minimum.at(result, atoms[centre], d)
    return result


def alone(structure: Structure, reach: float) -> npt.NDArray[np.bool_]:
    """Atoms (N,) without any other within ``reach`` (Å): a model that sees no farther knows nothing of bonds there."""
    return ~np.isfinite(nearest_neighbours(structure, reach))


def learn(structures: Iterable[Structure]) -> Surroundings:
    """Of training structures; atoms alike are kept once.

    Raises
    ------
    InputError
        If there are none.
    """
    given = list(structures)
    if not given:
        raise InputError("surroundings: no training structures; give the labels that the model was trained on")
    numbers = np.concatenate([s.numbers for s in given])
    nearest = np.minimum(np.concatenate([nearest_neighbours(s) for s in given]), REACH)
    usual = {int(z): float(np.median(nearest[numbers == z])) for z in np.unique(numbers)}
    found = np.concatenate([lengths(s, usual) for s in given])
    formulas = [composition(s) for s in given]
    often = [f if formulas.count(f) >= OFTEN else "" for f in formulas]
    compounds = np.repeat(np.array(often), [len(s) for s in given])
    kinds = [(numbers == z) & (compounds == f) for z in usual for f in sorted(set(often))]
    kept = np.concatenate([np.flatnonzero(kind)[_unlike(found[kind])] for kind in kinds if kind.any()])
    return Surroundings(numbers[kept].astype(np.int64), found[kept], usual, compounds[kept])


def surroundings_path(weights: Path) -> Path:
    """Where the surroundings that weights were trained on are stored: beside their calibration."""
    return weights.parent / "uncertainty" / f"{weights.stem}-surroundings.npz"


def save_surroundings(weights: Path, known: Surroundings, fingerprint: str) -> Path:
    """Write them beside the weights, whose `rhotem.learned.calibration.fingerprint` they keep."""
    path = surroundings_path(weights)
    path.parent.mkdir(exist_ok=True)
    elements = sorted(known.usual)
    np.savez_compressed(
        path,
        weights=fingerprint,
        numbers=known.numbers.astype(np.uint8),
        lengths=known.lengths.astype(np.float32),
        compounds=np.full(len(known.numbers), "") if known.compounds is None else known.compounds,
        elements=np.array(elements, dtype=np.uint8),
        usual=np.array([known.usual[z] for z in elements], dtype=np.float32),
    )
    return path


def load_surroundings(weights: Path, fingerprint: str) -> Surroundings | None:
    """Back again; None where there are none, or those of other weights."""
    path = surroundings_path(weights)
    if not path.is_file():
        return None
    try:
        with np.load(path) as stored:
            if str(stored["weights"]) != fingerprint:
                return None
            usual = dict(zip(stored["elements"].tolist(), stored["usual"].astype(float).tolist(), strict=True))
            compounds = stored.get("compounds", None)  # not in files of before
            return Surroundings(stored["numbers"].astype(np.int64), stored["lengths"].astype(float), usual, compounds)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: damaged; `rhotem model calibrate RUN` makes it again") from error


def _pairs(structure: Structure, reach: float = REACH) -> Iterator[tuple[Names, Names, Names, Array]]:
    """For some atoms at a time: which, then of every neighbour the centre's place among them, its index, distance."""
    neighbours = Neighbours(structure.positions, structure.cell, reach)
    for start in range(0, len(structure), ATOMS):
        atoms = np.arange(start, min(start + ATOMS, len(structure)))
        starts, other, vectors = neighbours.around(atoms)
        yield atoms, np.repeat(np.arange(len(atoms)), np.diff(starts)), other, np.linalg.norm(vectors, axis=1)


def _unlike(points: Array) -> Names:
    """Which of points (N, 3) to keep so that every other one has one of these within `ALIKE`."""
    from scipy.spatial import cKDTree

    tree, dropped, kept = cKDTree(points), np.zeros(len(points), dtype=bool), []
    for index, point in enumerate(points):
        if not dropped[index]:
            kept.append(index)
            dropped[tree.query_ball_point(point, ALIKE * np.sqrt(3.0))] = True
    return np.array(kept, dtype=np.int64)
