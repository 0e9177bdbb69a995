"""Pixels of a camera: diffraction patterns from the pixels that were computed to square ones of a given angle."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Camera:
    """Square pixels around the middle of the diffraction pattern, an odd number of them.

    Parameters
    ----------
    step : float
        Side of a pixel in mrad.
    """

    step: float

    def half(self, outer: float) -> int:
        """Pixels on either side of the middle one, so that the camera reaches ``outer`` mrad."""
        return int(outer / self.step + 0.5)

    def edge(self, outer: float) -> float:
        """Angle in mrad at which such a camera ends."""
        return (self.half(outer) + 0.5) * self.step

    def supercell(self, wavelength: float) -> float:
        """Side in Å of the supercell whose beams are no farther apart than pixels."""
        return 1e3 * wavelength / self.step

    def binned(self, patterns: Array, step: tuple[float, float], outer: float) -> Array:
        """Patterns (..., Kx, Ky) with pixels of ``step`` (mrad) on this camera, to ``outer`` mrad.

        Every computed pixel is spread evenly over its area, so that intensity is conserved but for what falls beside
        the camera.
        """
        x, y = (self._shares(n, own, outer) for n, own in zip(patterns.shape[-2:], step, strict=True))
        return np.einsum("ik,...kl,jl->...ij", x, patterns, y, optimize=True).astype(patterns.dtype, copy=False)

    def caught(self, counts: Array, step: tuple[float, float], outer: float, rng: np.random.Generator) -> Array:
        """Electrons (..., Kx, Ky) in pixels of ``step`` (mrad) on this camera: one of its pixels for each.

        Those of a computed pixel across the border of two fall into them as its area does.
        """
        for axis, own in ((-2, step[0]), (-1, step[1])):
            counts = np.moveaxis(counts, axis, -1)
            shares = self._shares(counts.shape[-1], own, outer)
            made = np.zeros((*counts.shape[:-1], len(shares)), dtype=counts.dtype)
            for column, parts in zip(np.moveaxis(counts, -1, 0), shares.T, strict=True):
                left, rest = column, 1.0
                for pixel in np.flatnonzero(parts > 1e-9):
                    part = min(1.0, parts[pixel] / rest)
                    own_count = left if part > 1 - 1e-9 else rng.binomial(left, part).astype(counts.dtype)
                    made[..., pixel] += own_count
                    left, rest = left - own_count, rest - parts[pixel]
                    if rest < 1e-9:
                        break
            counts = np.moveaxis(made, -1, axis)
        return counts

    def _shares(self, number: int, step: float, outer: float) -> Array:
        """Part (pixels of the camera, ``number``) of each computed pixel in each of the camera's."""
        return shares(number, step, self.step, self.half(outer))


def shares(number: int, step: float, pixel: float, half: int, shift: float = 0.0) -> Array:
    """Part (2 ``half`` + 1, ``number``) of each of ``number`` pixels of ``step`` in each of those of ``pixel``.

    Both are centred, but for the ``shift`` by which the middle of the latter lies off that of the former, in the same
    unit.
    """
    middle = pixel * np.arange(-half, half + 1)[:, None]
    own = step * (np.arange(number) - number // 2)[None] - shift
    above = np.minimum(middle + pixel / 2, own + step / 2)
    below = np.maximum(middle - pixel / 2, own - step / 2)
    return np.clip(above - below, 0.0, None) / step
