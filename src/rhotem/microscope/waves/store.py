"""Waves at rest: one Zarr group (`rhotem.microscope.stored`)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rhotem.microscope.assembly import BeamGroup
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.response.range import Range
from rhotem.microscope.stored import Arrays, read_group, write_group

if TYPE_CHECKING:
    from rhotem.microscope.waves.held import Waves

#: What the group says it is, and the version of its layout.
FORM = ("rhotem-waves", 1)


def save_waves(waves: "Waves", path: Path) -> None:
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


def open_waves(path: str | Path) -> "Waves":
    """Waves written by `Waves.save`.

    Raises
    ------
    InputError
        If they are none, are damaged, or were written by another version of the format.
    """
    from rhotem.microscope.waves.held import Waves

    arrays, said = read_group(Path(path), FORM, "waves")
    sizes, widths = arrays["sizes"], arrays["widths"]
    vectors = np.split(arrays["vectors"], np.cumsum(sizes)[:-1])
    parts = np.split(arrays["matrices"], np.cumsum(sizes * widths)[:-1], axis=2)
    shapes = zip(parts, sizes.tolist(), widths.tolist(), strict=True)
    return Waves(
        microscope=Microscope(**said["microscope"]),
        range=Range(**said["range"]),
        outer=said["outer_mrad"],
        supercell=tuple(said["supercell_angstrom"]),
        thicknesses=tuple(said["thicknesses_angstrom"]),
        groups=tuple(BeamGroup(kappa, part) for kappa, part in zip(arrays["kappa"], vectors, strict=True)),
        outgoing=tuple(np.split(arrays["outgoing"], np.cumsum(widths)[:-1])),
        matrices=tuple(part.reshape(*part.shape[:2], n, m) for part, n, m in shapes),
        record=said["record"],
    )
