"""Sites of a reference crystal in the cell of a trajectory."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.battery.trajectories.model import Trajectory
from rhotem.core import InputError
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

#: Largest difference of lattice vectors from whole multiples of the reference's, as a share.
STRAIN = 0.05
#: Å: mean places of a framework's atoms are this near to those of the crystal that it is of.
NEAR = 0.6


@dataclass(frozen=True, eq=False)
class Sites:
    """Places where atoms of an element may be.

    Parameters
    ----------
    element : str
    places : (S, 3) array
        Fractional, in the cell of the trajectory.
    cell : (3, 3) array
        That cell, Å.
    """

    element: str
    places: Floats
    cell: Floats

    def __len__(self) -> int:
        return len(self.places)

    @property
    def nearest(self) -> float:
        """Least distance in Å between two sites."""
        from scipy.spatial import cKDTree

        if len(self) < 2:
            return float(np.linalg.norm(self.cell, axis=1).min())
        images = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        around = (self.places[None] + images[:, None]).reshape(-1, 3) @ self.cell
        distances, _ = cKDTree(around).query(self.places @ self.cell, k=2)
        return float(distances[:, 1].min())

    def vectors(self, places: Floats) -> Floats:
        """From every site to every place (P, 3), fractional, by the nearest image, in Å: (P, S, 3)."""
        apart = places[:, None] - self.places[None]
        return np.asarray((apart - np.rint(apart)) @ self.cell)


def sites_of(trajectory: Trajectory, reference: Structure, element: str) -> Sites:
    """Sites of an element of a reference crystal, repeated to the trajectory's cell and laid over its framework.

    The framework are the atoms of the other elements; the reference is moved so that its own lie on them in the mean.

    Parameters
    ----------
    trajectory : Trajectory
    reference : Structure
        A perfect crystal whose cell, a whole number of times along its own vectors, is the trajectory's.
    element : str

    Raises
    ------
    InputError
        If the reference has no such element, another cell, or another framework.
    """
    name = reference.info.get("name", reference.formula)
    cell = trajectory.mean_cell
    counts = _repeats(reference, cell, name)
    atoms = reference.atoms.repeat(tuple(counts))
    numbers, places = np.asarray(atoms.numbers), atoms.get_scaled_positions(wrap=True)
    symbols = np.array(atoms.get_chemical_symbols())
    if element not in symbols:
        raise InputError(f"--reference {name}: it has no {element}; choose one of {', '.join(sorted(set(symbols)))}")
    inverse = np.linalg.inv(cell)
    mean = trajectory.paths().mean(axis=0) @ inverse
    host, own = trajectory.symbols != element, symbols != element
    shift = _shift(mean[host], trajectory.numbers[host], places[own], numbers[own], cell, name) if own.any() else 0.0
    return Sites(element, (places[symbols == element] + shift) % 1.0, cell)


def _repeats(reference: Structure, cell: Floats, name: str) -> list[int]:
    ratio = cell @ np.linalg.inv(reference.cell)
    whole = np.rint(np.diag(ratio)).astype(int)
    lengths = np.linalg.norm(reference.cell, axis=1)
    off = np.abs((ratio - np.diag(whole)) @ reference.cell).max(axis=1) / (np.maximum(whole, 1) * lengths)
    if whole.min() < 1 or off.max() > STRAIN:
        raise InputError(
            f"--reference {name}: its cell {np.round(reference.atoms.cell.cellpar(), 2).tolist()} along its own "
            f"vectors does not give that of the trajectory {np.round(_cellpar(cell), 2).tolist()}; give a crystal in "
            "the same directions (a supercell without defects does)"
        )
    return [int(n) for n in whole]


def _cellpar(cell: Floats) -> Floats:
    from ase.geometry import cell_to_cellpar

    return np.asarray(cell_to_cellpar(cell))


def _shift(host: Floats, numbers: npt.NDArray, places: Floats, kinds: npt.NDArray, cell: Floats, name: str) -> Floats:
    """Fractional translation that lays reference places on the mean places of a framework."""
    rarest = min(set(kinds.tolist()), key=lambda z: int((kinds == z).sum()))
    mine = np.flatnonzero(numbers == rarest)
    if not len(mine):
        raise InputError(f"--reference {name}: the trajectory has other elements; give the crystal that it is of")
    best, least = np.zeros(3), np.inf
    for start in places[kinds == rarest]:
        shift = host[mine[0]] - start
        for _ in range(2):
            apart, far = _to_nearest(host, numbers, places + shift, kinds, cell)
            shift = shift + apart.mean(axis=0)
        if far < least:
            best, least = shift, far
    if least > NEAR:
        raise InputError(
            f"--reference {name}: its framework is up to {least:.1f} Å from that of the trajectory; give the crystal "
            "that it is of, in the same directions"
        )
    return best


def _to_nearest(
    host: Floats, numbers: npt.NDArray, places: Floats, kinds: npt.NDArray, cell: Floats
) -> tuple[Floats, float]:
    """Fractional vectors from the nearest place of its kind to every atom of the framework; the longest in Å."""
    vectors = []
    for z in set(numbers.tolist()):
        if not (kinds == z).any():
            return np.zeros((1, 3)), np.inf
        apart = host[numbers == z][:, None] - places[kinds == z][None]
        apart -= np.rint(apart)
        distance = np.linalg.norm(apart @ cell, axis=2)
        vectors.append(np.take_along_axis(apart, distance.argmin(axis=1)[:, None, None], axis=1)[:, 0])
    together = np.concatenate(vectors)
    return together, float(np.linalg.norm(together @ cell, axis=1).max())
