"""The formats that are read: endings, what their first bytes look like, and the function that reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rhotem.core import InputError
from rhotem.core.nearby import inside, nearby
from rhotem.experiment.read.array import read_npy
from rhotem.experiment.read.emd import read_emd, read_hdf5
from rhotem.experiment.read.empad import read_empad, read_empad_raw
from rhotem.experiment.read.mib import read_mib
from rhotem.experiment.read.mrc import is_unmarked, read_mrc
from rhotem.experiment.read.picture import read_picture
from rhotem.experiment.read.rosetta import read_rosetta
from rhotem.experiment.read.signal import Signal
from rhotem.experiment.read.tia import read_tia
from rhotem.experiment.read.tiff import read_tiff

#: Bytes of a file that are looked at.
HEAD = 1024


@dataclass(frozen=True)
class Format:
    """One format.

    Parameters
    ----------
    name : str
    endings : tuple of str
        In lower case.
    looks : function
        Whether the first bytes can be such a file.
    read : function
    telling : bool
        Whether the first bytes alone tell it from others.
    """

    name: str
    endings: tuple[str, ...]
    looks: Callable[[bytes], bool]
    read: Callable[[Path], list[Signal]]
    telling: bool = True


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _through(plugin: str) -> Callable[[Path], list[Signal]]:
    return lambda path: read_rosetta(path, plugin)


_HDF = b"\x89HDF\r\n\x1a\n"
FORMATS: tuple[Format, ...] = (
    Format("DM3", (".dm3",), _begins(b"\0\0\0\3"), _through("digitalmicrograph")),
    Format("DM4", (".dm4",), _begins(b"\0\0\0\4"), _through("digitalmicrograph")),
    Format("EMD", (".emd",), _begins(_HDF), read_emd, telling=False),
    Format("HyperSpy", (".hspy",), _begins(_HDF), _through("hspy"), telling=False),
    Format("HDF5", (".h5", ".hdf5"), _begins(_HDF), read_hdf5, telling=False),
    Format("TIA series", (".ser",), _begins(b"II\x97\x01"), read_tia),
    Format("TIA", (".emi",), lambda head: not head.startswith(b"II\x97\x01"), read_tia, telling=False),
    Format("Merlin", (".mib",), _begins(b"MQ1"), read_mib),
    Format("EMPAD", (".xml",), lambda head: b"<" in head[:64], read_empad, telling=False),
    Format("EMPAD raw", (".raw",), lambda head: True, read_empad_raw, telling=False),
    Format("MRC", (".mrc", ".mrcs", ".ali"), lambda head: head[208:211] == b"MAP", read_mrc),
    Format("MRC", (".mrc", ".mrcs", ".ali"), is_unmarked, read_mrc, telling=False),
    Format("TIFF", (".tif", ".tiff"), _begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), read_tiff),
    Format("PNG", (".png",), _begins(b"\x89PNG"), read_picture),
    Format("JPEG", (".jpg", ".jpeg"), _begins(b"\xff\xd8"), read_picture),
    Format("BMP", (".bmp",), _begins(b"BM"), read_picture),
    Format("numpy", (".npy",), _begins(b"\x93NUMPY"), read_npy),
)
#: All endings.
ENDINGS = tuple(dict.fromkeys(ending for form in FORMATS for ending in form.endings))
#: What to do with files that hold files.
PACKED = {
    ".npz": "arrays of numpy in an archive; save the one that was recorded as .npy",
    ".gz": "packed; unpack it first",
    ".zip": "packed; unpack it first",
}
#: Endings of structures that are taken for measured files by mistake.
STRUCTURES = (".cif", ".vasp", ".poscar", ".xyz", ".extxyz")


def chosen(path: Path) -> Format:
    """The format of a file by ending and content.

    Raises
    ------
    InputError
        If it is not there, empty, of no known format, or its content is not what its ending says.
    """
    if path.is_dir() or not path.exists():
        folder = f"is a folder; give a file{inside(path, ENDINGS)}"
        raise InputError(f"{path}: {folder if path.is_dir() else 'no such file' + nearby(path)}")
    with open(path, "rb") as stream:
        head = stream.read(HEAD)
    if not head:
        raise InputError(f"{path}: empty file")
    ending = path.suffix.lower()
    wanted = [form for form in FORMATS if ending in form.endings]
    fitting = [form for form in wanted if form.looks(head)]
    if fitting:
        return fitting[0]
    others = [form for form in FORMATS if form.telling and form.looks(head)]
    if wanted:
        like = f"; it looks like {others[0].name}, name it {others[0].endings[0]}" if others else ", or it is damaged"
        raise InputError(f"{path}: its content is no {wanted[0].name}{like}")
    if others:
        return others[0]
    if ending in STRUCTURES:
        raise InputError(
            f"{path}: a structure, no measured file; the measured file comes first, its structure behind it"
        )
    if ending in PACKED:
        raise InputError(f"{path}: {PACKED[ending]}")
    known = ", ".join(ENDINGS)
    raise InputError(f"{path}: no format for {ending or 'its name'}; known: {known}")
