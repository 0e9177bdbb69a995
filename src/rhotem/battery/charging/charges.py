"""Charges of elements in a density: means and spreads over their atoms."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rhotem.analysis.charges import charge_table
from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.density.source import get_source
from rhotem.structure.model import Structure

#: Step of the grid in Å that Bader's basins need.
SPACING = 0.1


def element_charges(structure: Structure, source: str, spacing: float = SPACING) -> dict[str, dict[str, float]]:
    """Element -> mean Hirshfeld and Bader charge in e and their standard deviations over its atoms."""
    field = get_source(source)(structure, PeriodicGrid.from_spacing(structure.cell, spacing))
    return by_element(_table(field))


def by_element(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The rows of `rhotem.analysis.charges.charge_table` by element."""
    result: dict[str, dict[str, float]] = {}
    for element in dict.fromkeys(row["element"] for row in rows):
        mine = [row for row in rows if row["element"] == element]
        result[element] = {"atoms": float(len(mine))}
        for kind in ("hirshfeld", "bader"):
            if kind in mine[0]:
                values = [row[kind] for row in mine]
                result[element][kind] = float(np.mean(values))
                result[element][f"{kind}_spread"] = float(np.std(values))
    return result


def _table(field: DensityField) -> list[dict[str, Any]]:
    """Charges; without Bader's where an atom is no maximum of the density."""
    from rhotem.density.charges import hirshfeld_charges

    try:
        return charge_table(field)
    except InputError:
        symbols = field.structure.atoms.get_chemical_symbols()
        return [{"element": e, "hirshfeld": float(q)} for e, q in zip(symbols, hirshfeld_charges(field), strict=True)]
