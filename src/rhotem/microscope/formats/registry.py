"""Formats of files by name: what each holds, and how it is written; and the signals of a folder."""

from collections.abc import Iterator
from pathlib import Path

from rhotem.core import InputError
from rhotem.microscope.formats.hyperspy import read_hyperspy
from rhotem.microscope.formats.signal import Signal


def signals(path: Path) -> Iterator[Signal]:
    """Images and patterns of a file, or of the folder of a run.

    Raises
    ------
    InputError
        If there is nothing that RhoTEM wrote.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    files = sorted(path.glob("*.hspy")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: holds no .hspy file; give the folder of a rhotem image run")
    for file in files:
        if file.suffix != ".hspy":
            raise InputError(f"{file}: expected a .hspy file, or the folder of a rhotem image run")
        yield read_hyperspy(file)
