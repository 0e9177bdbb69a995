"""Structures that pymatgen writes as JSON: lattice and sites with shares of species."""

import json
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.cell import cell_of
from rhotem.structure.read.contents import Contents, Text
from rhotem.structure.read.elements import of_symbol


def is_pymatgen(head: str) -> bool:
    """Whether a text is JSON of a pymatgen structure."""
    return ('"lattice"' in head and '"sites"' in head) or '"pymatgen.core.structure"' in head


def read_pymatgen(text: Text) -> Contents:
    """Structure of pymatgen's ``Structure.as_dict``.

    Raises
    ------
    InputError
        JSON of something else.
    """
    try:
        data: Any = json.loads(text.all)
        data, notes = _inner(data, text)
        cell = _cell(data["lattice"], text.path.name) if "lattice" in data else np.zeros((3, 3))
        symbols, shares, places, labels, moments = [], [], [], [], []
        for site in data["sites"]:
            place = np.array(site["abc"], dtype=float) @ cell if cell.any() else np.array(site["xyz"], dtype=float)
            for kind in site["species"]:
                reading = of_symbol(str(kind["element"]))
                if reading is None:
                    raise InputError(f"{text.path}: {kind['element']!r} is no element")
                symbols.append(reading.symbol)
                shares.append(float(kind["occu"]))
                places.append(place)
                labels.append(str(site.get("label") or kind["element"]))
                moment = (site.get("properties") or {}).get("magmom")
                moments.append(float(moment) if isinstance(moment, int | float) else 0.0)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{text.path}: it is no structure of pymatgen (no {error})") from error
    if not places:
        raise InputError(f"{text.path}: lists no atoms")
    return Contents(
        cell, np.array(places), tuple(symbols), np.array(shares), tuple(labels), moments=np.array(moments), notes=notes
    )


def _inner(data: Any, text: Text) -> tuple[Any, tuple[str, ...]]:
    """The structure in what the Materials Project returns: entries, the structure one of their values."""
    notes: tuple[str, ...] = ()
    if isinstance(data, list) and data:
        notes = (f"{text.path.name}: the first of {len(data)} entries is read",) if len(data) > 1 else ()
        data = data[0]
    if isinstance(data, dict) and "sites" not in data:
        data = next((data[key] for key in ("structure", "final_structure", "output") if key in data), data)
    return data, notes


def _cell(lattice: Any, name: str) -> np.ndarray:
    if "matrix" in lattice:
        return np.array(lattice["matrix"], dtype=float)
    return cell_of([lattice[key] for key in ("a", "b", "c", "alpha", "beta", "gamma")], name)
