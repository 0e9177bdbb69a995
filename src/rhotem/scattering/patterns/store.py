"""Patterns at rest: one Zarr group (`rhotem.microscope.stored`)."""

import json
from pathlib import Path
from typing import Any

from rhotem.microscope.stored import Arrays, write_group
from rhotem.scattering.patterns.beams import SCALE

#: What the group says it is, and the version of its layout.
FORM = ("rhotem-patterns", 1)
#: Arrays of `Scattered`.
NAMES = ("beams", "sizes", "shares", "outgoing", "widths", "values")


def save_patterns(patterns: Any, path: Path) -> None:
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
