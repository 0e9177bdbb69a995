"""The magnetisation of a structure on a grid, from a network with a spin head."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, PeriodicGrid
from rhotem.labels.gpaw_settings import DftSettings, moments
from rhotem.models.encoders.base import AtomFeatures
from rhotem.models.fast.atoms import fast_features, is_fast
from rhotem.models.fast.grid import BlockOnGrid, add_block
from rhotem.models.graph import Graph
from rhotem.models.grid import Kernel, count_correction
from rhotem.models.model import DensityModel
from rhotem.models.spin import SpinHead
from rhotem.structure.model import Structure

#: Atoms read out together.
AT_ONCE = 500


def moment_signs(structure: Structure) -> npt.NDArray[np.float64]:
    """−1, 0 or 1 for every atom: of its starting moment, or where none are given of the labels' ferromagnetic start.

    Raises
    ------
    InputError
        If the moments are not one finite number per atom.
    """
    start = moments(structure, DftSettings())
    if not np.isfinite(start).all():
        raise InputError("starting moments: not finite; give one number in Bohr magnetons per atom")
    return np.sign(start)


def spin_head(model: DensityModel, name: str) -> SpinHead:
    """The spin head of ``model``.

    Raises
    ------
    InputError
        If it has none.
    """
    if model.spin is None:
        raise InputError(
            f"model {name}: has no spin density; `rhotem train data/training/spin.toml` adds one to trained weights"
        )
    return model.spin


def magnetisation(
    model: DensityModel, structure: Structure, grid: PeriodicGrid, name: str = "", memory: float | None = None
) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    """Magnetisation m = n↑ − n↓ on a grid in µB/Å³, and a record: starting signs, total moment, moments by atom.

    The sum over the grid is the integral of every atom's functions; what its samples miss goes to its widest function.
    The total moment is not fixed by anything: it is what the network makes of the structure. ``memory``: bytes that its
    encoder may use.

    Raises
    ------
    InputError
        If the model has no spin density, or was not trained on moments of one of the elements that have them.
    """
    from ase.data import chemical_symbols

    head = spin_head(model, name)
    signs = moment_signs(structure)
    strangers = {int(z) for z in structure.numbers[signs != 0]} - set(model.settings.spin_elements)
    if strangers:
        symbols = ", ".join(chemical_symbols[z] for z in sorted(strangers))
        raise InputError(
            f"model {name}: not trained on moments of {symbols}; give zero moments there, or another model"
        )
    coefficients = spin_coefficients(model, structure, signs, memory=memory)
    values = np.zeros(grid.shape)
    for block, c in zip(head.blocks, (c.numpy() for c in coefficients), strict=True):
        sums = add_block(values, 0, BlockOnGrid(block, grid, structure.positions), c) * grid.voxel_volume
        widest, correction, _ = count_correction(block, c, sums)
        add_block(values, 0, BlockOnGrid(widest, grid, structure.positions), correction)
    held = head.atom_electrons(coefficients)
    given = "signs of the given starting moments"
    return values, {
        "starting_moments": given if structure.moments is not None else "ferromagnetic, none were given",
        "starting_signs": [int(s) for s in signs],
        "total_moment_muB": float(held.sum()),
        "moment_by_atom_muB": held.tolist(),
    }


def spin_coefficients(
    model: DensityModel,
    structure: Structure,
    signs: npt.NDArray[np.float64],
    kernel: Kernel = "auto",
    memory: float | None = None,
) -> tuple[torch.Tensor, ...]:
    """Coefficients of m in float64 on the CPU, one tensor per block; by the compiled encoder where that is possible."""
    head = spin_head(model, "")
    if kernel == "auto" and is_fast(model):
        return _compiled(model, head, structure, signs, memory)
    graph = model.graph(structure)
    with torch.no_grad():
        found = head(model.encoder(graph), graph, torch.from_numpy(signs).to(graph.vectors))
    return tuple(c.double().cpu() for c in found)


def _compiled(
    model: DensityModel, head: SpinHead, structure: Structure, signs: npt.NDArray[np.float64], memory: float | None
) -> tuple[torch.Tensor, ...]:
    """Some atoms at a time, with the scalars of their neighbours: equal surroundings may have other signs."""
    encoder, features = fast_features(model, structure, memory)
    kinds, given = torch.from_numpy(encoder.classes), torch.from_numpy(signs).to(encoder.dtype)
    numbers = torch.from_numpy(encoder.numbers)
    result = tuple(
        torch.empty(len(structure), b.functions, (b.lmax + 1) ** 2, dtype=torch.float64) for b in head.blocks
    )
    for start in range(0, len(structure), AT_ONCE):
        own = np.arange(start, min(start + AT_ONCE, len(structure)))
        starts, neighbour, vectors = encoder.neighbours.around(own)
        others, place = np.unique(neighbour, return_inverse=True)
        atoms = torch.from_numpy(np.concatenate([own, others]))
        edges = Graph(
            numbers=numbers[atoms],
            centre=torch.from_numpy(np.repeat(np.arange(len(own)), np.diff(starts))),
            neighbour=torch.from_numpy(place + len(own)),
            vectors=torch.from_numpy(vectors).to(encoder.dtype),
            cell_index=torch.zeros(len(atoms), dtype=torch.long),
            charge=torch.zeros(len(atoms), dtype=encoder.dtype),
            total_charge=torch.zeros(1, dtype=encoder.dtype),
        )
        here = slice(start, start + len(own))
        with torch.no_grad():
            around = head.around(features.scalars[kinds[atoms]], edges, given[atoms])[: len(own)]
            mine = AtomFeatures(features.scalars[kinds[here]], features.tensors[kinds[here]])
            found = head.from_around(mine, around, numbers[here], given[here])
        for total, c in zip(result, found, strict=True):
            total[here] = c.double()
    return result
