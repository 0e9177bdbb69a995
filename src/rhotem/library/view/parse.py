"""The process that reads a picture which was sent (`rhotem.library.view.upload`): ``python -m … FILE PIXEL``.

It writes ``data.npy`` beside the file and prints one line of JSON: the pixel in Å, or what is wrong (exit code 2).
"""

import json
import sys
from pathlib import Path

import numpy as np

from rhotem.core import InputError, RhoTEMError
from rhotem.library.view.upload import MEMORY, PIXELS


def limit() -> None:
    """Allow this process no more memory than `MEMORY`, where the system can."""
    try:
        import resource
    except ImportError:  # no such thing on this system
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def self_contained(path: Path) -> None:
    """Refuse HDF5 files that show what lies in other files: external links, external and virtual data.

    Raises
    ------
    InputError
    """
    import h5py

    def walk(group: h5py.Group) -> None:
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise InputError(f"{path}: links to another file")
            if isinstance(link, h5py.SoftLink):
                continue
            inner = group[name]
            if isinstance(inner, h5py.Group):
                walk(inner)
            elif isinstance(inner, h5py.Dataset) and (inner.is_virtual or inner.external):
                raise InputError(f"{path}: its numbers lie in another file")

    try:
        with h5py.File(path, "r") as file:
            walk(file)
    except OSError:
        return  # no HDF5: the reader says so


def main(path: Path, pixel: float | None) -> int:
    """Read, write, and say what it is; the exit code."""
    from rhotem.experiment.read import read_measurement
    from rhotem.experiment.read.stated import Stated

    try:
        if path.suffix == ".emd":
            self_contained(path)
        measured = read_measurement(path, Stated(kind="image", pixel_A=pixel))
        if measured.kind != "image" or measured.pixel is None:
            raise InputError(f"{path}: the size of its pixels is not known; say it in Å, within 4 %")
        if measured.data.size > PIXELS:
            raise InputError(f"{path}: more than {PIXELS / 1e6:.0f} million pixels; cut a part out or bin them")
    except RhoTEMError as error:
        print(json.dumps({"error": " ".join(str(error).split())}))
        return 2
    np.save(path.with_name("data.npy"), measured.data, allow_pickle=False)
    print(json.dumps({"pixel": measured.pixel}))
    return 0


if __name__ == "__main__":
    limit()
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]) if sys.argv[2] else None))
