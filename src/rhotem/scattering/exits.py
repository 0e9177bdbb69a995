"""Exit waves of a parallel beam at many thicknesses, from one propagation: what images of every lens are made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.core.provenance import versions
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import lens_opening
from rhotem.microscope.parallel import plane_waves
from rhotem.potential.slices import PotentialSlices

#: Part of the intensity that beams which are left out hold together.
WEAKEST = 1e-7


@dataclass(frozen=True, eq=False)
class ExitWaves:
    """Beams of exit waves behind the objective aperture.

    Parameters
    ----------
    microscope : Microscope
        Its ``energy`` and ``objective`` stay; all else is the lens', which images choose.
    cell : (float, float)
        Sides in Å of the cell that images show.
    repeats : (int, int)
        Equal cells of the block that was propagated.
    thicknesses : tuple of float
        Å, increasing.
    beams : (beams, 2) int array
        In units of the block's reciprocal cell.
    waves : (thicknesses, configurations, beams) complex64 array
        Fourier coefficients; 1 is the incident beam.
    totals : (thicknesses,) array
        Mean intensity of images, beams that were left out included.
    record : dict
        How they were made.
    """

    microscope: Microscope
    cell: tuple[float, float]
    repeats: tuple[int, int]
    thicknesses: tuple[float, ...]
    beams: npt.NDArray[np.int64]
    waves: npt.NDArray[np.complex64]
    totals: npt.NDArray[np.float64]
    record: dict[str, Any]

    @property
    def frequencies(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Those of the beams along x and y, 1/Å."""
        x, y = (self.beams[:, n] / (self.cell[n] * self.repeats[n]) for n in (0, 1))
        return x, y


def exit_waves(
    potentials: Iterable[PotentialSlices],
    microscope: Microscope,
    thicknesses: Sequence[float],
    *,
    repeats: tuple[int, int] = (1, 1),
    progress: Progress = silent,
    configurations: int | None = None,
) -> ExitWaves:
    """Exit waves at thicknesses (Å) that are whole numbers of slices.

    Parameters
    ----------
    potentials : iterable of PotentialSlices
        One per configuration, all on the same grid.
    microscope : Microscope
        ``energy`` and ``objective``.
    thicknesses : sequence of float
    repeats : (int, int)
        As `rhotem.microscope.parallel.parallel_images`.
    progress : Progress
    configurations : int, optional
        Their number, for the progress.

    Raises
    ------
    InputError
        If there are no potentials, their grids differ, or a thickness is beyond them or between slices.
    """
    stacks: list[npt.NDArray[np.complex64]] = []
    first: PotentialSlices | None = None
    for slices in potentials:
        if first is None:
            first, engine = slices, plane_waves(microscope, slices)[0]
            exits = _exits(slices, thicknesses)
            opening = _opening(microscope, engine.grid, slices.extent)
        elif slices.array.shape != first.array.shape:
            raise InputError(f"configuration {len(stacks) + 1} has another grid than the first")
        stacks.append(engine.exit_waves(slices.array[: exits[-1]], exits) * opening)
        progress("exit waves", len(stacks), configurations or len(stacks))
    if first is None:
        raise InputError("no potential: give at least one configuration")
    whole = np.stack(stacks, axis=1)
    power = (np.abs(whole) ** 2).mean(axis=1)
    kept = power.max(axis=0) > _threshold(power.max(axis=0))
    index = np.argwhere(kept)
    beams = np.stack([np.rint(np.fft.fftfreq(n) * n)[i] for n, i in zip(kept.shape, index.T, strict=True)], axis=1)
    return ExitWaves(
        microscope,
        (first.extent[0] / repeats[0], first.extent[1] / repeats[1]),
        repeats,
        tuple(n * first.thickness for n in exits),
        beams.astype(np.int64),
        np.ascontiguousarray(whole[:, :, kept]),
        power.sum(axis=(1, 2)).astype(float),
        {"configurations": len(stacks), "potential": first.record, "versions": versions()},
    )


def _exits(slices: PotentialSlices, thicknesses: Sequence[float]) -> list[int]:
    found = []
    for depth in thicknesses:
        number = round(depth / slices.thickness)
        if not 1 <= number <= len(slices.array) or abs(number * slices.thickness - depth) > 0.01 * slices.thickness:
            raise InputError(
                f"thickness {0.1 * depth:.4g} nm: expected whole slices of {slices.thickness:.4g} Å, "
                f"{0.1 * len(slices.array) * slices.thickness:.4g} nm at most"
            )
        found.append(number)
    if not found or sorted(set(found)) != found:
        raise InputError("thicknesses: expected one or more, increasing")
    return found


def _opening(microscope: Microscope, grid: tuple[int, int], extent: tuple[float, float]) -> npt.NDArray[np.float64]:
    """What the objective lens passes, as `rhotem.microscope.coherence.Lens` has it."""
    sampling = (extent[0] / grid[0], extent[1] / grid[1])
    kx, ky = np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip(grid, sampling, strict=True)), indexing="ij")
    return lens_opening(kx, ky, microscope.objective, microscope.wavelength, sampling)


def _threshold(power: npt.NDArray[np.float64]) -> float:
    """Intensity below which all beams together hold less than `WEAKEST` of what is scattered."""
    ordered = np.sort(power, axis=None)
    weak = int(np.searchsorted(np.cumsum(ordered), WEAKEST * ordered[:-1].sum()))
    return float(ordered[weak - 1]) if weak else 0.0
