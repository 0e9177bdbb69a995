"""Electrons: coefficients put right, atoms that nothing is near and that stay free, charges that cannot be."""

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError
from rhotem.models.model import DensityModel
from rhotem.models.surroundings import alone
from rhotem.structure.model import Structure
from rhotem.structure.vacuum import find_vacuum


def count_exactly(model: DensityModel, structure: Structure, coefficients: tuple[torch.Tensor, ...]) -> None:
    """Put right what rounding made of the electrons of coefficients in float64, alike in all atoms with neighbours.

    Atoms without any (`stays_free`) are as the reference: of Δn they have nothing.

    Raises
    ------
    InputError
        If all atoms are alone and the cell is charged.
    """
    blocks = model.readout.blocks
    free = torch.from_numpy(stays_free(model, structure))
    for c in coefficients:
        c[free] = 0.0
    if free.all():
        if structure.charge:
            raise InputError(
                "model: atoms without neighbours stay free, and free atoms cannot be charged; set charge 0"
            )
        return
    held = sum(
        float((c[..., 0] @ torch.from_numpy(b.electrons)).sum()) for c, b in zip(coefficients, blocks, strict=True)
    )
    missing = model.readout.electrons_of(structure) - held
    coefficients[-1][~free, -1, 0] += missing / (int((~free).sum()) * blocks[-1].electrons[-1])


def stays_free(model: DensityModel, structure: Structure) -> npt.NDArray[np.bool_]:
    """Atoms (N,) that nothing is within the encoder's reach of: there is nothing to bond to, Δn is that of a free atom.

    None where the whole valence density is drawn, or not by functions around atoms.
    """
    if model.settings.target != "deformation" or not model.readout.linear:
        return np.zeros(len(structure), dtype=bool)
    return alone(structure, model.encoder.cutoff)


def free_remark(model: DensityModel, structure: Structure, free: npt.NDArray[np.bool_]) -> list[str]:
    """A line on atoms that stay free, if there are any."""
    if not free.any():
        return []
    which = np.flatnonzero(free)
    names = [f"{structure.atoms.symbols[i]}{i + 1}" for i in which[:5]] + (["…"] if len(which) > 5 else [])
    return [
        f"no neighbour within {model.encoder.cutoff:g} Å of {', '.join(names)}: left free, Δn = 0, spherical and "
        "without spin as the reference; --source gpaw calculates it"
    ]


def check_charge(structure: Structure) -> None:
    """Refuse charged slabs: their background would fill the vacuum."""
    if not structure.charge:
        return
    vacuum = find_vacuum(structure)
    if vacuum is not None:
        raise InputError(
            f"charge {structure.charge:+g} e in a cell with {vacuum[2]:.1f} Å of vacuum: the compensating background "
            "would fill it; use a neutral slab"
        )
