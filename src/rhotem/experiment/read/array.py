"""Plain numpy arrays: numbers, and nothing said of them."""

from pathlib import Path

import numpy as np

from rhotem.core import InputError
from rhotem.experiment.read.signal import FileAxis, Signal


def read_npy(path: Path) -> list[Signal]:
    """The array, rows first."""
    try:
        data = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as .npy, truncated or damaged ({error})") from None
    return [Signal(data, (FileAxis(),) * data.ndim)]
