"""A potential file whose slices stay on disk until they are needed, and windows of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.potential.files.own import FORMAT, VERSION
from rhotem.potential.slices import PotentialSlices


@dataclass(frozen=True, eq=False)
class SlicesOnDisk:
    """Stands for an array (S, n_x, n_y): indexing and iterating read what is asked for.

    Parameters
    ----------
    stored : zarr array
        In chunks of slices or of parts of them.
    path : Path
        The file.
    """

    stored: Any
    path: Path

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices and pixels."""
        slices, n_x, n_y = self.stored.shape
        return int(slices), int(n_x), int(n_y)

    @property
    def dtype(self) -> np.dtype:
        """Of the values."""
        return np.dtype(self.stored.dtype)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> npt.NDArray:
        return np.asarray(self.stored[index])

    def __iter__(self) -> Iterator[npt.NDArray]:
        return (self[s] for s in range(len(self)))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray:
        return np.asarray(self.stored[:], dtype=dtype)

    def sum(self, axis: int, dtype: npt.DTypeLike | None = None) -> npt.NDArray:
        """Projection through all slices, one in memory at a time; only along axis 0."""
        if axis != 0:
            raise InputError(f"slices on disk: sum along axis {axis}; read them into an array for that")
        total = np.zeros(self.shape[1:], dtype=self.dtype if dtype is None else dtype)
        for values in self:
            total += values
        return total


def open_potential(path: str | Path) -> PotentialSlices:
    """Slices of a potential file, read when they are needed; otherwise as `rhotem.potential.files.read_potential`.

    HRTEM and diffraction (`rhotem.microscope.parallel_images`) go through them slice by slice. For probes take a
    `window`.

    Raises
    ------
    InputError
        If it is no such file, or of a newer version.
    """
    import zarr

    try:
        attributes: dict[str, Any] = dict(zarr.open_group(str(path), mode="r").attrs)
        stored: Any = zarr.open_array(str(Path(path) / "potential"), mode="r")
        form, version = attributes["format"], attributes["version"]
        cell, v0 = np.array(attributes["cell_A"]), float(attributes["mean_inner_potential_V"])
        record = json.loads(attributes["record"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a RhoTEM potential file ({error})") from error
    if form != FORMAT or version > VERSION:
        raise InputError(f"{path}: {form} version {version}, expected {FORMAT} up to {VERSION}")
    lazy: Any = SlicesOnDisk(stored, Path(path))
    n_z, n_x, n_y = lazy.shape
    return PotentialSlices(lazy, PeriodicGrid(cell, (n_x, n_y, n_z)), v0, record, record.get("oversampling", 1))


def window(
    potential: PotentialSlices, start: tuple[float, float], size: tuple[float, float]
) -> tuple[PotentialSlices, tuple[float, float]]:
    """A rectangle of a potential as a potential of its own, for probes in its middle.

    Its sides are not periodic: keep probes as far from them as their tails reach (`rhotem.microscope.plan.probe_window`
    is twice that distance).

    Parameters
    ----------
    potential : PotentialSlices
    start, size : pairs of float
        Corner and sides in Å; the window is moved to whole pixels and may cross the cell's sides.

    Returns
    -------
    PotentialSlices
        In memory.
    tuple of float
        Its corner in Å, as it is.

    Raises
    ------
    InputError
        If the window is empty or larger than the cell.
    """
    n = potential.wave_grid
    step = potential.wave_sampling
    first = [round(a / d) for a, d in zip(start, step, strict=True)]
    count = [round(a / d) for a, d in zip(size, step, strict=True)]
    if min(count) < 1 or any(c > m for c, m in zip(count, n, strict=True)):
        extent = " x ".join(f"{e:.2f}" for e in potential.extent)
        raise InputError(f"window of {size[0]:g} x {size[1]:g} Å: expected one within the cell of {extent} Å")
    fine = potential.oversampling
    rows, columns = (_wrapped(a * fine, c * fine, m * fine) for a, c, m in zip(first, count, n, strict=True))
    shape = (len(potential.array), count[0] * fine, count[1] * fine)
    array = np.empty(shape, dtype=potential.array.dtype)
    for s in range(len(array)):
        for (into_x, from_x), (into_y, from_y) in product(rows, columns):
            array[s, into_x, into_y] = potential.array[s, from_x, from_y]
    sides = np.diag([count[0] * step[0], count[1] * step[1], potential.grid.cell[2, 2]])
    grid = PeriodicGrid(sides, (shape[1], shape[2], shape[0]))
    corner = (first[0] * step[0], first[1] * step[1])
    record = {**potential.record, "window_start_A": list(corner)}
    return PotentialSlices(array, grid, potential.mean_inner_potential, record, fine), corner


def _wrapped(first: int, count: int, period: int) -> list[tuple[slice, slice]]:
    """Where ``count`` of ``period`` pixels from ``first`` on go to, and where they are, as pieces without a seam."""
    pieces, done = [], 0
    while done < count:
        start = (first + done) % period
        step = min(count - done, period - start)
        pieces.append((slice(done, done + step), slice(start, start + step)))
        done += step
    return pieces
