"""The lattice in images whose columns may be dark: of bright fields, and of lenses out of focus."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rhotem.core import InputError
from rhotem.experiment.calibrate.lattice import ImageLattice, find_lattice
from rhotem.experiment.measurement import Measurement
from rhotem.structure.model import Structure


def lattice_of_either(images: Sequence[Measurement], structure: Structure, zone: Sequence[int]) -> ImageLattice:
    """The lattice where it is plainest in images as they are, or turned bright for dark.

    Its origin is that of what was bright.

    Raises
    ------
    InputError
        What is wrong with the first image, if it is in none.
    """
    found: list[ImageLattice] = []
    first: InputError | None = None
    for one in images:
        values = np.asarray(one.data, dtype=float)
        for shown in (values, values.max() - values):
            try:
                found.append(find_lattice(replace(one, data=shown), structure, zone))
            except InputError as error:
                first = first or error
    if not found:
        assert first is not None
        raise first
    return max(found, key=lambda lattice: lattice.match)
