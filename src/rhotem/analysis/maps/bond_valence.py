"""Bond valence sums: what the distances of an atom's neighbours say of its valence."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.model import Structure
from rhotem.structure.ordering import formal_charge

#: Å: bonds beyond add less than 1 % of a valence.
REACH = 4.0


@cache
def _table() -> dict[str, Any]:
    return dict(json.loads(files("rhotem.analysis.maps").joinpath("bond_valence.json").read_text("utf-8")))


def bond_length(cation: str, anion: str) -> float:
    """Length R0 in Å of a bond of valence 1: of the pair (Brese & O'Keeffe) where listed, else from both elements.

    R0 = r + r' − r r' (√c − √c')²/(c r + c' r') (O'Keeffe & Brese, J. Am. Chem. Soc. 113, 3226 (1991)); good to
    about 0.05 Å, which is 15 % of a valence. One R0 serves all valences of a metal.

    Raises
    ------
    InputError
        If nothing is known of an element.
    """
    table = _table()
    if cation in table["pairs_A"].get(anion, {}):
        return float(table["pairs_A"][anion][cation])
    try:
        (r1, c1), (r2, c2) = table["elements"][cation], table["elements"][anion]
    except KeyError as error:
        raise InputError(f"bond valence: no parameters of {error.args[0]}; leave bond-valence out of --of") from None
    return float(r1 + r2 - r1 * r2 * (np.sqrt(c1) - np.sqrt(c2)) ** 2 / (c1 * r1 + c2 * r2))


def bond_valence_sums(structure: Structure) -> npt.NDArray[np.float64]:
    """Sum of bond valences exp((R0 − d)/0.37 Å) of every atom, with the sign of its formal charge; shape (N,).

    Bonds join atoms of opposite formal charge.

    Raises
    ------
    InputError
        If nothing is known of an element.
    """
    from ase.neighborlist import neighbor_list

    atoms = structure.atoms.copy()
    atoms.pbc = True
    symbols = atoms.get_chemical_symbols()
    charges = np.array([formal_charge(symbol) for symbol in symbols])
    i, j, distance = neighbor_list("ijd", atoms, REACH)
    bonded = (charges[i] > 0) & (charges[j] < 0)
    pairs = {(symbols[a], symbols[b]) for a, b in zip(i[bonded], j[bonded], strict=True)}
    lengths = {pair: bond_length(*pair) for pair in pairs}
    sums = np.zeros(len(atoms))
    for a, b, d in zip(i[bonded], j[bonded], distance[bonded], strict=True):
        valence = np.exp((lengths[symbols[a], symbols[b]] - d) / _table()["b_A"])
        sums[a] += valence
        sums[b] -= valence
    return sums
