"""The learned part taken away around single atoms, and charge and dipole of what is taken kept where they were.

Coefficients of an atom at a distance r from a removed one are multiplied by 1 − w(r/r_c), w the geometric weight of the
network's gate and r_c the reach of the widest functions: nothing is left at the atom itself, everything beyond r_c.
What is taken away together, of atoms that touch, held a charge and a dipole whose counterpart is in the rest of the
structure. Without them the correction of the electron count would smear that charge over the whole cell. So both go to
the atoms around, as coefficients of their widest functions of l = 0 and 1, in proportion to w.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.learned.neighbours import Neighbours
from rhotem.learned.radial import Block, geometric_weight
from rhotem.structure.model import Structure

#: Components of l = 1 along x, y, z among (l, m).
ALONG = [3, 1, 2]

Array = npt.NDArray[np.float64]
Names = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Region:
    """Atoms whose learned part is taken away together.

    Parameters
    ----------
    atoms : (n,) int array
    places : (n, 3) array
        Å, unwrapped: relative to each other; zeros where the region is endless, which has no dipole of its own.
    shares : (n,) array
        Of what is given back; sum 1.
    """

    atoms: Names
    places: Array
    shares: Array


def take_away(
    blocks: Sequence[Block],
    structure: Structure,
    coefficients: Sequence[npt.NDArray],
    removed: npt.NDArray[np.bool_],
) -> None:
    """Take the learned part away around atoms, in place.

    Parameters
    ----------
    blocks : sequence of Block
        The last one has the widest functions, with l = 1 at least for dipoles to be kept.
    structure : Structure
    coefficients : sequence of arrays (..., N, functions, (lmax+1)²)
        Per block; of one density or of several.
    removed : (N,) bool array
        Atoms that become free.
    """
    if not removed.any():
        return
    if removed.all():
        for c in coefficients:
            c[...] = 0.0
        return
    kept, regions = find_regions(structure, removed, max(block.cutoff for block in blocks))
    before = _moments(blocks, coefficients)
    for c in coefficients:
        c *= kept[:, None, None].astype(c.dtype)
    widest, last = blocks[-1], coefficients[-1]
    back = given_back(widest, regions, before - _moments(blocks, coefficients))
    columns = min(back.shape[-1], last.shape[-1])
    last[..., -1, :columns] += back[..., :columns].astype(last.dtype)


def given_back(widest: Block, regions: Sequence[Region], taken: Array) -> Array:
    """Coefficients (..., N, 4) of the widest functions, l = 0 and 1, that hold what was taken.

    Parameters
    ----------
    widest : Block
        Its last function takes it.
    regions : sequence of Region
    taken : (..., N, 4) array
        Electrons and first moments about itself of every atom, e and e Å.
    """
    result = np.zeros(taken.shape)
    for region in regions:
        own = taken[..., region.atoms, :]
        charge = own[..., 0].sum(-1)
        dipole = own[..., 1:].sum(-2) + np.einsum("...n,nk->...k", own[..., 0], region.places)
        dipole -= charge[..., None] * (region.shares @ region.places)
        result[..., region.atoms, 0] += charge[..., None] * region.shares / widest.electrons[-1]
        if widest.lmax and region.places.any():
            turned = dipole[..., None, :] * region.shares[:, None] / widest.dipoles[-1]
            for component, column in enumerate(ALONG):
                result[..., region.atoms, column] += turned[..., component]
    return result


def _moments(blocks: Sequence[Block], coefficients: Sequence[npt.NDArray]) -> Array:
    """Electrons and first moments (..., N, 4) of the functions of every atom, e and e Å."""
    result = np.zeros((*coefficients[0].shape[:-2], 4))
    for block, c in zip(blocks, coefficients, strict=True):
        result[..., 0] += c[..., 0].astype(float) @ block.electrons
        if block.lmax:
            result[..., 1:] += np.einsum("...nm,n->...m", c[..., ALONG].astype(float), block.dipoles)
    return result


def find_regions(structure: Structure, removed: npt.NDArray[np.bool_], reach: float) -> tuple[Array, list[Region]]:
    """What is kept of every atom, (N,), and the atoms that touch; ``reach``: of the widest functions in Å."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count, centres = len(structure), np.flatnonzero(removed)
    starts, other, vectors = Neighbours(structure.positions, structure.cell, reach).around(centres)
    centre = np.repeat(centres, np.diff(starts))
    weight = geometric_weight(np.linalg.norm(vectors, axis=1) / reach)
    kept = np.ones(count)
    np.multiply.at(kept, other, 1.0 - weight)
    kept[removed] = 0.0
    around = np.bincount(other, weight, count)
    around[removed] = 0.0
    graph = coo_matrix((np.ones(len(centre)), (centre, other)), shape=(count, count))
    label = connected_components(graph, directed=False)[1]
    regions = []
    for which in np.unique(label[centres]):
        atoms = np.flatnonzero(label == which)
        edges = label[centre] == which
        shares = around[atoms] if around[atoms].any() else np.ones(len(atoms))
        places = _unwrapped(atoms, centre[edges], other[edges], vectors[edges])
        regions.append(Region(atoms, places, shares / shares.sum()))
    return kept, regions


def _unwrapped(atoms: Names, centre: Names, other: Names, vectors: Array) -> Array:
    """Places (n, 3) in Å of connected atoms; zeros where a way around comes back elsewhere: the region is endless."""
    place = {int(atoms[0]): np.zeros(3)}
    ways: dict[int, list[tuple[int, Array]]] = {}
    for a, b, vector in zip(centre.tolist(), other.tolist(), vectors, strict=True):
        ways.setdefault(a, []).append((b, vector))
        ways.setdefault(b, []).append((a, -vector))
    waiting = [int(atoms[0])]
    while waiting:
        here = waiting.pop()
        for there, vector in ways.get(here, ()):
            end = place[here] + vector
            if there not in place:
                place[there] = end
                waiting.append(there)
            elif np.abs(place[there] - end).max() > 1e-6:
                return np.zeros((len(atoms), 3))
    return np.array([place[int(a)] for a in atoms])
