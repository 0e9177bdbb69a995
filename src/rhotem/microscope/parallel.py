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
from rhotem.microscope.diffraction import Waves, mean_of
from rhotem.microscope.holography import sideband
from rhotem.microscope.images import ImageSet
from rhotem.microscope.lens_image import MeanImage
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Microscope
from rhotem.microscope.signals import count, field_of_view

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

Array = npt.NDArray[np.float64]

#: Beams on the cone of a precession at least; frequency in 1/Å up to which intensities are to be means over the cone.
FEWEST_BEAMS, REACH = 12, 1.5


def parallel_images(
    potentials: "Iterable[PotentialSlices]",
    microscope: Microscope,
    *,
    repeats: tuple[int, int] = (1, 1),
    hologram: bool = False,
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
    hologram : bool
        Instead of the image: ``phase`` (rad) and ``amplitude`` of the image wave, as the sideband of an off-axis
        hologram holds them (`rhotem.microscope.holography`); without counting noise.
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
        the diffuse intensity: means over a cone of beams with the microscope's ``precession``. ``exit_wave`` is the
        mean wave behind the specimen, before the lens.

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
            first, beams = slices, plane_waves(microscope, slices)
            lens = Lens(microscope, slices.extent, beams[0].shape, repeats, objective=microscope.objective)
            waves, camera = [Waves(one.shape, repeats) for one in beams], MeanImage(lens)
        elif slices.array.shape != first.array.shape:
            raise InputError(f"configuration {number + 1} has another grid {slices.array.shape} than the first")
        for place, (beam, sums) in enumerate(zip(beams, waves, strict=True)):
            wave = beam.exit_wave(slices.array)
            sums.add(wave)
            progress("exit waves", number * len(beams) + place + 1, (configurations or number + 1) * len(beams))
        if len(beams) == 1 and not hologram:
            camera.add(wave)
        number += 1
        moving = number > 1 or bool(slices.record.get("displaced"))
    if first is None:
        raise InputError("no potential: give at least one configuration")
    cell = Scan(lens.cell, (first.extent[0] / repeats[0], first.extent[1] / repeats[1]))
    exit_wave = waves[0].mean / number if len(beams) == 1 else None
    images, clean, scan, more = _shown(camera, exit_wave, cell, (microscope, hologram), rng)
    turn = 1e3 * microscope.wavelength
    step = (turn / first.extent[0], turn / first.extent[1])
    pattern = mean_of([sums.result(step, moving) for sums in waves])
    record = {
        "microscope": microscope.model_dump(),
        "mode": "parallel illumination",
        "objective_mrad": microscope.objective,
        "configurations": number,
        "equal_cells": list(repeats),
        "coherence": lens.record,
        "beams": len(beams),
        "diffraction": pattern.record(),
        "thickness": len(first.array) * first.thickness,
        "potential": first.record,
        "seconds": time.perf_counter() - start,
        "versions": versions(),
        **more,
    }
    behind = None if exit_wave is None else np.fft.ifft2(exit_wave, norm="forward")
    return ImageSet(images, scan, pattern.elastic, pattern.step, {}, record, pattern, clean, exit_wave=behind)


def _shown(
    camera: MeanImage,
    exit_wave: npt.NDArray[np.complexfloating] | None,
    cell: Scan,
    how: tuple[Microscope, bool],
    rng: np.random.Generator | None,
) -> tuple[dict[str, Array], dict[str, Array], Scan, dict[str, Any]]:
    """Images, the same of a flawless camera, their pixels, and what the record says; none of a precessed beam."""
    microscope, hologram = how
    said: dict[str, Any] = {"exit_wave_cell_A": list(cell.size)}
    if exit_wave is None:
        return {}, {}, cell, {}
    if hologram:
        said["units"] = {"phase": "rad", "amplitude": "of vacuum"}
        return sideband(exit_wave, cell.size, microscope), {}, cell, said
    image = camera.image()
    said |= camera.error()
    if microscope.dose is None or rng is None:
        return {"HRTEM": image}, {}, cell, said
    ideal, over = field_of_view(image, cell, microscope.pixel, microscope.field)
    photo, more = photographed(np.asarray(ideal, dtype=np.float64), over, microscope, rng)
    clean = {"HRTEM": np.asarray(ideal, dtype=np.float64)} if microscope.acquisition else {}
    return {"HRTEM": photo}, clean, over, said | more


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


def plane_waves(microscope: Microscope, slices: "PotentialSlices") -> list[BlochEngine]:
    """Engines whose only beam is a plane wave: along the axis, or one for every beam on the cone of a precession.

    Their number follows the fastest change of an intensity with the azimuth: cos φ times 2π times the excitation error
    that the cone gives to a beam of `REACH`, times the thickness.
    """
    shape, angle = slices.wave_grid, 1e-3 * microscope.precession
    length = len(slices.array) * slices.thickness
    number = 1 if angle == 0 else FEWEST_BEAMS + int(np.ceil(2 * np.pi * REACH * angle * length))
    azimuths = 2 * np.pi * np.arange(number) / number
    made = []
    for azimuth in azimuths:
        cone = microscope.precession * np.cos(azimuth), microscope.precession * np.sin(azimuth)
        tilt = (microscope.tilt[0] + float(cone[0]), microscope.tilt[1] + float(cone[1]))
        needle = microscope.model_copy(update={"convergence": 1e-6, "focal_spread": 0.0, "tilt": tilt})
        threads = available_threads()
        made.append(BlochEngine(needle, slices.extent, shape, slices.thickness, (1, 1), threads, refine=False))
    return made


def spots(images: ImageSet, threshold: float | None = None) -> list[dict[str, Any]]:
    """Elastic diffraction spots of `parallel_images`: `rhotem.microscope.diffraction.Diffraction.spots`."""
    if images.plane_wave is None:
        raise InputError("these images are of a probe: spots need parallel illumination (preset saed)")
    return images.plane_wave.spots() if threshold is None else images.plane_wave.spots(threshold)
