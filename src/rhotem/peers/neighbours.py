"""Who sends to whom: atoms to atoms or atoms to probes, periodic images of one atom grouped into a pair."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from rhotem.learned.pairs import atom_pairs, probe_pairs

#: Vectors shorter than this (Å) have no direction: harmonics with l > 0 vanish there, as in the official codes.
NO_DIRECTION = 1e-12


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Edges from atoms to receivers within the cutoff, sorted by atom, then receiver.

    Parameters
    ----------
    receivers : int
        Number of receivers (atoms or probes).
    atom, receiver : (E,) int tensors
        Sender and receiver of every edge; every periodic image is an edge of its own.
    vectors : (E, 3) tensor
        From the atom's image to the receiver, Å.
    """

    receivers: int
    atom: torch.Tensor
    receiver: torch.Tensor
    vectors: torch.Tensor

    @cached_property
    def distances(self) -> torch.Tensor:
        """Lengths of the vectors in Å; (E,)."""
        return self.vectors.norm(dim=1)

    @cached_property
    def directions(self) -> torch.Tensor:
        """Unit vectors, zero where the receiver sits on the atom; (E, 3)."""
        return self.vectors / self.distances.clamp(min=NO_DIRECTION)[:, None]

    @cached_property
    def pairs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Atom (M,) and receiver (M,) of every pair, and the pair of every edge (E,)."""
        number, pair = torch.unique_consecutive(self.atom * self.receivers + self.receiver, return_inverse=True)
        return number // self.receivers, number % self.receivers, pair

    @property
    def slices(self) -> list[tuple[int, slice]]:
        """Atoms that send, each with its edges."""
        atoms, counts = torch.unique_consecutive(self.atom, return_counts=True)
        ends = counts.cumsum(0).tolist()
        return [(a, slice(e - n, e)) for a, n, e in zip(atoms.tolist(), counts.tolist(), ends, strict=True)]


def between_atoms(
    positions: npt.NDArray[np.float64],
    cell: npt.NDArray[np.float64],
    cutoff: float,
    like: torch.Tensor,
) -> Neighbours:
    """Edges from atoms to atoms, an atom and itself not; tensors of the kind and device of ``like``."""
    centre, neighbour, vectors = atom_pairs(positions, cell, cutoff)
    order = np.lexsort((centre, neighbour))
    return _make(len(positions), neighbour[order], centre[order], -vectors[order], like)


def to_probes(
    points: npt.NDArray[np.float64],
    positions: npt.NDArray[np.float64],
    cell: npt.NDArray[np.float64],
    cutoff: float,
    like: torch.Tensor,
) -> Neighbours:
    """Edges from atoms to points (Å), which may lie on nuclei; tensors of the kind and device of ``like``."""
    point, atom, vectors = probe_pairs(points, positions, cell, cutoff)
    return _make(len(points), atom, point, vectors, like)


def sorted_by_sender(receivers: int, atom: torch.Tensor, receiver: torch.Tensor, vectors: torch.Tensor) -> Neighbours:
    """Edges given in any order; ``vectors`` (E, 3) from the atom's image to the receiver, Å."""
    order = torch.argsort(atom * receivers + receiver)
    return Neighbours(receivers, atom[order], receiver[order], vectors[order])


def _make(
    receivers: int,
    atom: npt.NDArray[np.int64],
    receiver: npt.NDArray[np.int64],
    vectors: npt.NDArray[np.float64],
    like: torch.Tensor,
) -> Neighbours:
    device = like.device
    return Neighbours(
        receivers,
        torch.from_numpy(atom).to(device),
        torch.from_numpy(receiver).to(device),
        torch.from_numpy(vectors).to(device, like.dtype),
    )
