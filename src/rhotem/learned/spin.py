"""The magnetisation of a structure on a grid, from a network with a spin head."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.learned.coefficients import class_features
from rhotem.learned.encoders.stage import AtomFeatures
from rhotem.learned.grid import add, count_correction
from rhotem.learned.model import LearnedModel
from rhotem.learned.readouts.spherical.coefficients import electrons_by_atom
from rhotem.learned.spin_head import SpinHead
from rhotem.structure.model import Structure
from rhotem.structure.moments import starting_moments

#: Atoms read out together.
AT_ONCE = 500


def moment_signs(structure: Structure) -> npt.NDArray[np.float64]:
    """−1, 0 or 1 for every atom: of its starting moment, or where none are given of the labels' ferromagnetic start.

    Raises
    ------
    InputError
        If the moments are not one finite number per atom.
    """
    start = starting_moments(structure)
    if not np.isfinite(start).all():
        raise InputError("starting moments: not finite; give one number in Bohr magnetons per atom")
    return np.sign(start)


def spin_head(model: LearnedModel, name: str) -> SpinHead:
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
    model: LearnedModel, structure: Structure, grid: PeriodicGrid, name: str = "", memory: float | None = None
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
    for block, c in zip(head.blocks, coefficients, strict=True):
        sums = add(values, block, grid, structure.positions, c) * grid.voxel_volume
        widest, correction, _ = count_correction(block, c, sums)
        add(values, widest, grid, structure.positions, correction)
    held = electrons_by_atom(head.blocks, coefficients)
    given = "signs of the given starting moments"
    return values, {
        "starting_moments": given if structure.moments is not None else "ferromagnetic, none were given",
        "starting_signs": [int(s) for s in signs],
        "total_moment_muB": float(held.sum()),
        "moment_by_atom_muB": held.tolist(),
    }


def spin_coefficients(
    model: LearnedModel, structure: Structure, signs: npt.NDArray[np.float64], memory: float | None = None
) -> tuple[npt.NDArray[np.float64], ...]:
    """Coefficients of m in double precision, one array (N, functions, (lmax+1)²) per block.

    Some atoms at a time, with the scalars of their neighbours: equal surroundings may have other signs.
    """
    head = spin_head(model, "")
    encoder, features = class_features(model, structure, memory)
    kinds, sign = encoder.classes, signs.astype(encoder.dtype)
    result = tuple(np.empty((len(structure), b.functions, (b.lmax + 1) ** 2)) for b in head.blocks)
    for start in range(0, len(structure), AT_ONCE):
        own = np.arange(start, min(start + AT_ONCE, len(structure)))
        starts, neighbour, vectors = encoder.neighbours.around(own)
        others, place = np.unique(neighbour, return_inverse=True)
        mine = AtomFeatures(features.scalars[kinds[own]], features.tensors[kinds[own]])
        around = head.around(mine.scalars, features.scalars[kinds[others]], (starts, place, vectors), sign[others])
        found = head(mine, around, encoder.numbers[own], sign[own])
        for total, c in zip(result, found, strict=True):
            total[own] = c
    return result
