"""Patterns at rest: one Zarr group (`rhotem.microscope.stored`)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhotem.core import InputError
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.patterns.beams import SCALE, Scattered
from rhotem.microscope.stored import Arrays, read_group, write_group

if TYPE_CHECKING:
    from rhotem.microscope.patterns.held import Patterns

#: What the group says it is, and the version of its layout.
FORM = ("rhotem-patterns", 1)
#: Arrays of `Scattered`.
NAMES = ("beams", "sizes", "shares", "outgoing", "widths", "values")


def save_patterns(patterns: "Patterns", path: Path) -> None:
    """Write patterns; the group appears when it is complete."""
    arrays: Arrays = {name: getattr(patterns.scattered, name) for name in NAMES}
    arrays["group"] = patterns.group
    attributes: dict[str, Any] = {
        "microscope": patterns.microscope.model_dump(),
        "outer_mrad": patterns.outer,
        "tilt_mrad": patterns.tilt,
        "supercell_angstrom": list(patterns.supercell),
        "thicknesses_angstrom": list(patterns.thicknesses),
        "between": patterns.between,
        "scale": SCALE,
        "record": json.loads(json.dumps(patterns.record, default=float)),
    }
    if patterns.twin is not None:
        arrays |= {f"twin_{name}": getattr(patterns.twin.scattered, name) for name in NAMES}
        arrays["twin_dealt"] = patterns.twin.dealt
        attributes["twin_scale"] = patterns.twin.scale
    write_group(path, FORM, arrays, attributes)


def open_patterns(path: str | Path) -> "Patterns":
    """Patterns written by `Patterns.save`.

    Raises
    ------
    InputError
        If they are none, are damaged, or were written by another version of the format.
    """
    from rhotem.microscope.patterns.held import Patterns, Twin

    arrays, said = read_group(Path(path), FORM, "patterns")
    scattered = Scattered(*(arrays[name] for name in NAMES))
    twin = None
    if "twin_scale" in said:
        twin = Twin(Scattered(*(arrays[f"twin_{name}"] for name in NAMES)), arrays["twin_dealt"], said["twin_scale"])
    if said["scale"] != SCALE or scattered.values.shape[0] != len(said["thicknesses_angstrom"]):
        raise InputError(f"{path}: not the layout of this version of RhoTEM; make it again")
    return Patterns(
        microscope=Microscope(**said["microscope"]),
        outer=said["outer_mrad"],
        tilt=said["tilt_mrad"],
        supercell=tuple(said["supercell_angstrom"]),
        thicknesses=tuple(said["thicknesses_angstrom"]),
        between=said["between"],
        group=arrays["group"],
        scattered=scattered,
        twin=twin,
        record=said["record"],
    )
