"""Starting moments of the atoms: what decides which of a crystal's magnetic states is meant."""

from collections.abc import Mapping, Sequence

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.model import Structure

#: Ferromagnetic starting moments in Bohr magnetons (Cr³⁺, Ce³⁺ and Nd³⁺ high spin); cells without any of these elements
#: are run spin-paired.
START_MOMENTS = {"Co": 0.6, "Cr": 3.0, "Fe": 4.0, "Mn": 3.8, "Ni": 1.5, "V": 2.0, "Ti": 0.3, "Ce": 1.0, "Nd": 3.0}
#: Name of the array that carries moments with ASE's atoms while they are put together.
ARRAY = "moments_muB"


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


def carried(atoms: ase.Atoms, moments: npt.NDArray[np.float64] | None) -> ase.Atoms:
    """``atoms`` with moments as an array of theirs, which ASE carries through repeats, selections and sums."""
    if moments is not None:
        atoms.set_array(ARRAY, np.array(moments, dtype=float))
    return atoms


def taken(atoms: ase.Atoms) -> npt.NDArray[np.float64] | None:
    """The array of `carried`, taken off."""
    return atoms.arrays.pop(ARRAY, None)


def own_moments(atoms: ase.Atoms) -> npt.NDArray[np.float64]:
    """Those that atoms carry, else their starting ones."""
    return starting_moments(Structure(atoms, moments=atoms.arrays.get(ARRAY)))


def picked_moments(structure: Structure, index: npt.ArrayLike) -> npt.NDArray[np.float64] | None:
    """Moments of some atoms of a structure, in their order."""
    return None if structure.moments is None else np.asarray(structure.moments)[np.asarray(index, dtype=np.int64)]


def beside(host: Structure, number: int) -> npt.NDArray[np.float64] | None:
    """Moments of ``number`` atoms, those of the host first: molecules behind it have none."""
    return None if host.moments is None else np.pad(host.moments, (0, number - len(host)))


def of_parts(parts: Sequence[Structure]) -> list[npt.NDArray[np.float64] | None]:
    """Moments of structures that are put together: where one has some, the others get their starting ones."""
    if all(part.moments is None for part in parts):
        return [None] * len(parts)
    return [starting_moments(part) for part in parts]


def of_new_elements(
    structure: Structure, numbers: npt.NDArray[np.int64], sites: npt.ArrayLike
) -> npt.NDArray[np.float64] | None:
    """Moments of atoms on sites of a structure: the site's, of another element its own with the sign of the site's."""
    from ase.data import chemical_symbols

    index = np.asarray(sites, dtype=np.int64)
    moments = picked_moments(structure, index)
    if moments is not None:
        for atom in np.flatnonzero(structure.numbers[index] != numbers):
            own = START_MOMENTS.get(chemical_symbols[numbers[atom]], 0.0)
            moments[atom] = -own if moments[atom] < 0 else own
    return moments


def lost(structure: Structure, name: str) -> tuple[str, ...]:
    """The remark that moments of a structure are not passed on, if it has some."""
    if structure.moments is None:
        return ()
    return (f"{name}: its magnetic moments are not passed on; ferromagnetic high spin is taken where spins count",)
