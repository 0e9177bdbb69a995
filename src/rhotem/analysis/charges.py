"""Atomic charges of a density, tabulated."""

from typing import Any

from rhotem.density.field import DensityField


def charge_table(field: DensityField) -> list[dict[str, Any]]:
    """Hirshfeld and Bader charge in e of every atom, one row each; of a learned density also the model's own.

    ``model`` is minus the electrons that the model lets the atom bring: its way to share out, not a measurable charge.
    """
    from rhotem.density.charges import bader_charges, hirshfeld_charges

    hirshfeld, bader = hirshfeld_charges(field), bader_charges(field)
    symbols = field.structure.atoms.get_chemical_symbols()
    rows: list[dict[str, Any]] = [
        {"atom": i, "element": element, "hirshfeld": float(h), "bader": float(b)}
        for i, (element, h, b) in enumerate(zip(symbols, hirshfeld, bader, strict=True))
    ]
    for row, electrons in zip(rows, field.record.get("electrons_by_atom", ()), strict=False):
        row["model"] = -float(electrons)
    return rows
