"""Charges of elements in a density: means and spreads over their atoms."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rhotem.analysis.charges import charge_table
from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.density.source import DensitySource, get_source
from rhotem.structure.model import Structure

#: Step of the grid in Å that Bader's basins need.
SPACING = 0.1


@dataclass
class ElementCharges:
    """Charges of elements in densities of one source, which is opened at the first structure and kept.

    Parameters
    ----------
    name : str
        Of the source: "model".
    """

    name: str

    @cached_property
    def source(self) -> DensitySource:
        """The source of densities."""
        return get_source(self.name)

    def __call__(self, structure: Structure) -> dict[str, dict[str, float]]:
        """Element -> mean Hirshfeld and Bader charge in e and their standard deviations over its atoms."""
        field = self.source(structure, PeriodicGrid.from_spacing(structure.cell, SPACING))
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
