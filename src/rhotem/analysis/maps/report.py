"""Files of maps: tables of atoms, regions and profiles, and the figure."""

from pathlib import Path
from typing import Any

import numpy as np

from rhotem.analysis.maps.figure import draw
from rhotem.analysis.maps.make import Maps, by_element
from rhotem.core.table import write_rows

#: Names of the files.
ATOMS, REGIONS, PROFILE, FIGURE = "atoms.csv", "regions.csv", "profile.csv", "maps.png"
#: Significant digits of tables.
DIGITS = 6


def record(maps: Maps) -> dict[str, Any]:
    """What was mapped and the largest numbers, JSON-ready."""
    told: dict[str, Any] = {
        "kinds": list(maps.wanted.kinds),
        "axis": "abc"[maps.wanted.axis],
        "smoothing_A": maps.wanted.smoothing,
        "source": maps.wanted.source,
        "regions": maps.by_region(),
        "notes": maps.notes,
    }
    if maps.strain is not None:
        told["strain"] = {
            "repeats": list(maps.strain.repeats),
            "atoms_on_no_site": int(np.isnan(maps.strain.displacement[:, 0]).sum()),
            "largest_volumetric": float(np.nanmax(np.abs(maps.strain.volumetric))),
            "largest_displacement_A": float(np.nanmax(np.linalg.norm(maps.strain.displacement, axis=1))),
        }
    if maps.valence is not None:
        symbols = maps.structure.atoms.get_chemical_symbols()
        told["bond_valence_by_element"] = by_element(symbols, maps.valence)
    if maps.profile is not None and maps.profile.potential_error is not None:
        told["potential_error_V"] = {
            "mean": float(maps.profile.potential_error.mean()),
            "largest": float(maps.profile.potential_error.max()),
        }
    return told


def write_report(maps: Maps, title: str, folder: Path) -> None:
    """Tables and the figure."""
    write_rows(folder / ATOMS, atom_rows(maps), DIGITS)
    write_rows(folder / REGIONS, [_flat(row) for row in maps.by_region()], DIGITS)
    if maps.profile is not None:
        found = maps.profile
        columns = {"height_A": found.height, "density_e_per_A": found.density, "gained_e": found.gained}
        columns["potential_V"] = found.potential
        if found.potential_error is not None:
            columns["potential_error_V"] = found.potential_error
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        write_rows(folder / PROFILE, rows, DIGITS)
    draw(maps, title, folder / FIGURE)


def atom_rows(maps: Maps) -> list[dict[str, Any]]:
    """One row an atom, in the order of the structure."""
    rows = []
    for i, (symbol, place) in enumerate(
        zip(maps.structure.atoms.get_chemical_symbols(), maps.structure.positions, strict=True)
    ):
        row: dict[str, Any] = {"atom": i, "element": symbol, "region": maps.regions[i]}
        row |= {f"{name}_A": value for name, value in zip("xyz", place, strict=True)} | {"height_A": maps.height[i]}
        if maps.strain is not None:
            moved, tensor = maps.strain.displacement[i], maps.strain.strain[i]
            row |= {f"u{name}_A": value for name, value in zip("xyz", moved, strict=True)}
            pairs = {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}
            row |= {f"e{name}": tensor[place] for name, place in pairs.items()}
            row |= {"volumetric": maps.strain.volumetric[i], "shear": maps.strain.shear[i]}
        if maps.charge is not None:
            row["hirshfeld_e"] = maps.charge[i]
        if maps.valence is not None:
            row["bond_valence"] = maps.valence[i]
        rows.append(row)
    return rows


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A region's row with one column for the bond valence of every element."""
    valences = {f"bond_valence_{element}": value for element, value in row.get("bond_valence", {}).items()}
    return {**{key: value for key, value in row.items() if key != "bond_valence"}, **valences}
