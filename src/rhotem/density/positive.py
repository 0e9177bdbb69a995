"""Electron densities that are nowhere negative: how much is, and the nearest one of the same count that is not."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid

#: Density in e/Å³ from which a point counts as matter: electrons are taken where atoms are, not from a vacuum.
MATTER = 0.01


@dataclass(frozen=True)
class Negative:
    """What is below zero in a density.

    Parameters
    ----------
    electrons : float
        Integral of the negative part, >= 0, in e.
    volume_fraction : float
        Share of the cell where the density is negative.
    lowest : float
        Smallest value in e/Å³.
    """

    electrons: float
    volume_fraction: float
    lowest: float

    def record(self) -> dict[str, float]:
        """As kept with a result."""
        return {
            "negative_electrons": self.electrons,
            "negative_volume_fraction": self.volume_fraction,
            "lowest_density_e_per_A3": self.lowest,
        }


def negative_part(density: npt.NDArray, grid: PeriodicGrid) -> Negative:
    """How much of a total or valence density (e/Å³) on a grid is negative."""
    below = density < 0.0
    return Negative(float(np.abs(density[below]).sum() * grid.voxel_volume), float(below.mean()), float(density.min()))


def make_positive(
    density: npt.NDArray[np.float64], free: npt.NDArray[np.float64], grid: PeriodicGrid
) -> npt.NDArray[np.float64]:
    """The density n' >= 0 of the same electron count nearest to ``density``: n' = max(n − λ w, 0).

    The smallest change in the norm Σ (n' − n)²/w with Σ n' = Σ n. The weight w = n_free/(n_free + 0.01 e/Å³) of the
    superposed free atoms is 1 in matter and vanishes in a vacuum, so that the electrons come from where there are some;
    where n >= λ nothing but this small λ is taken, nothing is scaled, and no value changes by more than its own
    negative part or λ.

    Parameters
    ----------
    density, free : arrays of the grid's shape
        Total density to repair and superposed free atoms, e/Å³.
    grid : PeriodicGrid

    Raises
    ------
    InputError
        If the cell holds no electrons: no such density exists.
    """
    count = float(density.sum())
    if not count > 0.0:
        raise InputError(f"density: {grid.integrate(density):.3g} electrons in the cell, expected more than none")
    if density.min() >= 0.0:
        return density
    weight = free / (free + MATTER)

    def excess(level: float) -> float:
        return float(np.maximum(density - level * weight, 0.0).sum()) - count

    low, high = 0.0, 1.0
    while excess(high) > 0.0:
        low, high = high, 2.0 * high
    for _ in range(200):  # excess falls with the level
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if excess(middle) > 0.0 else (low, middle)
    result: npt.NDArray[np.float64] = np.maximum(density - high * weight, 0.0)
    # the last bits of the sum
    return result * (count / float(result.sum()))
