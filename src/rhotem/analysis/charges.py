"""Atomic charges of a density, tabulated."""

from typing import Any

from rhotem.density.field import DensityField


def charge_table(field: DensityField) -> list[dict[str, Any]]:
    """Hirshfeld and Bader charge in e of every atom, one row each."""
    from rhotem.density.charges import bader_charges, hirshfeld_charges

    hirshfeld, bader = hirshfeld_charges(field), bader_charges(field)
    symbols = field.structure.atoms.get_chemical_symbols()
    return [
        {"atom": i, "element": element, "hirshfeld": float(h), "bader": float(b)}
        for i, (element, h, b) in enumerate(zip(symbols, hirshfeld, bader, strict=True))
    ]
