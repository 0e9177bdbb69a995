"""Choose a potential writer by the file's ending."""

from pathlib import Path

from rhotem.core import InputError
from rhotem.potential.files.drprobe import write_added_potential, write_slices
from rhotem.potential.files.own import write_potential
from rhotem.potential.files.prismatic import write_prismatic
from rhotem.potential.files.structures import write_qstem, write_temsim
from rhotem.potential.slices import PotentialSlices

#: Ending and what it is.
FORMATS = {
    ".zarr": "RhoTEM's own file",
    ".h5": "Prismatic, import potential",
    ".hdf5": "Prismatic, import potential",
    ".sli": "Dr. Probe phase gratings, one file per slice (needs the beam energy)",
    ".addpot": "Dr. Probe, CELSLC -addpot",
}


#: Programs that take no potential take the structure.
STRUCTURE_WRITERS = {".cfg": write_qstem, ".xyz": write_temsim}


def check_ending(path: str | Path) -> None:
    """Refuse an ending that no writer has, before anything is computed.

    Raises
    ------
    InputError
        With the endings there are.
    """
    if Path(path).suffix.lower() not in (*FORMATS, *STRUCTURE_WRITERS):
        raise InputError(f"{path}: unknown ending; choose one of {', '.join((*FORMATS, *STRUCTURE_WRITERS))}")


def write(potential: PotentialSlices, path: str | Path, energy: float | None = None) -> list[Path]:
    """Write a potential in the format of the file's ending (``FORMATS``); returns the paths written.

    Raises
    ------
    InputError
        If the ending is unknown, or a phase grating is asked for without beam energy (eV).
    """
    target = Path(path)
    ending = target.suffix.lower()
    if ending == ".zarr":
        write_potential(potential, target)
    elif ending in (".h5", ".hdf5"):
        write_prismatic(potential, target)
    elif ending == ".addpot":
        write_added_potential(potential, target)
    elif ending == ".sli":
        if energy is None:
            raise InputError(f"{path}: a phase grating is made for one beam energy; give it")
        return write_slices(potential, target.with_suffix(""), energy)
    else:
        check_ending(target)
        raise InputError(f"{path}: {ending} holds a structure, not a potential")
    return [target]
