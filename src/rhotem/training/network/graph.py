"""Who sees whom: structures as graphs, for the networks that are trained."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError
from rhotem.learned.neighbours import CLOSEST
from rhotem.learned.pairs import atom_pairs


@dataclass(frozen=True, eq=False)
class Graph:
    """One or several structures as the encoders see them.

    Parameters
    ----------
    numbers : (N,) int tensor
        Atomic numbers.
    centre, neighbour : (E,) int tensors
        Edge e carries what ``neighbour[e]`` tells ``centre[e]``.
    vectors : (E, 3) tensor
        From the centre to the neighbour's image, Å.
    charge : (N,) tensor
        Charge of the cell per atom, q/N, in e.
    cell_index : (N,) int tensor
        Which structure of the batch an atom belongs to.
    total_charge : (B,) tensor
        Charge q of every structure in e.
    extra : (N, C) tensor or None
        Given features of the atoms (pretrained encoders).
    """

    numbers: torch.Tensor
    centre: torch.Tensor
    neighbour: torch.Tensor
    vectors: torch.Tensor
    charge: torch.Tensor
    cell_index: torch.Tensor
    total_charge: torch.Tensor
    extra: torch.Tensor | None = None

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> "Graph":
        """The same graph on a device, its real numbers in ``dtype``."""
        moved = {}
        for name, value in self.__dict__.items():
            if value is None:
                continue
            moved[name] = value.to(device, dtype) if value.is_floating_point() else value.to(device)
        return Graph(**moved)


def build_graph(
    numbers: npt.ArrayLike,
    positions: npt.ArrayLike,
    cell: npt.ArrayLike,
    cutoff: float,
    charge: float = 0.0,
) -> Graph:
    """Graph of one periodic structure in float64.

    Raises
    ------
    InputError
        If there are no atoms or no cell, positions are not finite, or two atoms are closer than 0.5 Å.
    """
    z = np.asarray(numbers, dtype=np.int64)
    r = np.asarray(positions, dtype=float).reshape(-1, 3)
    if len(z) == 0:
        raise InputError("model: the structure has no atoms; give at least one")
    if not np.isfinite(r).all() or not np.isfinite(charge):
        raise InputError("model: positions or charge are not finite numbers; check the structure file")
    if not abs(np.linalg.det(np.asarray(cell, dtype=float).reshape(3, 3))) > 1e-6:
        raise InputError("model: the cell has no volume; give three lattice vectors, vacuum included for a molecule")
    centre, neighbour, vectors = atom_pairs(r, np.asarray(cell, dtype=float), cutoff)
    length = np.linalg.norm(vectors, axis=1)
    if len(length) and length.min() < CLOSEST:
        e = int(length.argmin())
        raise InputError(
            f"model: atoms {centre[e]} and {neighbour[e]} are {length[e]:.2f} Å apart, expected at least {CLOSEST} Å; "
            "check the cell and duplicated sites"
        )
    n = len(z)
    return Graph(
        numbers=torch.from_numpy(z),
        centre=torch.from_numpy(centre),
        neighbour=torch.from_numpy(neighbour),
        vectors=torch.from_numpy(vectors),
        charge=torch.full((n,), charge / n, dtype=torch.float64),
        cell_index=torch.zeros(n, dtype=torch.long),
        total_charge=torch.tensor([charge], dtype=torch.float64),
    )


def join(graphs: list[Graph]) -> Graph:
    """Several graphs as one without edges between them."""
    atoms = np.cumsum([0] + [len(g.numbers) for g in graphs])
    cells = np.cumsum([0] + [len(g.total_charge) for g in graphs])
    extra = None if graphs[0].extra is None else torch.cat([g.extra for g in graphs if g.extra is not None])
    return Graph(
        numbers=torch.cat([g.numbers for g in graphs]),
        centre=torch.cat([g.centre + int(a) for g, a in zip(graphs, atoms, strict=False)]),
        neighbour=torch.cat([g.neighbour + int(a) for g, a in zip(graphs, atoms, strict=False)]),
        vectors=torch.cat([g.vectors for g in graphs]),
        charge=torch.cat([g.charge for g in graphs]),
        cell_index=torch.cat([g.cell_index + int(c) for g, c in zip(graphs, cells, strict=False)]),
        total_charge=torch.cat([g.total_charge for g in graphs]),
        extra=extra,
    )
