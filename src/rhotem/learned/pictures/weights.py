"""Weights of networks that read pictures: safetensors of several members, with what they were trained on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.registry import registered
from rhotem.learned.pictures.unet import OUTPUTS, shapes

#: What the header says it is, and its version.
FORM, VERSION = "rhotem-picture-network", 1
#: The network that every installation has.
DEFAULT = "columns"


@dataclass(frozen=True, eq=False)
class Weights:
    """A network that reads pictures.

    Parameters
    ----------
    members : sequence of mappings
        Name -> array, of each member of the ensemble.
    header : mapping
        ``widths``: channels a level; ``job``: what it was trained for, of ``inputs`` pictures and ``outputs`` maps;
        ``patch``: pixels of a square that are channels; ``pixel_A``: that it was trained at; ``threshold``: of a
        column; ``sigma_scale``: by how much the members' scatter is smaller than the error; what it was trained on.
    """

    members: Sequence[Mapping[str, npt.NDArray[np.float32]]]
    header: Mapping[str, Any]

    @property
    def levels(self) -> int:
        """Levels of the U-Net."""
        return len(self.header["widths"])

    @property
    def inputs(self) -> int:
        """Planes that it sees at a time."""
        return int(self.header.get("inputs", 1))

    @property
    def patch(self) -> int:
        """Pixels of a square that are channels."""
        return int(self.header.get("patch", 1))

    @property
    def multiple(self) -> int:
        """Sides of pictures that it takes are multiples of this."""
        return int(self.patch * 2 ** (self.levels - 1))


def installed() -> Path:
    """The network that is used if none is named: the first of packages with weights that has one.

    Raises
    ------
    InputError
        If none has.
    """
    for entry in registered("rhotem.weights").values():
        found = Path(entry.load()) / "pictures" / f"{DEFAULT}.safetensors"
        if found.exists():
            return found
    raise InputError("no network for pictures is installed: pip install packages/rhotem-data, or name one (--network)")


def load_weights(path: str | Path | None = None, job: str = "columns") -> Weights:
    """The network of a file that was trained for a job; None: that of rhotem-data.

    Raises
    ------
    InputError
        If it is none, of another version, or of another job.
    """
    from safetensors import SafetensorError, safe_open

    place = installed() if path is None else Path(path)
    try:
        with safe_open(str(place), framework="numpy") as stream:
            header = json.loads((stream.metadata() or {}).get("header", "{}"))
            arrays = {name: stream.get_tensor(name).astype(np.float32) for name in stream.keys()}  # noqa: SIM118  # it is no mapping
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{place}: no network that can be read ({type(error).__name__})") from None
    if header.get("format") != FORM or header.get("version") != VERSION:
        raise InputError(f"{place}: no network for pictures of version {VERSION}")
    if header.get("job", "columns") != job:
        raise InputError(f"{place}: a network for {header['job']}; give one that was trained for {job}")
    sizes = header.get("inputs", 1), header.get("outputs", len(OUTPUTS)), header.get("patch", 1)
    wanted = shapes(tuple(header["widths"]), *sizes)
    members = []
    for number in range(int(header["members"])):
        one = {name: arrays.get(f"{number}.{name}", np.zeros(0)) for name in wanted}
        wrong = [name for name, shape in wanted.items() if one[name].shape != shape]
        if wrong:
            raise InputError(f"{place}: weights {wrong[0]} of member {number} are missing or of another shape")
        members.append(one)
    return Weights(members, header)


def save_weights(path: Path, members: list[dict[str, npt.NDArray[Any]]], header: Mapping[str, Any]) -> None:
    """Write members in half precision."""
    from safetensors.numpy import save_file

    arrays = {
        f"{number}.{name}": np.ascontiguousarray(values, dtype=np.float16)
        for number, one in enumerate(members)
        for name, values in one.items()
    }
    said = {**header, "format": FORM, "version": VERSION, "members": len(members)}
    save_file(arrays, str(path), {"header": json.dumps(said, sort_keys=True)})
