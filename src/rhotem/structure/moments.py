"""Starting moments of the atoms: what decides which of a crystal's magnetic states is meant."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.model import Structure

#: Ferromagnetic starting moments in Bohr magnetons (Cr³⁺, Ce³⁺ and Nd³⁺ high spin); cells without any of these elements
#: are run spin-paired.
START_MOMENTS = {"Co": 0.6, "Cr": 3.0, "Fe": 4.0, "Mn": 3.8, "Ni": 1.5, "V": 2.0, "Ti": 0.3, "Ce": 1.0, "Nd": 3.0}


def starting_moments(structure: Structure, by_element: Mapping[str, float] = START_MOMENTS) -> npt.NDArray[np.float64]:
    """Moments (N,) in Bohr magnetons: the structure's own, or ferromagnetic from a table.

    Raises
    ------
    InputError
        If the structure's own are not one per atom.
    """
    if structure.moments is not None:
        own = np.asarray(structure.moments, dtype=float)
        if own.shape != (len(structure),):
            raise InputError(f"starting moments: got shape {own.shape}, expected one per atom, ({len(structure)},)")
        return own
    return np.array([by_element.get(s, 0.0) for s in structure.atoms.symbols], dtype=float)
