"""Chemistry: states of charge, substitution, vacancies, antisites, strain, displacements."""

from collections.abc import Sequence
from dataclasses import replace

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.displacement_tensors import picked, repeated_tensors, transformed
from rhotem.structure.indices import standard_cell, with_parent
from rhotem.structure.model import Structure
from rhotem.structure.ordering import Sites, order, sites_of

Generator = np.random.Generator


def repeated(structure: Structure, nx: int, ny: int, nz: int) -> Structure:
    """The cell repeated along its vectors; charge, moments and displacements with it."""
    if min(nx, ny, nz) < 1:
        raise InputError(f"repeats {nx} x {ny} x {nz}: expected three positive whole numbers")
    copies = nx * ny * nz
    moments = None if structure.moments is None else np.tile(structure.moments, copies)
    atoms = structure.atoms.repeat((nx, ny, nz))
    motion = repeated_tensors(structure.displacements, copies)
    return Structure(atoms, structure.charge * copies, moments, dict(structure.info), motion)


def deintercalate(
    structure: Structure, fraction: float, element: str | None = None, rng: Generator | None = None
) -> Structure:
    """Take out a fraction of the mobile ions: the state of charge of an electrode.

    Parameters
    ----------
    structure : Structure
        The full cell.
    fraction : float
        Of the ions removed, 0–1 (for LiCoO2, 0.5 gives Li0.5CoO2).
    element : str, optional
        Li by default, Na where there is no Li.
    rng : Generator, optional
        Remove at random from this cell. Without it the ions left are ordered by lowest electrostatic energy in the
        smallest supercell that has the composition.

    Raises
    ------
    InputError
        If the element is missing or the fraction cannot be had.
    """
    element = element or ("Li" if "Li" in structure.atoms.get_chemical_symbols() else "Na")
    return replace_element(structure, element, {}, fraction, rng)


def substitute(structure: Structure, element: str, by: str, fraction: float, rng: Generator | None = None) -> Structure:
    """Replace a fraction of an element by another; ordered in the smallest supercell, or at random with ``rng``."""
    return replace_element(structure, element, {by: fraction}, fraction, rng)


def replace_element(
    structure: Structure, element: str, by: dict[str, float], fraction: float, rng: Generator | None
) -> Structure:
    """Replace ``fraction`` of the sites of ``element`` by other elements (``by``: symbol -> share) or by vacancies."""
    sites = _sites_of(structure, element)
    if not (np.isfinite(fraction) and 0 <= fraction <= 1):
        raise InputError(f"fraction {fraction}: expected a number from 0 to 1")
    _known(by)
    if rng is not None:
        kinds = [symbol for symbol, share in by.items() for _ in range(round(share * len(sites)))]
        count = round(fraction * len(sites))
        if abs(count / len(sites) - fraction) > 0.5 / len(sites) + 1e-9 or len(kinds) > count:
            raise InputError(f"fraction {fraction}: not possible with {len(sites)} atoms of {element}; repeat the cell")
        chosen = rng.permutation(sites)[:count]
        symbols = structure.atoms.get_chemical_symbols()
        for index, kind in zip(chosen, kinds, strict=False):
            symbols[index] = kind
        gone = set(chosen[len(kinds) :].tolist())
        keep = [i for i in range(len(structure)) if i not in gone]
        note = f"{count} of {len(sites)} {element} replaced at random"
        return _edited(structure, keep, [symbols[i] for i in keep], note)
    occupants: list[dict[str, float]] = [{symbol: 1.0} for symbol in structure.atoms.get_chemical_symbols()]
    for index in sites:
        occupants[index] = {k: v for k, v in {element: 1.0 - fraction, **by}.items() if v > 1e-9}
    fractional = structure.atoms.get_scaled_positions()
    partial = Sites(structure.cell, fractional, occupants, standard_cell(structure).right_angles())
    atoms, note = order(partial)
    note = note.replace("the cell of the file", "the given cell")
    motion = _same_elements(structure, atoms.numbers, sites_of(atoms, partial))
    charge = structure.charge * atoms.get_volume() / structure.volume
    return _derived(structure, atoms, note, charge=charge, displacements=motion)


def vacancy(structure: Structure, element: str, count: int = 1, rng: Generator | None = None) -> Structure:
    """Take out ``count`` atoms of an element: those nearest to the middle of the cell, or random ones with ``rng``."""
    sites = _chosen(structure, _sites_of(structure, element), count, rng)
    keep = [i for i in range(len(structure)) if i not in set(sites.tolist())]
    if not keep:
        raise InputError(f"{count} vacancies of {element} would leave no atom; repeat the cell")
    symbols = structure.atoms.get_chemical_symbols()
    return _edited(structure, keep, [symbols[i] for i in keep], f"{count} {element} vacancies")


def antisite(structure: Structure, first: str, second: str, pairs: int = 1, rng: Generator | None = None) -> Structure:
    """Exchange atoms of two elements, pair by pair: Li–transition-metal mixing.

    The first of a pair is nearest to the middle of the cell (random with ``rng``); the second is its nearest neighbour
    of the other element that is not exchanged yet.
    """
    if first == second:
        raise InputError(f"antisite: exchanging {first} with itself changes nothing; name two elements")
    one, two = _chosen(structure, _sites_of(structure, first), pairs, rng), _sites_of(structure, second).tolist()
    if pairs > len(two):
        raise InputError(f"antisite: {pairs} pairs asked for, but there are {len(two)} atoms of {second}")
    atoms = structure.atoms.copy()
    symbols = atoms.get_chemical_symbols()
    moments = None if structure.moments is None else np.array(structure.moments)
    for index in one:
        distances = atoms.get_distances(int(index), two, mic=True)
        partner = two.pop(int(np.argmin(np.round(distances, 4))))
        symbols[index], symbols[partner] = second, first
        if moments is not None:
            moments[[index, partner]] = moments[[partner, index]]
    made = _edited(structure, list(range(len(atoms))), symbols, f"{pairs} {first}-{second} antisite pairs")
    return replace(made, moments=moments)


def strained(structure: Structure, strain: npt.ArrayLike) -> Structure:
    """Strain a crystal: three numbers (along x, y, z) or a symmetric 3 × 3 tensor; fractional coordinates stay.

    ``cell' = cell @ (1 + e)``: a pure deformation of space without rotation.
    """
    tensor = np.asarray(strain, dtype=float)
    tensor = np.diag(tensor) if tensor.shape == (3,) else tensor
    if tensor.shape != (3, 3) or not np.isfinite(tensor).all() or np.abs(tensor - tensor.T).max() > 1e-12:
        raise InputError(f"strain {np.shape(strain)}: expected three numbers or a symmetric 3 x 3 tensor")
    if np.linalg.eigvalsh(tensor).min() <= -0.5:
        raise InputError("strain: a principal strain below -0.5 would crush the cell")
    atoms = structure.atoms.copy()
    atoms.set_cell(structure.cell @ (np.eye(3) + tensor), scale_atoms=True)
    note = f"strained by {np.round(tensor, 6).tolist()}"
    motion = transformed(structure.displacements, np.eye(3) + tensor)
    made = _derived(structure, atoms, note, moments=structure.moments, displacements=motion)
    made.info["parent_cell"] = (np.array(made.info["parent_cell"]) @ (np.eye(3) + tensor)).tolist()
    return made


def displaced(structure: Structure, mean_square: float | npt.NDArray[np.float64], rng: Generator) -> Structure:
    """Displace every atom by independent normal deviates: rattling, or an Einstein snapshot of thermal motion.

    Parameters
    ----------
    mean_square : float or (N,) array
        ⟨u²⟩ along one axis in Å², for example from `rhotem.structure.debye_waller`.
    rng : Generator
    """
    variance = np.broadcast_to(np.asarray(mean_square, dtype=float), (len(structure),))
    if not np.isfinite(variance).all() or variance.min() < 0:
        raise InputError("mean square displacements must be positive numbers in Å²")
    atoms = structure.atoms.copy()
    atoms.positions += rng.standard_normal((len(atoms), 3)) * np.sqrt(variance)[:, None]
    note = f"displaced at random, rms {np.sqrt(variance.mean()):.4f} Å per axis"
    return _derived(structure, atoms, note, moments=structure.moments, displacements=structure.displacements)


def _known(elements: dict[str, float]) -> None:
    from ase.data import atomic_numbers

    for element in elements:
        if element not in atomic_numbers or element == "X":
            raise InputError(f"unknown element {element}; expected a chemical symbol")


def _sites_of(structure: Structure, element: str) -> npt.NDArray[np.int64]:
    found = np.flatnonzero([symbol == element for symbol in structure.atoms.get_chemical_symbols()])
    if len(found) == 0:
        raise InputError(f"{structure.atoms.get_chemical_formula()} has no {element}")
    return found


def _chosen(
    structure: Structure, sites: npt.NDArray[np.int64], count: int, rng: Generator | None
) -> npt.NDArray[np.int64]:
    """``count`` of the sites: nearest to the middle of the cell first, or random."""
    if not 1 <= count <= len(sites):
        raise InputError(f"{count} atoms asked for; there are {len(sites)}")
    if rng is not None:
        return rng.permutation(sites)[:count]
    middle = structure.cell.sum(axis=0) / 2
    from ase.geometry import find_mic

    distances = find_mic(structure.positions[sites] - middle, structure.cell)[1]
    return sites[np.argsort(np.round(distances, 4), kind="stable")][:count]


def _edited(structure: Structure, keep: Sequence[int], symbols: Sequence[str], note: str) -> Structure:
    atoms = ase.Atoms(list(symbols), positions=structure.positions[list(keep)], cell=structure.cell, pbc=True)
    moments = None if structure.moments is None else np.asarray(structure.moments)[list(keep)]
    motion = _same_elements(structure, atoms.numbers, keep)
    return _derived(structure, atoms, note, moments=moments, displacements=motion)


def _same_elements(
    structure: Structure, numbers: npt.NDArray[np.int64], sites: Sequence[int] | npt.NDArray[np.int64]
) -> npt.NDArray[np.float64] | None:
    """Displacements of the sites that atoms sit on; nothing is known of an atom that took another element's place."""
    motion = picked(structure.displacements, sites)
    if motion is not None:
        motion[structure.numbers[np.asarray(sites)] != numbers] = np.nan
    return motion


def _derived(
    structure: Structure,
    atoms: ase.Atoms,
    note: str,
    *,
    charge: float | None = None,
    moments: npt.NDArray[np.float64] | None = None,
    displacements: npt.NDArray[np.float64] | None = None,
) -> Structure:
    """``atoms`` with what is known of the structure they came from, and a note of what was done."""
    info = {key: value for key, value in structure.info.items() if key not in ("file", "sha256")}
    info["notes"] = [*info.get("notes", []), note]
    info = with_parent(info, structure)
    return Structure(atoms, structure.charge if charge is None else charge, moments, info, displacements)
