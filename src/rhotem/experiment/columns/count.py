"""Atoms of columns by their intensity against a simulated ladder: one intensity for every number of atoms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

Floats = npt.NDArray[np.float64]

#: Errors beyond the ends of the ladder that are accepted.
BEYOND = 4.0


@dataclass(frozen=True, eq=False)
class Counts:
    """Atoms of every column.

    Parameters
    ----------
    atoms : (n,) int array
        The most probable numbers.
    probabilities : (n, m) array
        Of every rung of the ladder.
    numbers : (m,) int array
        Atoms of the rungs.
    """

    atoms: npt.NDArray[np.int64]
    probabilities: Floats
    numbers: npt.NDArray[np.int64]

    @property
    def errors(self) -> Floats:
        """Standard deviation of every number."""
        mean = self.probabilities @ self.numbers
        return np.asarray(np.sqrt(np.maximum(self.probabilities @ self.numbers**2 - mean**2, 0.0)))


def count_atoms(
    intensities: Floats, errors: Floats, ladder: Sequence[float], numbers: Sequence[int], model_error: float = 0.02
) -> Counts:
    """Probabilities of numbers of atoms, all equally likely beforehand.

    Parameters
    ----------
    intensities, errors : (n,) array
        Of columns, as fractions of the beam (`rhotem.experiment.calibrate.absolute`).
    ladder : sequence of float
        Simulated intensities, one for every number, of the same area around the column.
    numbers : sequence of int
        Atoms of the rungs, rising.
    model_error : float
        Relative error of the simulation and of the absolute scale, of every column independently.

    Raises
    ------
    InputError
        If the ladder does not fit the numbers or does not rise, an intensity or its error is missing, or an intensity
        lies beyond its ends by more than four errors.
    """
    rungs, atoms = np.asarray(ladder, dtype=float), np.asarray(numbers, dtype=np.int64)
    falling = (
        rungs.ndim != 1 or rungs.shape != atoms.shape or (np.diff(rungs) <= 0).any() or (np.diff(atoms) <= 0).any()
    )
    if falling or len(rungs) < 2:
        raise InputError("the ladder must have one intensity for every number of atoms, rising with it")
    width = np.hypot(np.asarray(errors)[:, None], model_error * rungs)
    lost = ~np.isfinite(np.asarray(intensities, dtype=float)) | ~(width > 0).all(axis=1)
    if lost.any():
        raise InputError(
            f"{int(lost.sum())} columns have no intensity or no error, as where no Gaussian was found; leave them out"
        )
    apart = (np.asarray(intensities)[:, None] - rungs) / width
    outside = int(((apart[:, 0] < -BEYOND) | (apart[:, -1] > BEYOND)).sum())
    if outside:
        raise InputError(f"{outside} columns are more than {BEYOND:g} errors beyond the ladder; make it longer")
    logarithm = -0.5 * apart**2 - np.log(width)
    share = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    return Counts(atoms[share.argmax(axis=1)], share, atoms)
