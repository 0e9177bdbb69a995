"""Displacement tensors U = ⟨u uᵀ⟩ of atoms: carried through changes of the crystal, and judged before they are used."""

from collections.abc import Sequence

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.debye import ROOM, at_temperature
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

#: Mean ⟨u²⟩ in Å² that an atom of a crystal has; what is stated outside is a placeholder, a misprint or disorder.
LEAST, MOST = 0.001, 0.1
#: Round numbers in Å² that stand in files where nothing was measured, also as B = 0.5, 1, 2, 3 Å².
ROUND = (0.005, 0.01, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, *(b / (8 * np.pi**2) for b in (0.5, 1, 2, 3)))
#: How many times hotter than it was measured a crystal may be.
FURTHEST = 5.0
#: Relative difference within which numbers are the same, as files print them.
SAME = 1e-3
#: Name of the array that carries tensors with ASE's atoms while they are put together.
ARRAY = "displacements_A2"
REFUSED = "displacements of the structure's source not used"


def transformed(displacements: Floats | None, gradient: npt.ArrayLike) -> Floats | None:
    """Tensors in a body that is turned or strained by r' = F r: U' = F U Fᵀ."""
    if displacements is None:
        return None
    f = np.asarray(gradient, dtype=float)
    return np.einsum("...ij,...jk,...lk->...il", f, displacements, f)


def picked(displacements: Floats | None, index: npt.ArrayLike) -> Floats | None:
    """Those of some atoms, in their order."""
    return None if displacements is None else displacements[np.asarray(index, dtype=np.int64)]


def repeated_tensors(displacements: Floats | None, copies: int) -> Floats | None:
    """Those of a cell repeated so many times, one copy after another."""
    return None if displacements is None else np.tile(displacements, (copies, 1, 1))


def of_grains(
    displacements: Floats | None, turns: Floats, grain: npt.NDArray[np.int64], site: npt.NDArray[np.int64]
) -> Floats | None:
    """Those of sites of a crystal, turned with the grain that every atom belongs to; ``turns`` (G, 3, 3)."""
    result = picked(displacements, site)
    if result is not None:
        for number, turn in enumerate(turns):
            result[grain == number] = transformed(result[grain == number], turn)
    return result


def known_at(*structures: Structure) -> dict[str, float]:
    """``info`` on the temperature of displacements that came from structures, if they agree; else empty."""
    stated = {s.info.get("displacements_kelvin") for s in structures if s.displacements is not None}
    kelvin = stated.pop() if len(stated) == 1 else None
    return {} if kelvin is None else {"displacements_kelvin": kelvin}


def attached(atoms: ase.Atoms, displacements: Floats | None) -> ase.Atoms:
    """``atoms`` with the tensors as an array of theirs, which ASE carries through repeats, selections and sums."""
    if displacements is not None:
        atoms.set_array(ARRAY, np.array(displacements, dtype=float))
    return atoms


def detached(atoms: ase.Atoms) -> Floats | None:
    """The array of `attached`, taken off."""
    return atoms.arrays.pop(ARRAY, None)


def deformed(atoms: ase.Atoms, gradient: npt.ArrayLike) -> None:
    """Turn or strain an attached array by r' = F r, where the atoms themselves were."""
    if ARRAY in atoms.arrays:
        attached(atoms, transformed(atoms.arrays[ARRAY], gradient))


def alike(*parts: ase.Atoms) -> None:
    """Before atoms are added: those without an attached array get one that says nothing, if others have it."""
    if any(ARRAY in atoms.arrays for atoms in parts):
        for atoms in parts:
            if ARRAY not in atoms.arrays:
                attached(atoms, np.full((len(atoms), 3, 3), np.nan))


def class_means(displacements: Floats | None, classes: npt.NDArray, keep: npt.NDArray) -> Floats | None:
    """Means over atoms of one class, for the atoms ``keep``; an atom without a value counts for nothing."""
    if displacements is None:
        return None
    means = []
    for atom in keep:
        own = displacements[classes == classes[atom]]
        own = own[np.isfinite(own).all(axis=(1, 2))]
        means.append(own.mean(axis=0) if len(own) else np.full((3, 3), np.nan))
    return np.array(means)


def judged(structure: Structure) -> tuple[Floats | None, tuple[str, ...]]:
    """The tensors (N, 3, 3) that the structure's source states and that can be believed, NaN elsewhere, and remarks.

    None if there are none at all.

    Refused are all of them where they are a placeholder: equal on all sites though there are several elements, or, in
    a crystal of one element, equal and a round number (`ROUND`; one site with 0.0064 Å² is a measurement). Refused are
    single atoms whose tensor has a principal value of zero or below or a mean outside 0.001–0.1 Å².

    Raises
    ------
    InputError
        If the array's shape is not (N, 3, 3).
    """
    count = len(structure)
    if structure.displacements is None:
        return None, ()
    tensors = np.array(structure.displacements, dtype=float)
    if tensors.shape != (count, 3, 3):
        raise InputError(f"displacements of the structure: shape {tensors.shape}, expected ({count}, 3, 3)")
    tensors = 0.5 * (tensors + tensors.transpose(0, 2, 1))
    stated = np.isfinite(tensors).all(axis=(1, 2))
    tensors[~stated] = np.nan
    if not stated.any():
        return None, ()
    principal = np.full((count, 3), np.nan)
    principal[stated] = np.linalg.eigvalsh(tensors[stated])
    symbols = np.array(structure.atoms.get_chemical_symbols())
    placeholder = _placeholder(principal[stated], symbols[stated])
    if placeholder:
        return None, (f"{REFUSED}: {placeholder}",)
    mean = principal.mean(axis=1)
    remarks = []
    for bad, why in (
        (stated & (principal.min(axis=1) <= 0), "not positive definite"),
        (stated & ((mean < LEAST) | (mean > MOST)), f"outside {LEAST:g}–{MOST:g} Å²"),
    ):
        new = bad & np.isfinite(tensors).all(axis=(1, 2))
        if new.any():
            listed = ", ".join(_counted(symbol, new, symbols, mean) for symbol in dict.fromkeys(symbols[new].tolist()))
            as_b = (mean[new] / (8.0 * np.pi**2) >= LEAST).all()
            remarks.append(f"{REFUSED} for {listed}: {why}{', B by their size' if as_b else ''}")
        tensors[new] = np.nan
    return tensors, tuple(remarks)


def _placeholder(principal: Floats, symbols: npt.NDArray) -> str:
    """What is wrong with principal values of atoms as a whole; "" if nothing."""
    first = principal[0]
    scale = max(float(np.abs(first).max()), 1e-12)
    if np.abs(principal - first).max() > SAME * scale:
        return ""
    value = float(first.mean())
    if value <= 0:
        return ""  # refused atom by atom, as not positive
    many = len(set(symbols.tolist())) > 1
    if many:
        return f"{value:.4f} Å² on every site is a placeholder"
    isotropic = np.ptp(first) <= SAME * scale
    return (
        f"{value:.4f} Å² is a round number, a placeholder"
        if isotropic and any(abs(value - number) <= 1e-3 * number for number in ROUND)
        else ""
    )


def _counted(symbol: str, chosen: npt.NDArray, symbols: npt.NDArray, mean: Floats) -> str:
    """``2 of 4 O (0.2000 Å²)``; the number once where it is one."""
    own, every = chosen & (symbols == symbol), int((symbols == symbol).sum())
    low, high = float(mean[own].min()), float(mean[own].max())
    amount = f"{low:.4f}" if high - low < 5e-5 else f"{low:.4f} to {high:.4f}"
    return f"{symbol if own.sum() == every else f'{own.sum()} of {every} {symbol}'} ({amount} Å²)"


def at_another_temperature(
    tensors: Floats, masses: Sequence[float] | Floats, known: float, wanted: float, zero_point: bool = True
) -> Floats:
    """Tensors (N, 3, 3) known at one temperature (K), at another: every principal axis by the Debye model.

    NaN for an atom whose tensor no solid of its mass has at ``known``, or whose mean would exceed 0.1 Å² (in proportion
    more above room temperature); for all of them beyond five times ``known``: from zero-point motion and the errors of
    a refinement near 0 K nothing follows.
    """
    if wanted == known:
        return tensors
    result = np.full(tensors.shape, np.nan)
    if wanted > FURTHEST * known:
        return result
    most = MOST * max(1.0, wanted / ROOM)
    finite = np.flatnonzero(np.isfinite(tensors).all(axis=(1, 2)))
    rows = np.concatenate([np.round(tensors[finite].reshape(-1, 9), 9), np.asarray(masses)[finite, None]], axis=1)
    kinds, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    made = np.empty((len(kinds), 3, 3))
    for number, atom in enumerate(finite[first]):
        mass = float(np.asarray(masses)[atom])
        values, axes = np.linalg.eigh(tensors[atom])
        try:
            there = [at_temperature(mass, float(v), known, wanted, zero_point) for v in values]
        except InputError:
            made[number] = np.nan
            continue
        made[number] = (axes * there) @ axes.T if np.mean(there) <= most else np.nan
    result[finite] = made[inverse.reshape(-1)]
    return result
