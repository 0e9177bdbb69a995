"""The frames of a film on disk: a Zarr group that is written frame by frame and goes on after a run was killed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

#: Name of the array that says which frames are whole; written behind them.
DONE = "done"


class Store:
    """Arrays (frames, ...) with one chunk for every frame.

    Parameters
    ----------
    path : Path
        Folder of the Zarr group.
    identity : str
        Of the film: what its frames are made from and how.
    frames : int

    Raises
    ------
    InputError
        If there is another film, or something else.
    """

    def __init__(self, path: Path, identity: str, frames: int) -> None:
        import zarr

        self.path, self.frames = path, frames
        if path.exists():
            try:
                self.group = zarr.open_group(str(path), mode="r+")
                there = self.group.attrs.get("identity")
            except Exception as error:  # zarr has many errors for what is no group
                raise InputError(f"{path}: not a film that can go on ({error}); give another --out") from None
            if there != identity:
                raise InputError(
                    f"{path}: holds another film (other frames, settings or trajectory); give another "
                    "--out, or delete it"
                )
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self.group = zarr.open_group(str(path), mode="w")
        self._array(DONE, (), "u1")
        self.group.attrs.update({"format": "rhotem-film", "version": 1, "identity": identity})

    def _array(self, name: str, shape: tuple[int, ...], kind: str) -> Any:
        import zarr

        size, chunk = (self.frames, *shape), (1, *shape)
        return zarr.open_array(str(self.path / name), mode="w", shape=size, chunks=chunk, dtype=kind, fill_value=0)

    def array(self, name: str) -> Any:
        """An array of the group, to read."""
        import zarr

        return zarr.open_array(str(self.path / name), mode="r")

    def is_done(self, number: int) -> bool:
        """Whether a frame is whole."""
        try:
            return bool(self.array(DONE)[number])
        except Exception:  # torn by what killed the run
            return False

    @property
    def done(self) -> int:
        """Number of whole frames."""
        return sum(self.is_done(number) for number in range(self.frames))

    def put(self, number: int, arrays: Mapping[str, npt.NDArray], units: Mapping[str, str]) -> None:
        """Write a frame; it counts from when all of it is there."""
        import zarr

        for name, values in arrays.items():
            if not (self.path / name).exists():
                self._array(name, values.shape, "f4").attrs.update({"unit": units.get(name, "")})
            zarr.open_array(str(self.path / name), mode="r+")[number] = values.astype(np.float32)
        zarr.open_array(str(self.path / DONE), mode="r+")[number] = 1

    def note(self, **attributes: Any) -> None:
        """Attributes of the group."""
        self.group.attrs.update(attributes)

    def read(self, name: str) -> Any:
        """An attribute of the group; None where it is not there."""
        return self.group.attrs.get(name)
