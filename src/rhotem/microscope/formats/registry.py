"""Formats of files by name: what each holds, and how it is written; and the signals of a folder."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rhotem.core import InputError
from rhotem.core.output import RECORD
from rhotem.microscope.formats.datacube import write_py4dstem
from rhotem.microscope.formats.emd import write_emd
from rhotem.microscope.formats.hyperspy import read_hyperspy, write_hyperspy
from rhotem.microscope.formats.mrc import write_mrc
from rhotem.microscope.formats.nexus import write_nexus
from rhotem.microscope.formats.ptychography import write_phaser, write_ptyrad
from rhotem.microscope.formats.signal import Signal
from rhotem.microscope.formats.tiff import write_tiff


@dataclass(frozen=True)
class Format:
    """A format of files.

    Parameters
    ----------
    ending : str
    about : str
    write : callable
        A signal and a path.
    images, patterns : bool
        What it holds.
    """

    ending: str
    about: str
    write: Callable[[Signal, Path], None]
    images: bool = True
    patterns: bool = True

    def holds(self, signal: Signal) -> bool:
        """Whether a signal can be written."""
        return self.patterns if signal.patterns else self.images


FORMATS = {
    "hspy": Format(".hspy", "HyperSpy", write_hyperspy),
    "tiff": Format(".tif", "TIFF of ImageJ", write_tiff, patterns=False),
    "mrc": Format(".mrc", "MRC2014", write_mrc, patterns=False),
    "emd": Format(".emd", "Berkeley EMD 0.2", write_emd),
    "nexus": Format(".nxs", "NeXus, NXem", write_nexus),
    "py4dstem": Format(".h5", "patterns for py4DSTEM (EMD 1.0)", write_py4dstem, images=False),
    "ptyrad": Format(".hdf5", "patterns and a YAML for PtyRAD", write_ptyrad, images=False),
    "phaser": Format(".h5", "patterns and a YAML for phaser", write_phaser, images=False),
}


def export(path: Path, name: str, folder: Path) -> list[str]:
    """Write images and patterns of a run, or of one file, in another format; returns the names of the files.

    Raises
    ------
    InputError
        If the format is not known, or holds none of what is there.
    """
    if name not in FORMATS:
        raise InputError(f"--to {name}: not known; choose one of {', '.join(FORMATS)}")
    format_ = FORMATS[name]
    held = list(signals(path))
    chosen = [signal for signal in held if format_.holds(signal)]
    if not chosen:
        wanted = "images" if format_.images else "diffraction patterns (rhotem image --detector 4D=40)"
        raise InputError(f"--to {name}: holds {wanted}, and {path} has none")
    for signal in chosen:
        format_.write(signal, folder / f"{_stem(signal.name)}{format_.ending}")
    return sorted(file.name for file in folder.iterdir())


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
        signal = read_hyperspy(file)
        yield replace(signal, said=signal.said | _beside(file.parent))


def _beside(folder: Path) -> dict[str, Any]:
    """Elements of the specimen, and when the run was made, where the folder tells."""
    found: dict[str, Any] = {}
    atoms, record = folder / "atoms.csv", folder / RECORD
    if atoms.is_file():
        with open(atoms, newline="") as stream:
            found["elements"] = sorted({row["element"] for row in csv.DictReader(stream)})
    if record.is_file():
        found["created"] = json.loads(record.read_text()).get("created", "")
    return {key: value for key, value in found.items() if value}


def _stem(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)
