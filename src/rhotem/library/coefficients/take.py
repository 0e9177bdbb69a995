"""Coefficients of images, out of a response."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.core.physics import PHYSICS
from rhotem.library.coefficients.model import FixedLens

if TYPE_CHECKING:
    from rhotem.scattering.response import Response

#: Part of the largest of all coefficients but the mean below which one is left out, in every row: rounding.
NOTHING = 1e-7


def fixed_lens(held: "Response") -> FixedLens:
    """Images of a response's own detectors at its own lens, for all of its thicknesses.

    Parameters
    ----------
    held : Response
        The source size of its microscope is not folded into the coefficients.
    """
    levels: list[npt.NDArray[Any]] = []
    rows: tuple[int, ...] = ()
    for level in range(len(held.thicknesses)):
        spectra = []
        for detector in held.detectors:
            asked = held.ready((detector,), level, counted=True)
            spectra.append(np.moveaxis(asked.spectrum(held.microscope), 2, 0))
        whole = np.concatenate(spectra)
        # signals are real parts of sums: of each pair q, −q the mean of one and the other's conjugate is enough
        levels.append(0.5 * (whole + np.conj(whole[:, ::-1, ::-1])))
        rows = tuple(len(one) for one in spectra)
    values = np.stack(levels)
    indices, values = _half(values)
    kept, places = _unlike(values)
    of_detectors = tuple(tuple(places[a:b]) for a, b in pairwise(np.cumsum((0, *rows)).tolist()))
    return FixedLens(
        microscope=held.microscope,
        detectors=held.detectors,
        cell=held.extent,
        supercell=held.supercell,
        thicknesses=held.thicknesses,
        indices=indices,
        values=values[:, kept],
        rows=of_detectors,
        record={**held.record, "physics": PHYSICS},
    )


def _half(values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Indices and values of zero, then of one of each pair of frequencies that has any power."""
    middle = [n // 2 for n in values.shape[2:]]
    x, y = (index.ravel() for index in np.indices(values.shape[2:]) - np.array(middle)[:, None, None])
    flat = values.reshape(*values.shape[:2], -1)
    size = np.abs(flat)
    zero = np.flatnonzero((x == 0) & (y == 0))
    largest = np.delete(size, zero, axis=2).max(axis=2, keepdims=True)
    some = (size > NOTHING * np.where(largest > 0, largest, 1.0)).any(axis=(0, 1))
    chosen = np.concatenate([zero, np.flatnonzero(some & ((x > 0) | ((x == 0) & (y > 0))))])
    return np.stack([x, y], axis=1)[chosen], flat[..., chosen]


def _unlike(values: npt.NDArray[Any]) -> tuple[list[int], list[int]]:
    """Rows that differ from each other, and which of them each row is: the channel of a ring is its one part."""
    kept: list[int] = []
    places = []
    for row in range(values.shape[1]):
        same = [n for n, other in enumerate(kept) if np.array_equal(values[:, row], values[:, other])]
        if not same:
            kept.append(row)
        places.append(same[0] if same else len(kept) - 1)
    return kept, places
