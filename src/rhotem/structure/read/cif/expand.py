"""A CIF's rows to all atoms of the cell: special positions, orbits, tensors and moments turned along."""

import numpy as np
import numpy.typing as npt

from rhotem.structure.read.cif.atoms import Row
from rhotem.structure.read.cif.operations import Floats, Operations
from rhotem.structure.read.contents import Contents

#: Images of an atom nearer than this (Å) are the atom itself.
SAME = 0.01
#: Rounded digits never move an atom by images farther than this (Å).
FARTHEST = 0.5
#: Rounding of coordinates with two digits: 0.33 is 1/3.
TWO_DIGITS = 0.01
#: Images of atoms with more than this occupancy that are nearer than this (Å) are one atom.
WHOLE_SHARE, WHOLE = 0.6, 0.3
#: Occupancies of images within the rounding that add up to more than this cannot all be there.
FULL_SHARE = 1.02
#: An atom moved by more than this (Å) onto a special position is worth a remark.
MOVED = 0.02


def expanded(
    rows: list[Row], group: Operations, cell: Floats, name: str, occupancies: bool, rounded: bool = False
) -> Contents:
    """All atoms of the cell.

    ``rounded`` says for partly occupied atoms, too, that digits put them onto special positions: their occupancy is
    that of the site then, else of each of several places around it.

    Atoms whose digits (0.33 for 1/3) or stated multiplicity say that they lie on a special position are put there.
    Tensors: U_cart = (A N) U (A N)ᵀ with A = (a b c) in columns and N = diag(a*, b*, c*), then turned by each operation
    (R. W. Grosse-Kunstleve & P. D. Adams, J. Appl. Cryst. 35, 477 (2002)).
    """
    rigid = group.rigid(cell)
    reciprocal = np.linalg.norm(np.linalg.inv(cell), axis=0)
    basis = cell.T * reciprocal  # A N
    places, symbols, shares, labels, tensors, moments = [], [], [], [], [], []
    moved: list[str] = []
    for row in rows:
        place, fixing = special_place(row, group, cell, rounded)
        shift = place - row.place
        distance = float(np.linalg.norm((shift - np.rint(shift)) @ cell))
        if distance > MOVED:
            moved.append(f"{row.label} by {distance:.2f} Å")
        chosen = orbit(place, group, cell)
        images = (group.rotations @ place + group.translations)[chosen]
        tensor = _tensor(row, basis)
        tensor = (rigid[fixing] @ tensor @ rigid[fixing].transpose(0, 2, 1)).mean(axis=0)
        places.append(images % 1.0)
        tensors.append(rigid[chosen] @ tensor @ rigid[chosen].transpose(0, 2, 1))
        moments.append(_moments(row, group, cell, chosen))
        symbols += [row.symbol] * len(chosen)
        labels += [row.label] * len(chosen)
        shares += [row.occupancy] * len(chosen)
    notes = []
    if moved:
        more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""
        notes.append(f"{name}: moved onto special positions: {', '.join(moved[:3])}{more}")
    displacements = np.concatenate(tensors)
    vectors = np.concatenate(moments)
    signed = collinear(vectors)
    if signed is None and np.abs(vectors).max() > 1e-6:
        notes.append(f"{name}: its magnetic moments are not collinear and are not used")
    return Contents(
        cell,
        np.concatenate(places) @ cell,
        tuple(symbols),
        np.array(shares) if occupancies else None,
        tuple(labels),
        displacements if np.isfinite(displacements).any() else None,
        moments=signed,
        notes=tuple(notes),
    )


def special_place(
    row: Row, group: Operations, cell: Floats, rounded: bool = False
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Where a row's atom lies once digits are taken into account, and the operations that leave it there.

    A whole atom cannot have images nearer than `WHOLE`, whatever its digits say.
    """
    offsets = _offsets(row.place, group)
    distances = np.linalg.norm(offsets @ cell, axis=1)
    near = distances < SAME
    allowed = np.abs(group.rotations - np.eye(3, dtype=np.int64)) @ (1.05 * row.rounding)
    within = (np.abs(offsets) <= allowed + 1e-9).all(axis=1) & (distances < FARTHEST)
    if rounded or row.rounding.max() >= TWO_DIGITS or row.occupancy * within.sum() > FULL_SHARE:
        near |= within
    if row.occupancy > WHOLE_SHARE:
        near |= distances < WHOLE
    if row.multiplicity and len(group) % row.multiplicity == 0:
        stay = len(group) // row.multiplicity
        order = np.argsort(distances, kind="stable")[:stay]
        if near.sum() < stay and distances[order[-1]] < FARTHEST:
            near = np.isin(np.arange(len(group)), order)
    place = row.place
    if near.sum() > 1:
        reach = max(0.5 * float(distances[near].max()), SAME / 10)
        for _ in range(2):
            place = place + _offsets(place, group)[near].mean(axis=0)
            near = np.linalg.norm(_offsets(place, group) @ cell, axis=1) < reach
        place = place + _offsets(place, group)[near].mean(axis=0)
    fixing = np.flatnonzero(np.linalg.norm(_offsets(place, group) @ cell, axis=1) < SAME / 10)
    return place, fixing


def orbit(place: Floats, group: Operations, cell: Floats) -> npt.NDArray[np.int64]:
    """One operation for every different image of a place."""
    images = group.rotations @ place + group.translations
    offsets = images[:, None] - images[None]
    same = np.linalg.norm((offsets - np.rint(offsets)) @ cell, axis=2) < SAME
    return np.flatnonzero(~np.triu(same, 1).any(axis=0))


def collinear(vectors: Floats) -> Floats | None:
    """Signed lengths of vectors along one line, the largest positive; None if they have none, or none in common."""
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.isfinite(lengths).all() or lengths.max(initial=0.0) < 1e-6:
        return None
    axis = vectors[np.argmax(lengths)] / lengths.max()
    along = vectors @ axis
    return along if np.linalg.norm(vectors - along[:, None] * axis, axis=1).max() < 0.02 * lengths.max() else None


def _offsets(place: Floats, group: Operations) -> Floats:
    """From a place to its images, the shortest fractional ones."""
    offsets = group.rotations @ place + group.translations - place
    return offsets - np.rint(offsets)


def _tensor(row: Row, basis: Floats) -> Floats:
    if row.tensor is not None:
        return basis @ row.tensor @ basis.T
    return row.isotropic * np.eye(3) if np.isfinite(row.isotropic) else np.full((3, 3), np.nan)


def _moments(row: Row, group: Operations, cell: Floats, chosen: npt.NDArray[np.int64]) -> Floats:
    """Moments of an orbit, Cartesian: axial vectors, turned over where an operation reverses time."""
    if row.moment is None:
        return np.zeros((len(chosen), 3))
    fractional = row.moment / np.linalg.norm(cell, axis=1)
    rotations = group.rotations[chosen]
    signs = np.rint(np.linalg.det(rotations)) * group.reversal[chosen]
    return (signs[:, None] * (rotations @ fractional)) @ cell
