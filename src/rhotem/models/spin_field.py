"""The magnetisation of a structure on a grid, from a network with a spin head."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, PeriodicGrid
from rhotem.labels.gpaw_settings import DftSettings, moments
from rhotem.models.fast.grid import BlockOnGrid, add_block
from rhotem.models.grid import count_correction
from rhotem.models.model import DensityModel
from rhotem.models.spin import SpinHead
from rhotem.structure.model import Structure


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
    model: DensityModel, structure: Structure, grid: PeriodicGrid, name: str = ""
) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    """Magnetisation m = n↑ − n↓ on a grid in µB/Å³, and a record: starting signs, total moment, moments by atom.

    The sum over the grid is the integral of every atom's functions; what its samples miss goes to its widest function.
    The total moment is not fixed by anything: it is what the network makes of the structure.

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
    coefficients = spin_coefficients(model, structure, signs)
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
    model: DensityModel, structure: Structure, signs: npt.NDArray[np.float64]
) -> tuple[torch.Tensor, ...]:
    """Coefficients of m in float64 on the CPU, one tensor per block."""
    graph = model.graph(structure)
    with torch.no_grad():
        found = spin_head(model, "")(model.encoder(graph), graph, torch.from_numpy(signs).to(graph.vectors))
    return tuple(c.double().cpu() for c in found)
