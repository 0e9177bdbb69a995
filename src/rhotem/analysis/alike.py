"""Specimens that move alike: common random numbers, so that a difference of two simulations is not that of their noise.

Frozen phonons of a few configurations change images by per cent. Rivals that are compared share the unit normals of
atoms that stand at the same places; what is left is what their structures differ by (P. Glasserman, *Monte Carlo
Methods in Financial Engineering*, 2003, sec. 4.2 and 7.1: common random numbers).
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Unpack

import numpy as np
import numpy.typing as npt

from rhotem.analysis.motion import Moving
from rhotem.analysis.run import Potentials
from rhotem.analysis.specimen import Specimen
from rhotem.core import InputError
from rhotem.density.field import DensityField
from rhotem.microscope.phonons import moved
from rhotem.structure.orient import ImagingCell

#: Atoms nearer than this in Å stand at the same place; sides of blocks that agree within this part are stretched.
NEAR, STRETCH = 0.9, 0.06


class AlikePotentials(Potentials):
    """Potentials of a specimen whose atoms move as those of another where they stand at the same places.

    Parameters
    ----------
    cut : Specimen
    field : DensityField
    memory : float or None
    reference : Specimen
        Its potentials with the same ``seed`` are those of `rhotem.analysis.run.potential`.
    **moving
        `rhotem.analysis.motion.Moving`, without frames.

    Raises
    ------
    InputError
        If frames of a trajectory move the atoms: these have displacements of their own.
    """

    def __init__(
        self,
        cut: Specimen,
        field: DensityField,
        memory: float | None,
        reference: Specimen,
        **moving: Unpack[Moving],
    ) -> None:
        if moving.get("frames") is not None:
            raise InputError("frames of a trajectory move the atoms; specimens that move alike take random numbers")
        super().__init__(cut, field, memory, **moving)
        self._rows, self._atoms = partners(reference.block, cut.block), len(reference.block.structure)

    @property
    def alike(self) -> float:
        """Share of atoms that move as in the other specimen."""
        return float((self._rows >= 0).mean())

    def displacements(self) -> Iterator[npt.NDArray[np.float64] | None]:
        """Displacements (N, 3) in Å of the block's atoms in every configuration; one None for atoms at rest."""
        if not self.phonons:
            yield None
            return
        yield from moved(self.motion.values, self._normals())

    def _normals(self) -> Iterator[npt.NDArray[np.float64]]:
        shared, own = np.random.default_rng(self.seed), np.random.default_rng((self.seed, 2))
        known = self._rows >= 0
        for _ in range(self.phonons):
            normals = own.normal(size=(len(self._rows), 3))
            normals[known] = shared.normal(size=(self._atoms, 3))[self._rows[known]]
            yield normals


class ChangedPotentials(Potentials):
    """Potentials of a specimen that was changed, its atoms displaced exactly as before the change.

    `AlikePotentials` shares random numbers between specimens of different origin, each with its own ⟨u²⟩. Here atoms
    keep their displacements, so that nothing but the change differs.

    Parameters
    ----------
    before : Potentials
    cut : Specimen
        After the change.
    kept : (N,) int array
        Row before the change of every atom.
    field : DensityField
        Of the changed specimen.
    memory : float or None
    """

    def __init__(
        self, before: Potentials, cut: Specimen, kept: npt.NDArray[np.int64], field: DensityField, memory: float | None
    ) -> None:
        super().__init__(cut, field, memory, phonons=before.phonons)
        self._before, self._kept = before, kept
        self.motion = replace(before.motion, values=before.motion.values[kept])

    def displacements(self) -> Iterator[npt.NDArray[np.float64] | None]:
        """Those of the atoms that are there."""
        for shifts in self._before.displacements():
            yield None if shifts is None else shifts[self._kept]


def partners(reference: ImagingCell, other: ImagingCell) -> npt.NDArray[np.int64]:
    """Row in ``reference`` of the atom at the same place, for every atom of ``other``; −1 where there is none.

    Blocks repeat across the beam. Sides that nearly agree are stretched onto each other: cells of rivals differ.
    """
    from scipy.spatial import cKDTree

    box, sides = reference.lengths[:2], other.lengths[:2]
    stretch = np.where(np.abs(sides / box - 1) < STRETCH, box / sides, 1.0)
    first = np.array(reference.structure.positions, dtype=float)
    places = np.array(other.structure.positions, dtype=float)
    places[:, :2] *= stretch
    depth = 4.0 * max(float(np.ptp(first[:, 2])), float(np.ptp(places[:, 2])), 1.0)  # nothing repeats along the beam
    period = np.array([*box, depth])
    low = min(float(first[:, 2].min()), float(places[:, 2].min())) - 1.0
    for array in (first, places):
        array[:, :2] %= box
        array[:, 2] -= low
    tree = cKDTree(first % period, boxsize=period)
    gaps, rows = tree.query(places % period)
    result, ordered = np.full(len(places), -1, dtype=np.int64), np.argsort(gaps, kind="stable")
    _, nearest = np.unique(rows[ordered], return_index=True)  # of several at one place the nearest
    chosen = ordered[nearest]
    chosen = chosen[gaps[chosen] < NEAR]
    result[chosen] = rows[chosen]
    return result
