"""Which electrons a peer's density holds: the valences of the PAW sets that its training data were calculated with."""

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

import numpy as np
from ase.data import chemical_symbols

from rhotem.core import InputError
from rhotem.density import free_atoms
from rhotem.density.files.counts import Assignment
from rhotem.structure.model import Structure


@lru_cache(maxsize=1)
def mp_valences() -> dict[str, float]:
    """Valence electrons of the Materials Project's PAW sets by symbol (`scripts/make_mp_valence_table.py`)."""
    table = json.loads((files("rhotem.peers") / "mp_valence.json").read_text())
    return {symbol: float(entry["valence"]) for symbol, entry in table.items()}


def assignment(structure: Structure, given: Mapping[str, float] | None = None) -> Assignment:
    """Valence electrons of the elements of ``structure``: ``given`` by symbol, else the Materials Project's.

    Raises
    ------
    InputError
        If an element has no entry, or free atoms have no such valence.
    """
    table, own = free_atoms.load(), dict(given or {})
    pairs = []
    for z in np.unique(structure.numbers).tolist():
        symbol = chemical_symbols[z]
        electrons = own.get(symbol, mp_valences().get(symbol))
        if electrons is None:
            raise InputError(f"valence of {symbol}: not in the Materials Project's sets; give --valence {symbol}=...")
        if electrons not in table.valences(z):
            known = ", ".join(str(v) for v in table.valences(z) if v)
            raise InputError(f"valence of {symbol}: free atoms have no valence of {electrons:g} e (they have {known})")
        pairs.append((z, float(electrons)))
    return Assignment(tuple(pairs))
