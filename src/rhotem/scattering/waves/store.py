"""Waves at rest: one Zarr group (`rhotem.microscope.stored`)."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.microscope.stored import Arrays, write_group

#: What the group says it is, and the version of its layout and of the weights that it was made for.
FORM = ("rhotem-waves", 2)


def save_waves(waves: Any, path: Path) -> None:
    """Write waves; the group appears when it is complete."""
    levels, number = len(waves.thicknesses), int(waves.record["configurations"])
    arrays: Arrays = {
        "kappa": np.stack([group.kappa for group in waves.groups]),
        "vectors": np.concatenate([group.vectors for group in waves.groups]),
        "sizes": np.array([len(group.vectors) for group in waves.groups]),
        "outgoing": np.concatenate(waves.outgoing),
        "widths": np.array([len(out) for out in waves.outgoing]),
        "matrices": np.concatenate([matrix.reshape(number, levels, -1) for matrix in waves.matrices], axis=2),
    }
    attributes = {
        "microscope": waves.microscope.model_dump(),
        "range": waves.range.model_dump(),
        "outer_mrad": waves.outer,
        "supercell_angstrom": list(waves.supercell),
        "thicknesses_angstrom": list(waves.thicknesses),
        "record": json.loads(json.dumps(waves.record, default=float)),
    }
    write_group(path, FORM, arrays, attributes)
