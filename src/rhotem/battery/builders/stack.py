"""Stacks of layers: solid-electrolyte interphases, coatings, electrodes on electrolytes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rhotem.battery.builders.table import Builder, Generator, Option, plane_of
from rhotem.battery.specimen import HOST, Specimen
from rhotem.battery.stacking import Layer, stacked
from rhotem.core import InputError
from rhotem.structure.edits.table import number, parts, whole
from rhotem.structure.model import Structure


def stack(layers: Sequence[Layer], **options: Any) -> Specimen:
    """Two and more crystals above each other along z; parameters as `rhotem.battery.stacking.stacked`.

    Raises
    ------
    InputError
        If numbers are out of range, or no common cell is found within the strain.
    """
    made = stacked(layers, **options)
    names = [f"{each.crystal.info.get('name') or each.crystal.formula}" for each in layers]
    regions = [
        {
            "name": name,
            "phase": each.crystal.formula,
            "plane": list(each.plane),
            "strain": strain.tolist(),
            "from_A": float(low),
            "to_A": float(high),
        }
        for name, each, strain, (low, high) in zip(names, layers, made.strains, made.heights, strict=True)
    ]
    above = [*names[1:], "vacuum" if options.get("vacuum") else names[0]]
    defects = [
        {"kind": "interface", "between": [name, other], "gap_A": gap, "position_A": [0.0, 0.0, float(high + gap / 2)]}
        for name, other, gap, (_, high) in zip(names, above, made.gaps, made.heights, strict=True)
        if other != "vacuum"
    ]
    strains = ", ".join(
        f"{name} {100 * e[0]:+.2f} and {100 * e[1]:+.2f} %" for name, e in zip(names, made.strains, strict=True)
    )
    note = f"{' | '.join(names)}, {made.area:.2f} Å², strains in the plane: {strains}, not relaxed"
    structure = Structure(made.atoms, info={"name": "|".join(names), "notes": [note]})
    role = np.full(len(made.atoms), HOST, dtype=object)
    references = [each.crystal for each in layers]
    return Specimen(structure, regions, made.layer, role, defects, references, {"area_A2": made.area})


def parsed(text: str, load: Callable[[str], Structure]) -> Layer:
    """A layer from ``Li2O:1,1,1:12``.

    Raises
    ------
    InputError
        If it is not written so.
    """
    pieces = text.rsplit(":", 2)
    if len(pieces) != 3 or not all(pieces):
        raise InputError(f"layer {text}: expected CRYSTAL:h,k,l:thickness, for example Li2O:1,1,1:12")
    return Layer(load(pieces[0]), plane_of(pieces[1]), number(pieces[2]))


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    layers = [parsed(text, load) for text in texts]
    keep = None if options["keep"] == 0 else options["keep"] - 1
    i, j = (whole(n) for n in parts(options["across"], "across", 2, ","))
    gap = None if options["gap"] is None else number(options["gap"])
    return stack(
        layers,
        keep=keep,
        max_strain=options["max_strain"],
        max_area=options["max_area"],
        gap=gap,
        vacuum=options["vacuum"],
        across=(i, j),
    )


BUILDER = Builder(
    "stack",
    "Layers of two and more crystals, lattices matched: SEI, coatings, solid electrolytes.",
    _build,
    [
        Option("keep", 0, "N", "Layer that keeps its lattice, 1 is the lowest; 0: all share the strain by thickness."),
        Option("max_strain", 0.05, "", "Largest strain between two layers, 0.05 is 5 %."),
        Option("max_area", 100.0, "Å²", "Largest area of the common cell."),
        Option("gap", None, "Å", "Distance of outermost atoms at every boundary; chosen for each if not given."),
        Option("across", "1,1", "nx,ny", "Repeats of the common cell in the plane."),
        Option("vacuum", 0.0, "Å", "Empty layer above the stack; 0: periodic, the last layer meets the first."),
    ],
    "CRYSTAL:h,k,l:Å CRYSTAL:h,k,l:Å ...",
    (2, None),
)
