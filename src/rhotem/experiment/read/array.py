"""Plain numpy arrays: numbers, and nothing said of them."""

from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rhotem.core import InputError
from rhotem.experiment.read.signal import FileAxis, Signal


def read_npy(path: Path) -> list[Signal]:
    """The array, rows first."""
    try:
        with open(path, "rb") as stream:
            whole = _bytes(stream)
        if path.stat().st_size < whole:  # before anything is allocated
            raise InputError(f"{path}: truncated, {path.stat().st_size} of {whole} bytes are there")
        data = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as .npy, truncated or damaged ({error})") from None
    return [Signal(data, (FileAxis(),) * data.ndim)]


def _bytes(stream: BinaryIO) -> int:
    """Size of a whole file, by its head."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)
    return stream.tell() + (0 if kind.hasobject else prod(shape) * kind.itemsize)
