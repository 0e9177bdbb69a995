"""Rows of elements that weights were never trained on: what their relatives among the trained ones have.

A pretrained encoder knows 89 elements, but the tables of what was trained on top of it (an embedding, a scale of every
function) have rows that no label has touched. An unknown element gets the mean of the trained rows, weighted by how
alike the elements are in electronegativity (Pauling), covalent radius, group, and whether they have a d shell. The
weight falls off as a Gaussian whose width is the distance to the nearest trained element: what has a close relative
takes after it alone, what has none after many (docs/model.md has the rules that were tried).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rhotem.learned.settings import ELEMENTS

#: Differences that count as one: electronegativity by Pauling, covalent radius in Å, groups, having a d shell or not.
UNITS = np.array([0.4, 0.3, 3.0, 2.0 / 3.0])
#: Least width of the weight, in these units.
NARROWEST = 0.3
#: Closed shells end here.
NOBLE = (2, 10, 18, 36, 54, 86, 118)
#: Where the table of the encoder's elements lies among weights.
SPECIES = "encoder.body.species"

#: Electronegativities by Pauling of Z = 1, 2, … 94; 0 where there is none (A. L. Allred, J. Inorg. Nucl. Chem. 17, 215
#: (1961), and the CRC Handbook of Chemistry and Physics for what is missing there).
PAULING = np.array([
    0.0, 2.2, 0.0, 0.98, 1.57, 2.04, 2.55, 3.04, 3.44, 3.98, 0.0, 0.93, 1.31, 1.61, 1.9, 2.19, 2.58, 3.16, 0.0,
    0.82, 1.0, 1.36, 1.54, 1.63, 1.66, 1.55, 1.83, 1.88, 1.91, 1.9, 1.65, 1.81, 2.01, 2.18, 2.55, 2.96, 3.0,
    0.82, 0.95, 1.22, 1.33, 1.6, 2.16, 1.9, 2.2, 2.28, 2.2, 1.93, 1.69, 1.78, 1.96, 2.05, 2.1, 2.66, 2.6, 0.79,
    0.89, 1.1, 1.12, 1.13, 1.14, 1.13, 1.17, 1.2, 1.2, 1.1, 1.22, 1.23, 1.24, 1.25, 1.1, 1.27, 1.3, 1.5, 2.36,
    1.9, 2.2, 2.2, 2.28, 2.54, 2.0, 1.62, 2.33, 2.02, 2.0, 2.2, 2.2, 0.7, 0.9, 1.1, 1.3, 1.5, 1.38, 1.36, 1.28,
])  # fmt: skip

Array = npt.NDArray[np.float64]


def electronegativity(number: int) -> float:
    """By Pauling; 0 where it is not known."""
    return float(PAULING[number]) if number < len(PAULING) else 0.0


def group(number: int) -> int:
    """Group of the periodic table, 1 to 18; lanthanides and actinides are in group 3."""
    start = max((n for n in NOBLE if n < number), default=0)
    length = next(n for n in NOBLE if n >= number) - start
    place = number - start
    if length <= 8:
        return place if place <= 2 and place < length else place + 18 - length
    if length == 18 or place <= 3:
        return place
    return max(3, place - 14)


def relatives(number: int, known: Sequence[int]) -> Array:
    """Weights (K,) of the elements ``known`` in what is said of the element ``number``; their sum is 1."""
    squared = ((_described(known) - _described([number])) ** 2).sum(1)
    width = max(float(squared.min()), NARROWEST**2)
    weights: Array = np.exp(-0.5 * (squared - squared.min()) / width)
    return weights / weights.sum()


def nearest(number: int, known: Sequence[int]) -> int:
    """The closest relative of an element among those ``known``."""
    return int(known[int(relatives(number, known).argmax())])


def with_newcomers(arrays: Mapping[str, npt.NDArray], trained: Sequence[int]) -> dict[str, npt.NDArray]:
    """Weights whose tables of elements have rows of relatives where an element was not trained on.

    What the pretrained encoder does not know either is described to it as its closest relative there, so that the
    surroundings of its neighbours are filled; its own density is not to be used (`rhotem.learned.newcomers`).

    Parameters
    ----------
    arrays : mapping
        Weights by name. Tables of elements are real arrays with `rhotem.learned.settings.ELEMENTS` rows.
    trained : sequence of int
        Atomic numbers.
    """
    if not trained:
        return dict(arrays)
    others = np.array([z for z in range(1, ELEMENTS) if z not in set(trained)], dtype=np.int64)
    weights = np.stack([relatives(z, trained) for z in others.tolist()])
    result = dict(arrays)
    for name, table in arrays.items():
        if table.dtype.kind == "f" and table.ndim and len(table) == ELEMENTS:
            result[name] = filled = table.copy()
            filled[others] = np.tensordot(weights, table[list(trained)].astype(float), 1)
    if SPECIES in arrays:
        species = arrays[SPECIES].copy()
        known = [z for z in range(1, len(species)) if species[z] >= 0]
        for z in (z for z in range(1, len(species)) if species[z] < 0):
            species[z] = arrays[SPECIES][nearest(z, known)]
        result[SPECIES] = species
    return result


def encoded(arrays: Mapping[str, npt.NDArray]) -> list[int] | None:
    """Elements that a pretrained encoder knows; None where there is none among the weights."""
    species = arrays.get(SPECIES)
    return None if species is None else np.flatnonzero(species >= 0).tolist()


def _described(numbers: Sequence[int]) -> Array:
    """Elements in units of what makes them differ, (n, 4)."""
    from ase.data import covalent_radii

    z = np.asarray(numbers)
    groups = np.array([group(n) for n in z.tolist()])
    chi = PAULING[np.minimum(z, len(PAULING) - 1)]
    return np.stack([chi, covalent_radii[z], groups, (groups >= 3) & (groups <= 12)], axis=1) / UNITS
