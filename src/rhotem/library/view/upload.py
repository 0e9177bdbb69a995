"""A picture that a person sends: taken in parts, limited in size, read by the strict readers in a process of its own.

What is sent is written to a folder that vanishes, under a name of ours, and no message says where. The process that
reads it has little time and memory: a small file may say that it unpacks into a large one.
"""

import base64
import binascii
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rhotem.core import InputError

if TYPE_CHECKING:
    from rhotem.experiment.measurement import Measurement

#: Bytes of a picture at most, and of each part: its base64 is below what a message may have.
MOST, PART = 16 * 2**20, 128 * 1024
#: Endings of files that are whole by themselves and hold no links to others.
ENDINGS = (".dm3", ".dm4", ".emd", ".ser", ".mrc", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy")
#: Pixels of a picture at most: the server compares it in its own memory.
PIXELS = 8192**2
#: Seconds and bytes of memory that reading may take; letters of a name that are shown.
SECONDS, MEMORY, NAMED = 60.0, 4 * 2**30, 60


@dataclass
class Upload:
    """Parts of one file, in order."""

    _name: str = ""
    _size: int = 0
    _parts: list[bytes] = field(default_factory=list)

    def take(self, said: Mapping[str, Any]) -> tuple[str, bytes] | None:
        """Take a part; name and content when it was the last.

        Parameters
        ----------
        said : mapping
            Of lists with one value: ``name``, ``size`` of the whole, ``place`` from 0, ``content`` in base64.

        Raises
        ------
        InputError
            If the file is too large, of no known ending, or a part is not the next one; what was sent is forgotten.
        """
        try:
            name, size, place, content = (said[key][0] for key in ("name", "size", "place", "content"))
            if not (isinstance(name, str) and isinstance(content, str) and isinstance(size, int)):
                raise ValueError
            if place == 0:
                self._begin(name, size)
            if (name, size, place) != (self._name, self._size, len(self._parts)):
                raise ValueError
            part = base64.b64decode(content, validate=True)
            self._parts.append(part)
            held = sum(map(len, self._parts))
            if not part or len(part) > PART or held > size:
                raise ValueError
        except (KeyError, IndexError, TypeError, ValueError, binascii.Error) as error:
            self._forget()
            if isinstance(error, InputError):
                raise
            raise InputError("the picture did not arrive whole; send it again") from None
        if held < size:
            return None
        whole = b"".join(self._parts)
        self._forget()
        return name, whole

    def _begin(self, name: str, size: int) -> None:
        self._forget()
        shown = short(name)
        if Path(name).suffix.lower() not in ENDINGS:
            raise InputError(f"{shown}: pictures end in {', '.join(ENDINGS)}")
        if not 0 < size <= MOST:
            raise InputError(f"{shown}: {size / 2**20:.3g} MB; pictures of {MOST // 2**20} MB and less are taken")
        self._name, self._size = name, size

    def _forget(self) -> None:
        self._name, self._size, self._parts = "", 0, []


def short(name: str) -> str:
    """The last part of a name, without what a console or a page may take for something else."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter if letter.isprintable() else "?" for letter in last)[-NAMED:] or "picture"


def read(name: str, content: bytes, pixel: float | None = None) -> "Measurement":
    """The image of a file that was sent.

    Parameters
    ----------
    name : str
        As its person calls it: its ending says the format.
    content : bytes
    pixel : float, optional
        Å, where the file does not say it.

    Raises
    ------
    InputError
        As `rhotem.experiment.read.read_measurement`; or if it takes too much time or memory.
    """
    from rhotem.experiment.measurement import Axis, Measurement, Source

    shown = short(name)
    with tempfile.TemporaryDirectory(prefix="rhotem-view-") as folder:
        path = Path(folder) / f"picture{Path(name).suffix.lower()}"
        path.write_bytes(content)
        command = [sys.executable, "-m", "rhotem.library.view.parse", str(path), "" if pixel is None else repr(pixel)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # threads reserve memory
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"{shown}: could not be read within {SECONDS:g} s") from None
        said = done.stdout.strip().rpartition("\n")[2]
        if done.returncode == 2:
            raise InputError(json.loads(said)["error"].replace(str(path), shown).replace(folder, ""))
        if done.returncode != 0:
            raise InputError(f"{shown}: cannot be read: damaged, or it unpacks into more than {MEMORY // 2**30} GB")
        data = np.load(Path(folder) / "data.npy", allow_pickle=False)
    down, right = json.loads(said)["pixel"]
    axes = (Axis("y", "Å", down), Axis("x", "Å", right))
    return Measurement(data, "image", axes, source=Source(shown, ""))
