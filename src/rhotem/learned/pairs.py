"""Who is near whom, with all periodic images: atoms around atoms, and atoms around points."""

import numpy as np
import numpy.typing as npt


def atom_pairs(
    positions: npt.NDArray[np.float64], cell: npt.NDArray[np.float64], cutoff: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Ordered pairs (centre, neighbour, vector in Å) within ``cutoff``, images included, an atom and itself not."""
    centre, image, vectors, itself = _search(positions, positions, cell, cutoff)
    keep = ~itself
    return centre[keep], image[keep], vectors[keep]


def probe_pairs(
    points: npt.NDArray[np.float64], positions: npt.NDArray[np.float64], cell: npt.NDArray[np.float64], cutoff: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Pairs (point, atom, vector from the atom to the point in Å) within ``cutoff``, ordered by atom."""
    point, atom, vectors, _ = _search(points, positions, cell, cutoff)
    order = np.argsort(atom, kind="stable")
    return point[order], atom[order], -vectors[order]


def images_near_cell(
    positions: npt.NDArray[np.float64], cell: npt.NDArray[np.float64], reach: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Atoms and images that can be within ``reach`` (Å) of a point of the cell, (I, 3) in Å, and their atoms (I,)."""
    inverse = np.linalg.inv(cell)
    margin = reach * np.linalg.norm(inverse, axis=0)
    fractional = positions @ inverse
    low, high = np.floor(-margin - fractional.max(0)), np.ceil(1.0 + margin - fractional.min(0))
    axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    shifts = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    moved = fractional[:, None] + shifts
    keep = ((moved > -margin) & (moved < 1.0 + margin)).all(-1)
    return moved[keep] @ cell, np.nonzero(keep)[0]


def _search(
    points: npt.NDArray[np.float64], positions: npt.NDArray[np.float64], cell: npt.NDArray[np.float64], cutoff: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Pairs point–image with vectors point -> image, and whether the image is the unmoved atom at the point's place."""
    from scipy.spatial import cKDTree

    inverse = np.linalg.inv(cell)
    fractional = points @ inverse
    shift = np.floor(fractional)
    inside = (fractional - shift) @ cell
    base_shift = np.floor(positions @ inverse)
    base = (positions @ inverse - base_shift) @ cell
    reach = np.ceil(cutoff * np.linalg.norm(inverse, axis=0)).astype(int)
    axes = [np.arange(-n, n + 1) for n in reach]
    translations = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) @ cell
    low, high = inside.min(0) - cutoff, inside.max(0) + cutoff
    images, atoms = [], []
    for translation in translations:
        moved = base + translation
        near = ((moved >= low) & (moved <= high)).all(1)
        images.append(moved[near])
        atoms.append(np.flatnonzero(near))
    every, owner = np.concatenate(images), np.concatenate(atoms)
    if len(every) == 0:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, np.zeros((0, 3)), np.zeros(0, dtype=bool)
    found = cKDTree(inside).sparse_distance_matrix(cKDTree(every), cutoff, output_type="ndarray")
    point = found["i"].astype(np.int64)
    image = found["j"].astype(np.int64)
    order = np.lexsort((image, point))
    point, image = point[order], image[order]
    vectors = every[image] - inside[point]
    itself = (owner[image] == point) & (np.abs(vectors).max(axis=1, initial=0.0) < 1e-9)
    return point, owner[image].astype(np.int64), vectors, itself
