"""Parallel illumination: HRTEM images and diffraction patterns of a plane wave through a periodic specimen."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.core.provenance import versions
from rhotem.core.threads import available_threads
from rhotem.microscope.acquisition.apply import Recording
from rhotem.microscope.acquisition.camera import exposed
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.coherence import Lens
from rhotem.microscope.diffraction import Waves
from rhotem.microscope.images import ImageSet
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Microscope
from rhotem.microscope.signals import count, field_of_view

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

Array = npt.NDArray[np.float64]

#: Bytes of exit waves that are kept before their images are added up; a pair of beams is then looked at once for all.
WAVE_BYTES = 128 * 1024**2


def parallel_images(
    potentials: "Iterable[PotentialSlices]",
    microscope: Microscope,
    *,
    repeats: tuple[int, int] = (1, 1),
    rng: np.random.Generator | None = None,
    progress: Progress = silent,
    configurations: int | None = None,
) -> ImageSet:
    """HRTEM image and diffraction pattern of a plane wave, averaged over frozen-phonon configurations.

    The exit wave of one lateral cell is exact multislice. The objective lens multiplies it with ``exp(−iχ)``; focal
    spread and illumination angles, the latter with the microscope's ``convergence`` as standard deviation, are averaged
    exactly for every pair of beams (`rhotem.microscope.coherence`). Elastic spots are told apart from thermal diffuse
    scattering (`rhotem.microscope.diffraction`).

    Parameters
    ----------
    potentials : iterable of PotentialSlices
        One per configuration, all on the same grid. A single one counts as at rest unless its record says otherwise.
    microscope : Microscope
        ``dose`` is per Å² of the specimen; aberrations are those of the objective lens.
    repeats : (int, int)
        Cells in the potential that are equal but for thermal motion. The image is the mean of them and shows one; only
        reciprocal vectors of that one have elastic intensity.
    rng : numpy Generator or None
        Needed with a dose.
    progress : Progress
    configurations : int or None
        Number of potentials, for the progress display.

    Returns
    -------
    ImageSet
        ``HRTEM`` in units of the incident intensity on the pixels of the waves. ``diffraction`` holds the elastic
        intensity at every reciprocal vector of the cell, ``angular_step`` apart; ``plane_wave`` that, its error and
        the diffuse intensity.

    Raises
    ------
    InputError
        If there are no potentials, their grids differ or do not divide into the equal cells, or a dose has no
        generator.
    """
    if microscope.dose is not None and rng is None:
        raise InputError("a dose needs a random generator: pass rng=numpy.random.default_rng(seed)")
    start, first, number, moving = time.perf_counter(), None, 0, False
    for slices in potentials:
        if first is None:
            first, engine = slices, _engine(microscope, slices)
            lens = Lens(microscope, slices.extent, engine.shape, repeats, objective=microscope.objective)
            waves, camera = Waves(engine.shape, repeats), _Camera(lens)
        elif slices.array.shape != first.array.shape:
            raise InputError(f"configuration {number + 1} has another grid {slices.array.shape} than the first")
        wave = engine.exit_wave(slices.array)
        waves.add(wave)
        camera.add(wave)
        number += 1
        moving = number > 1 or bool(slices.record.get("displaced"))
        progress("exit waves", number, configurations or number)
    if first is None:
        raise InputError("no potential: give at least one configuration")
    scan = Scan(lens.cell, (first.extent[0] / repeats[0], first.extent[1] / repeats[1]))
    image, clean = camera.image(), {}
    more: dict[str, Any] = {}
    if microscope.dose is not None and rng is not None:
        ideal, scan = field_of_view(image, scan, microscope.pixel, microscope.field)
        image, more = photographed(np.asarray(ideal, dtype=np.float64), scan, microscope, rng)
        clean = {"HRTEM": ideal} if microscope.acquisition is not None else {}
    turn = 1e3 * microscope.wavelength
    pattern = waves.result((turn / first.extent[0], turn / first.extent[1]), moving)
    record = {
        "microscope": microscope.model_dump(),
        "mode": "parallel illumination",
        "objective_mrad": microscope.objective,
        "configurations": number,
        "equal_cells": list(repeats),
        "coherence": lens.record,
        "diffraction": pattern.record(),
        "thickness": len(first.array) * first.thickness,
        "potential": first.record,
        "seconds": time.perf_counter() - start,
        "versions": versions(),
        **more,
    }
    return ImageSet({"HRTEM": image}, scan, pattern.elastic, pattern.step, {}, record, pattern, clean)


def photographed(
    ideal: Array, scan: Scan, microscope: Microscope, rng: np.random.Generator
) -> tuple[Array, dict[str, Any]]:
    """An image (nx, ny) in units of the incident intensity as a camera records it, and what the record says of it.

    Counted electrons as fractions, or counts of a camera with electronics.
    """
    acquisition, dose = microscope.acquisition, float(microscope.dose or 0.0)
    if acquisition is None or acquisition.camera is None:
        counting = acquisition is None or acquisition.counting
        return np.asarray(count(ideal, scan, dose, rng) if counting else ideal, dtype=np.float64), {}
    electrons = dose * scan.step[0] * scan.step[1]
    recording = Recording(acquisition, rng)
    image = exposed(ideal * electrons, acquisition.camera, rng if acquisition.counting else None, recording.streams)
    return image, {"units": {"HRTEM": "counts"}, "acquisition": {"electrons_per_pixel": electrons}}


class _Camera:
    """Adds up images of exit waves, many at a time."""

    def __init__(self, lens: Lens) -> None:
        self._lens, self._number = lens, 0
        self._sum: Array = np.zeros(lens.cell)
        self._waiting: list[npt.NDArray[np.complex64]] = []

    def add(self, wave: npt.NDArray[np.complex64]) -> None:
        self._waiting.append(wave)
        if sum(w.nbytes for w in self._waiting) > WAVE_BYTES:
            self._look()

    def _look(self) -> None:
        number = len(self._waiting)
        self._sum += number * self._lens.image(np.stack(self._waiting))
        self._number += number
        self._waiting = []

    def image(self) -> Array:
        if self._waiting:
            self._look()
        return self._sum / self._number


def _engine(microscope: Microscope, slices: "PotentialSlices") -> BlochEngine:
    """An engine whose only beam is the plane wave along the axis."""
    shape = slices.wave_grid
    needle = microscope.model_copy(update={"convergence": 1e-6, "focal_spread": 0.0})
    return BlochEngine(needle, slices.extent, shape, slices.thickness, (1, 1), available_threads(), refine=False)


def spots(images: ImageSet, threshold: float | None = None) -> list[dict[str, Any]]:
    """Elastic diffraction spots of `parallel_images`: `rhotem.microscope.diffraction.Diffraction.spots`."""
    if images.plane_wave is None:
        raise InputError("these images are of a probe: spots need parallel illumination (preset saed)")
    return images.plane_wave.spots() if threshold is None else images.plane_wave.spots(threshold)
