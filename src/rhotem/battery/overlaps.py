"""Atoms of different grains that overlap, and how well atoms near faces are bound."""

import numpy as np
import numpy.typing as npt

from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Shortest distances of rare elements count at most as this, in Å.
LONGEST = 4.0
#: Unlike atoms nearer than this times the shortest distance of their elements are bound.
BOUND = 1.25


def shortest_distances(crystal: Structure) -> Floats:
    """Shortest distance between two elements in a crystal, at most 4 Å: (Z, Z), indexed by atomic numbers."""
    from ase.neighborlist import neighbor_list

    i, j, d = neighbor_list("ijd", crystal.atoms, LONGEST)
    table = np.full((crystal.numbers.max() + 1,) * 2, LONGEST)
    np.minimum.at(table, (crystal.numbers[i], crystal.numbers[j]), d)
    return table


def without_overlaps(
    crystal: Structure, numbers: Ints, positions: Floats, depth: Floats, box: Floats, closest: float
) -> Ints:
    """Indices of the atoms that stay when of every two that are too close one is taken out.

    The worst overlaps are solved first. Of the two atoms the one goes that overlaps with more others, else that whose
    element is left in excess, else the later one.

    Parameters
    ----------
    crystal : Structure
        Gives distances and composition.
    numbers, positions, depth : arrays
        Of the block; ``depth`` in Å below the nearest face of the atom's grain.
    box : (3,) array
        Periods in Å; 0: not periodic.
    closest : float
        Fraction of `shortest_distances` that is too close.
    """
    limit = closest * shortest_distances(crystal)
    pairs, distance = _pairs(positions, depth, box, float(limit.max()))
    ratio = distance / np.maximum(limit[numbers[pairs[:, 0]], numbers[pairs[:, 1]]], 1e-12)
    order = np.argsort(ratio, kind="stable")
    pairs = pairs[order[ratio[order] < 1.0]]
    conflicts = np.bincount(pairs.ravel(), minlength=len(numbers))
    share = np.bincount(crystal.numbers, minlength=int(numbers.max(initial=0)) + 1) / len(crystal)
    count = np.bincount(numbers, minlength=len(share)).astype(float)
    partners: dict[int, list[int]] = {}
    for a, b in pairs.tolist():
        partners.setdefault(a, []).append(b)
        partners.setdefault(b, []).append(a)
    alive = np.ones(len(numbers), dtype=bool)
    for a, b in pairs.tolist():
        if not (alive[a] and alive[b]):
            continue
        gone = max((a, b), key=lambda i: (conflicts[i], count[numbers[i]] / share[numbers[i]], i))
        alive[gone] = False
        count[numbers[gone]] -= 1
        conflicts[partners[gone]] -= 1
    return np.flatnonzero(alive)


def saturation(
    crystal: Structure, numbers: Ints, positions: Floats, depth: Floats, box: Floats, within: float
) -> Floats:
    """Bound unlike neighbours of atoms less than ``within`` Å below faces, as a share of those in the crystal."""
    bound = BOUND * shortest_distances(crystal)
    neighbours = _unlike(numbers, *_pairs(positions, depth, box, float(bound.max()), within), bound)
    whole = _coordination(crystal, bound)
    return np.minimum(neighbours / np.maximum(whole[numbers], 1e-12), 1.0)


def _pairs(
    positions: Floats, depth: Floats, box: Floats, reach: float, within: float | None = None
) -> tuple[Ints, Floats]:
    """Pairs nearer than ``reach`` of atoms less than ``within`` (else ``reach``) below faces, (P, 2), and distances."""
    from scipy.spatial import cKDTree

    near = np.flatnonzero(depth < (reach if within is None else within))
    if len(near) < 2 or reach <= 0:
        return np.zeros((0, 2), dtype=np.int64), np.zeros(0)
    shift = np.where(box > 0, 0.0, positions[near].min(axis=0))
    tree = cKDTree(positions[near] - shift, boxsize=box)
    pairs = near[tree.query_pairs(reach, output_type="ndarray")].astype(np.int64)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    apart = positions[pairs[:, 1]] - positions[pairs[:, 0]]
    apart -= np.rint(apart / np.where(box > 0, box, np.inf)) * box
    return pairs, np.linalg.norm(apart, axis=1)


def _unlike(numbers: Ints, pairs: Ints, distance: Floats, bound: Floats) -> Ints:
    """Bound neighbours of other elements of every atom."""
    one, two = numbers[pairs[:, 0]], numbers[pairs[:, 1]]
    chosen = pairs[(one != two) & (distance < bound[one, two])]
    return np.bincount(chosen.ravel(), minlength=len(numbers))


def _coordination(crystal: Structure, bound: Floats) -> Floats:
    """Mean number of bound unlike neighbours of each element in the crystal, indexed by atomic number."""
    from ase.neighborlist import neighbor_list

    i, j, d = neighbor_list("ijd", crystal.atoms, float(bound.max()))
    one, two = crystal.numbers[i], crystal.numbers[j]
    found = np.bincount(one[(one != two) & (d < bound[one, two])], minlength=len(bound))
    return found / np.maximum(np.bincount(crystal.numbers, minlength=len(bound)), 1)
