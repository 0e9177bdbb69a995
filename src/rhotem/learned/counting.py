"""Electrons: coefficients put right, atoms that nothing is near and that stay free, charges that cannot be."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.learned.surroundings import alone
from rhotem.structure.model import Structure
from rhotem.structure.vacuum import find_vacuum

if TYPE_CHECKING:
    from rhotem.learned.model import LearnedModel


def count_exactly(
    model: "LearnedModel", structure: Structure, coefficients: tuple[npt.NDArray[np.float64], ...]
) -> None:
    """Put right what rounding made of the electrons of coefficients in float64, alike in all atoms with neighbours.

    Atoms without any (`stays_free`) are as the reference: of Δn they have nothing.

    Raises
    ------
    InputError
        If all atoms are alone and the cell is charged.
    """
    blocks = model.readout.blocks
    free = stays_free(model, structure)
    for c in coefficients:
        c[free] = 0.0
    if free.all():
        check_alone(structure)
        return
    held = sum(float((c[..., 0] @ b.electrons).sum()) for c, b in zip(coefficients, blocks, strict=True))
    missing = -structure.charge - held
    coefficients[-1][~free, -1, 0] += missing / (int((~free).sum()) * blocks[-1].electrons[-1])


def check_alone(structure: Structure) -> None:
    """Refuse a charge of a cell all of whose atoms are alone."""
    if structure.charge:
        raise InputError("model: atoms without neighbours stay free, and free atoms cannot be charged; set charge 0")


def stays_free(model: "LearnedModel", structure: Structure) -> npt.NDArray[np.bool_]:
    """Atoms (N,) that nothing is within the encoder's reach of: there is nothing to bond to, Δn is that of a free atom.

    None where single atoms cannot be left free.
    """
    if not model.can.single:
        return np.zeros(len(structure), dtype=bool)
    return alone(structure, model.any_encoder.cutoff)


def free_remark(model: "LearnedModel", structure: Structure, free: npt.NDArray[np.bool_]) -> list[str]:
    """A line on atoms that stay free, if there are any."""
    if not free.any():
        return []
    which = np.flatnonzero(free)
    names = [f"{structure.atoms.symbols[i]}{i + 1}" for i in which[:5]] + (["…"] if len(which) > 5 else [])
    return [
        f"no neighbour within {model.any_encoder.cutoff:g} Å of {', '.join(names)}: left free, Δn = 0, spherical and "
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
