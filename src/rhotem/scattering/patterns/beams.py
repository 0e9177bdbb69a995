"""Which beams go through the crystal, what each scatters, and sums of that over an aperture."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rhotem.microscope.bloch import BeamGroup, supercell_beams
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import aperture
from rhotem.scattering.patterns.orbits import representatives

IntArray = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

#: Intensities in half precision are those of a unit beam times this: normal numbers from 2e-9 of the beam on.
SCALE = 2.0**15
#: Largest relative error of an intensity by half precision.
ROUNDING = 2.0**-11


def shift_of(microscope: Microscope, tilt: float) -> float:
    """Farthest in mrad that a mistilt up to ``tilt`` mrad moves the aperture."""
    base = float(np.hypot(*microscope.tilt))
    return float(1e3 * (np.tan(1e-3 * (base + tilt)) - np.tan(1e-3 * base)))


def wide(microscope: Microscope, tilt: float, supercell: tuple[float, float]) -> Microscope:
    """A microscope whose aperture holds that of ``microscope``, shifted by any tilt up to ``tilt`` mrad."""
    if tilt == 0:
        return microscope
    steps = [1e3 * microscope.wavelength / side for side in supercell]
    margin = 0.5 * (max(steps) - min(steps))  # edges of apertures are as wide as pixels in their direction
    return microscope.model_copy(update={"convergence": microscope.convergence + shift_of(microscope, tilt) + margin})


@dataclass(frozen=True, eq=False)
class Illuminated:
    """Beams that are propagated, in groups of one κ, each standing for all that symmetry maps it to.

    Parameters
    ----------
    groups : tuple of BeamGroup
    tiling : (int, int)
        The supercell in cells of the potential.
    shares : tuple of (n,) arrays
        The share of each beam of each group (`rhotem.scattering.patterns.orbits.representatives`).
    whole : int
        Beams of the aperture, those included that are not propagated.
    """

    groups: tuple[BeamGroup, ...]
    tiling: tuple[int, int]
    shares: tuple[Floats, ...]
    whole: int

    @classmethod
    def of(
        cls, microscope: Microscope, extent: tuple[float, float], tiling: tuple[int, int], group: IntArray
    ) -> "Illuminated":
        """Those of an aperture on a supercell of ``tiling`` × ``extent`` (Å)."""
        kept, shares, whole = [], [], 0
        for one in supercell_beams(microscope, extent, tiling, aperture):
            chosen, share = representatives(one.kappa + one.vectors * np.array(tiling), group)
            whole += len(one.vectors)
            if chosen.any():
                kept.append(BeamGroup(one.kappa, one.vectors[chosen]))
                shares.append(share[chosen])
        return cls(tuple(kept), tiling, tuple(shares), whole)

    @property
    def number(self) -> int:
        """Beams that are propagated."""
        return sum(len(group.vectors) for group in self.groups)

    def members(self, place: int) -> IntArray:
        """Beams of a group in units of the supercell's reciprocal cell."""
        group = self.groups[place]
        return np.asarray(group.kappa + group.vectors * np.array(self.tiling))

    def seen(self, place: int, supercell: tuple[float, float], reach: float) -> int:
        """Beams of one κ within ``reach`` (1/Å)."""
        axes = []
        for kappa, m, side in zip(self.groups[place].kappa, self.tiling, supercell, strict=True):
            most = int(reach * side / m) + 2
            axes.append((kappa + m * np.arange(-most, most + 1)) / side)
        return int((axes[0][:, None] ** 2 + axes[1][None] ** 2 <= reach**2).sum())


@dataclass(frozen=True, eq=False)
class Scattered:
    """Intensities that beams scatter, |S_κ(G, H)|², in blocks of one κ.

    Parameters
    ----------
    beams : (n, 2) int array
        In units of the supercell's reciprocal cell, block after block.
    sizes : (b,) int array
        Beams of each block.
    shares : (n,) array
        What each beam counts for each operation of the symmetry.
    outgoing : (m, 2) int array
        Beams out, block after block.
    widths : (b,) int array
        Beams out of each block.
    values : (thicknesses, entries) float16 array
        Intensities times `SCALE`: beams in, beams out of one block after the other.
    """

    beams: IntArray
    sizes: IntArray
    shares: Floats
    outgoing: IntArray
    widths: IntArray
    values: npt.NDArray[np.float16]

    def part(self, kept: list[npt.NDArray[np.intp]], values: npt.NDArray[np.float16]) -> "Scattered":
        """Some beams (``kept`` of each block) with other values."""
        starts = np.cumsum([0, *self.sizes[:-1]])
        rows = np.concatenate([start + one for start, one in zip(starts, kept, strict=True)]).astype(np.intp)
        sizes = np.array([len(one) for one in kept], dtype=np.int64)
        return Scattered(self.beams[rows], sizes, self.shares[rows], self.outgoing, self.widths, values)

    def summed(
        self, weights: Floats, group: IntArray, half: tuple[int, int], levels: IntArray
    ) -> npt.NDArray[np.float64]:
        """Patterns (levels, 2Nx+1, 2Ny+1) of the beams, those of equivalent beams by symmetry.

        Parameters
        ----------
        weights : (operations, n) array
            Of every beam's image by every operation.
        group : (operations, 2, 2) int array
        half : (int, int)
            Pixels on either side of the axis; what lies beyond is left out.
        levels : (l,) int array
            Thicknesses.
        """
        shape = (2 * half[0] + 1, 2 * half[1] + 1)
        result = np.zeros((len(levels), shape[0] * shape[1]))
        ends = (np.cumsum([0, *x]) for x in (self.sizes, self.widths, self.sizes * self.widths))
        for rows, out, entries in zip(*(pairwise(e.tolist()) for e in ends), strict=True):
            inside = weights[:, slice(*rows)]
            used = np.flatnonzero(inside.any(axis=1))
            if not len(used):
                continue
            block = self.values[levels, slice(*entries)].reshape(len(levels), rows[1] - rows[0], out[1] - out[0])
            sums = np.matmul((inside[used] / SCALE).astype(np.float32), block.astype(np.float32))
            for place, operation in enumerate(used):
                pixels = self.outgoing[slice(*out)] @ group[operation].T + np.array(half)
                there = ((pixels >= 0) & (pixels < np.array(shape))).all(axis=1)
                result[:, pixels[there] @ (shape[1], 1)] += sums[:, place, there]
        return result.reshape(-1, *shape)
