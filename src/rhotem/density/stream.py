"""A deformation density that is made plane by plane, for cells whose grid does not fit into memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField, OneCentre
from rhotem.structure.model import Structure

#: Planes of a range of the third axis, (planes, n1, n2), in e/Å³.
Planes = Callable[[range], npt.NDArray]


@dataclass(frozen=True, eq=False)
class StreamedDensity:
    """Smooth part given by planes across the third axis, sharp parts one by one; otherwise as `DensityField`.

    Parameters
    ----------
    structure : Structure
    grid : PeriodicGrid
        Of the smooth part, on the structure's cell.
    planes : callable
        ``planes(range(a, b))`` -> values (b − a, n1, n2) at the planes k = a … b − 1. Can be pickled, for a cluster.
    one_centre : sequence of OneCentre
        May make its items when asked for them.
    source, reference : str
    record : dict
    moments : (N, 4) array or None
        Electrons of every atom's own functions, and their first moment about it in e Å along x, y, z, where they are
        known: all of the density, sharp and smooth.
    """

    structure: Structure
    grid: PeriodicGrid
    planes: Planes
    one_centre: Sequence[OneCentre] = ()
    source: str = ""
    reference: str = ""
    record: dict = field(default_factory=dict)
    moments: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class HeldPlanes:
    """Planes of values (n1, n2, n3) on a grid."""

    values: npt.NDArray

    def __call__(self, wanted: range) -> npt.NDArray:
        """Values (planes, n1, n2)."""
        return np.moveaxis(self.values[:, :, wanted.start : wanted.stop], 2, 0)


def streamed(density: DensityField) -> StreamedDensity:
    """A density that is in memory, by planes.

    Raises
    ------
    InputError
        If it is not a deformation density.
    """
    if density.kind != "deformation":
        raise InputError(f"density of kind {density.kind!r}: the potential needs 'deformation'; convert it first")
    return StreamedDensity(
        density.structure,
        density.grid,
        HeldPlanes(density.values),
        density.one_centre,
        density.source,
        density.reference,
        dict(density.record),
    )
