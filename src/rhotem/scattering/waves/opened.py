"""Waves read from disk, checked."""

from pathlib import Path
from typing import Any

import numpy as np

from rhotem.microscope.assembly import BeamGroup
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.stored import Arrays, read_group, readable
from rhotem.scattering.response.range import Range
from rhotem.scattering.waves.held import Waves
from rhotem.scattering.waves.store import FORM


def open_waves(path: str | Path) -> Waves:
    """Waves written by `Waves.save`.

    Raises
    ------
    InputError
        If they are none, are damaged, or were written by another version of the format.
    """
    arrays, said = read_group(Path(path), FORM, "waves")
    with readable(path):
        return _waves(arrays, said)


def _waves(arrays: Arrays, said: dict[str, Any]) -> Waves:
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
