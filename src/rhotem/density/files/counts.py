"""Which electrons does a file hold? Decided by counting, against the valences of VASP's and GPAW's PAW sets."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from rhotem.core import InputError
from rhotem.core.units import BOHR
from rhotem.density import free_atoms
from rhotem.structure.model import Structure

#: A count fits if it is off by less than this many electrons per atom ...
TOLERANCE_PER_ATOM = 0.02
#: ... and by less than this in all, so that no valence of one atom passes for another in a large cell.
TOLERANCE = 0.4
#: Part of the count by which a predicted density may miss and still be corrected, on request.
CORRECTABLE = 0.05
#: Augmentation radius in Bohr of elements without an entry.
DEFAULT_RADIUS = 2.8


@dataclass(frozen=True)
class Assignment:
    """Electrons of each element in a file, as pairs of atomic number and count."""

    pairs: tuple[tuple[int, float], ...]

    @classmethod
    def everything(cls, structure: Structure) -> "Assignment":
        """All electrons of a structure."""
        return cls(tuple((int(z), float(z)) for z in np.unique(structure.numbers)))

    @property
    def electrons(self) -> dict[int, float]:
        """Electrons by atomic number."""
        return dict(self.pairs)

    @property
    def total(self) -> bool:
        """True if no core is left out."""
        return all(n == z for z, n in self.pairs)

    def count(self, structure: Structure) -> float:
        """Electrons of the neutral cell."""
        return float(sum(n * np.count_nonzero(structure.numbers == z) for z, n in self.pairs))

    def text(self) -> str:
        """``Li=1, O=6`` as the option ``--valence`` takes it."""
        return ", ".join(f"{chemical_symbols[z]}={n:g}" for z, n in self.pairs)


@lru_cache(maxsize=1)
def paw_table() -> dict[str, Any]:
    """Valences and augmentation radii of VASP's PBE sets by element symbol (`scripts/make_vasp_paw_table.py`)."""
    return json.loads((files("rhotem.density.files") / "vasp_paw.json").read_text())


def augmentation_radius(Z: int) -> float:
    """Radius in Å out to which VASP's default PAW set of an element is pseudised (RCORE)."""
    return float(paw_table().get(chemical_symbols[Z], {}).get("radius_bohr", DEFAULT_RADIUS)) * BOHR


def known_valences(Z: int) -> list[int]:
    """Valence electrons of the PAW sets of an element that free atoms can be given, ascending."""
    table = free_atoms.load()
    known = {int(v) for v in paw_table().get(chemical_symbols[Z], {}).get("valences", {})}
    known.add(table.default_valence(Z))
    return sorted(known & set(table.valences(Z)))


def candidates(structure: Structure, valence: Mapping[str, float] | None = None) -> list[Assignment]:
    """Every combination of known valences; fixed where ``valence`` names an element.

    Raises
    ------
    InputError
        If ``valence`` names something that is not in the structure.
    """
    elements = [int(z) for z in np.unique(structure.numbers)]
    given = {key: float(n) for key, n in (valence or {}).items()}
    unknown = sorted(set(given) - {chemical_symbols[z] for z in elements})
    if unknown:
        raise InputError(f"--valence {unknown[0]}: the structure has no {unknown[0]}")
    choices = [
        [given[chemical_symbols[z]]] if chemical_symbols[z] in given else [float(v) for v in known_valences(z)]
        for z in elements
    ]
    return [Assignment(tuple(zip(elements, choice, strict=True))) for choice in itertools.product(*choices)]


def tolerance(structure: Structure) -> float:
    """By how many electrons a count may be off."""
    return min(TOLERANCE_PER_ATOM * len(structure), TOLERANCE)


def decide(
    name: str, structure: Structure, charge: float, misfits: list[tuple[Assignment, float]], correct: bool = False
) -> tuple[Assignment, float]:
    """The one assignment whose misfit (electrons found minus expected) is within the tolerance.

    With ``correct`` a misfit of up to 5 % will do where nothing fits better.

    Parameters
    ----------
    name : str
        File, for messages.
    charge : float
        Charge the misfits were calculated with, for messages.
    misfits : list of (Assignment, float)

    Raises
    ------
    InputError
        If none fits or more than one does; says what was counted, what would fit and which option settles it.
    """
    limit = tolerance(structure)
    fits = [item for item in misfits if abs(item[1]) <= limit]
    if correct and not fits:
        fits = [item for item in misfits if abs(item[1]) <= CORRECTABLE * item[0].count(structure)]
    if len(fits) == 1:
        return fits[0]
    nearest = sorted(misfits, key=lambda item: abs(item[1]))[:4]
    listed = "; ".join(f"{a.text()} ({a.count(structure) - charge:g} e, off by {m:+.3f})" for a, m in fits or nearest)
    formula = structure.atoms.get_chemical_formula()
    if fits:
        raise InputError(f"{name}: the electron count of {formula} fits {listed}; choose with --valence or --charge")
    near = abs(nearest[0][1]) <= CORRECTABLE * nearest[0][0].count(structure)
    asking = ", or --correct-count to put it right" if near and not correct else ""
    raise InputError(
        f"{name}: the electron count of {formula} (charge {charge:+g}) fits neither a valence nor the total within "
        f"{limit:.2f} e; nearest: {listed}; say --valence {nearest[0][0].text().replace(' ', '')}, --charge or "
        f"--file-kind{asking}"
    )
