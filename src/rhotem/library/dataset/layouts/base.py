"""What a layout is, and grey values of pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.library.dataset.store import Dataset


@dataclass(frozen=True)
class Layout:
    """How another program wants pictures.

    Parameters
    ----------
    name : str
    about : str
        One line.
    write : callable
        ``write(dataset, split, folder)`` -> number of pictures.
    needs : tuple of str
        Arrays that pictures must have.
    """

    name: str
    about: str
    write: Callable[[Dataset, str | None, Path], int]
    needs: tuple[str, ...] = ("image",)


def grey(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """A picture as 8 bits between its extremes."""
    values = np.asarray(image, dtype=float)
    low, high = float(values.min()), float(values.max())
    return np.rint(255 * (values - low) / (high - low if high > low else 1.0)).astype(np.uint8)
