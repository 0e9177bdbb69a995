"""What a user says of a trajectory that its file does not, and words for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.read.elements import of_symbol

#: Keys of a frame that hold its time, and their unit in fs; ``time_ps`` is that of `rhotem md`.
TIMES = {"time": 1.0, "time_fs": 1.0, "Time": 1.0, "time_ps": 1e3}


@dataclass(frozen=True)
class Asked:
    """What a file may lack.

    Parameters
    ----------
    timestep : float or None
        fs of one step of molecular dynamics where frames have numbers of steps (LAMMPS), else between frames.
    elements : mapping
        Element by type, {"1": "Li"}.
    topology : path or None
        Structure file that names the atoms and, for files without one, the cell (DCD).
    """

    timestep: float | None = None
    elements: Mapping[str, str] = field(default_factory=dict)
    topology: Path | None = None

    def __post_init__(self) -> None:
        if self.timestep is not None and not (np.isfinite(self.timestep) and self.timestep > 0):
            raise InputError(f"--timestep-fs {self.timestep}: expected a positive time")

    def times(self, own: npt.NDArray[np.float64] | None, frames: int) -> npt.NDArray[np.float64] | None:
        """Fs of every frame: the file's own, else by the time step; None where nobody says.

        Raises
        ------
        InputError
            If both say it, and differently.
        """
        if own is None:
            return None if self.timestep is None else np.asarray(self.timestep * np.arange(frames), dtype=np.float64)
        if self.timestep is not None and frames > 1 and abs(np.diff(own)[0] / self.timestep - 1) > 1e-3:
            raise InputError(
                f"--timestep-fs {self.timestep:g}: the file says {np.diff(own)[0]:g} fs between frames; leave it out"
            )
        return own


def parse_elements(text: str) -> dict[str, str]:
    """Elements by type from ``1=Li,2=Co,3=O``.

    Raises
    ------
    InputError
        If it is not written so, or a word is no element.
    """
    pairs = [piece.strip().partition("=") for piece in text.split(",") if piece.strip()]
    read = {key.strip(): of_symbol(value) for key, _, value in pairs}
    if not pairs or any(reading is None for reading in read.values()):
        raise InputError(f"--elements {text}: expected types and their elements, such as 1=Li,2=Co,3=O")
    return {key: reading.symbol for key, reading in read.items() if reading is not None}


def truncated(path: Path, frames: int, what: str) -> str:
    """The remark on a file that ends within a frame; refused where no frame is whole.

    Raises
    ------
    InputError
        If there is no whole frame.
    """
    if not frames:
        raise InputError(f"{path}: no whole frame in it, it ends {what}; the file is truncated")
    return f"{path.name}: it ends {what} of frame {frames + 1}, which is left out; {frames} whole frames"


def same_atoms(path: Path, frame: int, first: npt.NDArray, own: npt.NDArray) -> None:
    """Refuse a frame whose atoms are not those of the first, in their order."""
    if len(first) != len(own):
        raise InputError(
            f"{path}: frame {frame} has {len(own)} atoms, the first {len(first)}; atoms were lost, or two runs are in "
            "one file"
        )
    if (first != own).any():
        atom = int(np.argmax(first != own)) + 1
        raise InputError(
            f"{path}: atom {atom} of frame {frame} is another element than in the first frame; write atoms in one order"
        )
