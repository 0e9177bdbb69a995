"""Frozen phonons: random displacements of independent atoms (Einstein model)."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError


def displacements(
    mean_square: npt.ArrayLike, configurations: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.float64]]:
    """Displacements (N, 3) in Å for each configuration, Gaussian with variance ``mean_square`` (N,) along each axis.

    Atoms move independently; correlations change thermal diffuse scattering between the Bragg spots but hardly its
    angular average (Muller et al., Ultramicroscopy 86, 371, 2001).

    Raises
    ------
    InputError
        If a mean square displacement is negative or not a number.
    """
    sigma2 = np.asarray(mean_square, dtype=float)
    if not (np.isfinite(sigma2).all() and (sigma2 >= 0).all()):
        raise InputError("mean square displacements must be numbers from 0 upwards, in Å²")
    for _ in range(configurations):
        yield rng.normal(size=(len(sigma2), 3)) * np.sqrt(sigma2)[:, None]
