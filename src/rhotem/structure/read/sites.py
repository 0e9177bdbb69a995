"""Rows of a file to sites: what lies at one place is one site, and its occupancies add up."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.ordering import Sites
from rhotem.structure.read.contents import Contents, Floats

#: Rows nearer than this (Å) are at one place.
SAME = 0.05
#: Partly occupied rows nearer than this (Å) whose occupancies fit one site are alternatives of one site.
NEAR = 0.35
#: Sums between these are 1, written with few digits (0.334 × 3, 0.33 × 3).
ROUNDED = (0.985, 1.021)
#: An occupancy above this is 1.
FULL = 0.999


@dataclass(frozen=True, eq=False)
class Merged:
    """Sites of a file.

    Parameters
    ----------
    contents : Contents
        One row per site, where the heaviest share gives the symbol.
    occupants : tuple of dict
        Element -> share of each site.
    notes : tuple of str
        What was merged and rounded.
    """

    contents: Contents
    occupants: tuple[dict[str, float], ...]
    notes: tuple[str, ...] = ()

    @property
    def partial(self) -> list[int]:
        """Sites that are shared or partly empty."""
        return [i for i, kinds in enumerate(self.occupants) if len(kinds) > 1 or min(kinds.values()) < FULL]

    def sites(self) -> Sites:
        """As `rhotem.structure.ordering.order` takes them."""
        fractional = np.asarray(self.contents.positions @ np.linalg.inv(self.contents.cell) % 1.0, dtype=np.float64)
        return Sites(self.contents.cell, fractional, self.occupants)


def merged(contents: Contents, name: str) -> Merged:
    """Rows at one place as one site with the sum of their occupancies.

    Raises
    ------
    InputError
        For an occupancy that is negative or above 1, sums above 1, different elements at one place without occupancies.
    """
    rows = len(contents.symbols)
    if contents.occupancies is None:
        _refuse_twins(contents, name)
        return Merged(contents, tuple({symbol: 1.0} for symbol in contents.symbols))
    shares = contents.occupancies.copy()
    for wrong in np.flatnonzero(~((shares >= 0) & (shares <= ROUNDED[1]))).tolist():
        raise InputError(f"{name}: {contents.named(wrong)} has occupancy {shares[wrong]:g}, expected 0 to 1")
    groups = _groups(contents, shares)
    notes: list[str] = []
    occupants, keep, positions, tensors = [], [], contents.positions.copy(), contents.displacements
    tensors = None if tensors is None else tensors.copy()
    apart, rounded = 0.0, 1.0
    for members in groups:
        kinds: dict[str, float] = {}
        for row in members:
            kinds[contents.symbols[row]] = kinds.get(contents.symbols[row], 0.0) + float(shares[row])
        total = sum(kinds.values())
        if total <= 0:
            continue
        if total > ROUNDED[1]:
            raise InputError(_too_much(contents, members, shares, name))
        if total > 1.0 or (total > ROUNDED[0] and len(members) > 1):
            rounded = max(rounded, total, key=lambda value: abs(value - 1.0))
            kinds = {kind: share / total for kind, share in kinds.items()}
        kinds = {kind: share for kind, share in kinds.items() if share > 0}
        first = max(members, key=lambda row: (shares[row], -row))
        weights = shares[members] / total
        offsets = _offsets(contents, members, first)
        apart = max(apart, float(np.linalg.norm(offsets, axis=1).max()))
        positions[first] = contents.positions[first] + weights @ offsets
        if tensors is not None and contents.displacements is not None:
            tensors[first] = np.tensordot(weights, contents.displacements[members], 1)
        occupants.append(kinds)
        keep.append(first)
    if apart > SAME:
        notes.append(f"{name}: split sites up to {apart:.2f} Å apart are taken as one, in their mean place")
    if abs(rounded - 1.0) > 0.0015:
        notes.append(f"{name}: occupancies of a site add up to {rounded:.3f}; taken as 1")
    if len(keep) == rows:
        return Merged(contents, tuple(occupants), tuple(notes))
    index = np.array(keep, dtype=np.int64)
    one = Contents(
        contents.cell,
        positions[index],
        tuple(contents.symbols[i] for i in keep),
        np.array([sum(kinds.values()) for kinds in occupants]),
        tuple(contents.labels[i] for i in keep) if contents.labels else (),
        None if tensors is None else tensors[index],
        contents.kelvin,
        None if contents.moments is None else contents.moments[index],
        contents.notes,
    )
    return Merged(one, tuple(occupants), tuple(notes))


def close_pairs(contents: Contents, reach: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Pairs i < j of rows nearer than ``reach`` (Å), periodic where there is a cell, and their distances."""
    import ase
    from ase.neighborlist import neighbor_list

    atoms = ase.Atoms("H" * len(contents.symbols), positions=contents.positions, cell=contents.cell)
    atoms.pbc = np.linalg.norm(contents.cell, axis=1) > 1e-6
    if np.linalg.matrix_rank(contents.cell) < atoms.pbc.sum():
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
    atoms.wrap()
    i, j, d = neighbor_list("ijd", atoms, reach)
    keep = i < j
    return i[keep], j[keep], d[keep]


def _groups(contents: Contents, shares: Floats) -> list[list[int]]:
    """Rows of each site: at one place, or near each other with occupancies that fit one site."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = len(shares)
    i, j, d = close_pairs(contents, NEAR)

    def joined(links: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return connected_components(coo_array((np.ones(links.sum()), (i[links], j[links])), shape=(rows, rows)), False)[
            1
        ]

    same = joined(d < SAME)
    partly = (shares[i] < FULL) & (shares[j] < FULL)
    wide = joined((d < SAME) | partly)
    totals = np.bincount(wide, shares)
    labels = np.where(totals[wide] <= ROUNDED[1], wide, same + wide.max(initial=0) + 1)
    found: dict[int, list[int]] = {}
    for row, label in enumerate(labels.tolist()):
        found.setdefault(label, []).append(row)
    return list(found.values())


def _offsets(contents: Contents, members: list[int], first: int) -> Floats:
    """Vectors from one row to others, the shortest of the periodic ones."""
    offsets = contents.positions[members] - contents.positions[first]
    if np.linalg.matrix_rank(contents.cell) < 3:
        return offsets
    fractional = np.linalg.solve(contents.cell.T, offsets.T).T
    return (fractional - np.rint(fractional)) @ contents.cell


def _too_much(contents: Contents, members: list[int], shares: Floats, name: str) -> str:
    listed = " + ".join(f"{contents.named(row)} {shares[row]:g}" for row in members[:4])
    total = float(shares[members].sum())
    if len({contents.symbols[row] for row in members}) == 1 and (shares[members] > FULL).all():
        return f"{name}: {listed}: one atom written {len(members)} times at one place; remove one of them"
    return f"{name}: {listed} at one place: occupancies add up to {total:.3f}, expected at most 1"


def _refuse_twins(contents: Contents, name: str) -> None:
    """Different elements at one place, where nothing says how they share it."""
    i, j, _ = close_pairs(contents, SAME)
    for one, two in zip(i.tolist(), j.tolist(), strict=True):
        if contents.symbols[one] != contents.symbols[two]:
            raise InputError(
                f"{name}: {contents.named(one)} and {contents.named(two)} are at one place, and no occupancies say "
                "how they share it; add them"
            )
