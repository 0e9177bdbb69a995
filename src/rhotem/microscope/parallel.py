"""Parallel illumination: HRTEM images and diffraction patterns of a plane wave through a periodic specimen."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.core.provenance import versions
from rhotem.core.threads import available_threads
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.images import ImageSet
from rhotem.microscope.optics import aberration_phase, cutoff_angle, focal_nodes, soft_disc
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Microscope
from rhotem.microscope.signals import count, field_of_view

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

Array = npt.NDArray[np.float64]


def parallel_images(
    potentials: "Iterable[PotentialSlices]",
    microscope: Microscope,
    *,
    objective: float | None = None,
    rng: np.random.Generator | None = None,
    progress: Progress = silent,
    configurations: int | None = None,
) -> ImageSet:
    """HRTEM image and diffraction pattern of a plane wave, averaged over frozen-phonon configurations.

    The exit wave of one lateral cell is exact multislice. The objective lens multiplies it with ``exp(−iχ)``; focal
    spread is summed incoherently, the spread of illumination angles enters as the envelope
    ``exp(−(s/λ)² |∇χ|²/2)`` (quasi-coherent approximation: Kirkland, Advanced Computing in Electron Microscopy, section
    3.2), with s the microscope's ``convergence`` as standard deviation.

    Parameters
    ----------
    potentials : iterable of PotentialSlices
        One per configuration, all on the same grid.
    microscope : Microscope
        ``dose`` is per Å² of the specimen; aberrations are those of the objective lens.
    objective : float or None
        Semi-angle of the objective aperture in mrad; None: open.
    rng : numpy Generator or None
        Needed with a dose.
    progress : Progress
    configurations : int or None
        Number of potentials, for the progress display.

    Returns
    -------
    ImageSet
        ``HRTEM`` in units of the incident intensity on the pixels of the potential; ``diffraction`` holds the intensity
        of each Fourier component (a spot of a crystal), ``angular_step`` apart.

    Raises
    ------
    InputError
        If there are no potentials, their grids differ, or a dose has no generator.
    """
    if microscope.dose is not None and rng is None:
        raise InputError("a dose needs a random generator: pass rng=numpy.random.default_rng(seed)")
    start, engine, first, number = time.perf_counter(), None, None, 0
    image: Array = np.zeros(1)
    pattern: Array = np.zeros(1)
    lenses: list[tuple[npt.NDArray, float]] = []
    for slices in potentials:
        if engine is None or first is None:
            first, engine = slices, _engine(microscope, slices)
            lenses = _lenses(microscope, slices, objective)
            image, pattern = np.zeros(slices.array.shape[1:]), np.zeros(slices.array.shape[1:])
        wave = engine.exit_wave(slices.array)
        pattern += np.abs(wave) ** 2
        for lens, share in lenses:
            image += share * np.abs(np.fft.ifft2(wave * lens) * wave.size) ** 2
        number += 1
        progress("exit waves", number, configurations or number)
    if first is None:
        raise InputError("no potential: give at least one configuration")
    scan = Scan(first.array.shape[1:], first.extent)
    image, pattern = image / number, pattern / number
    if microscope.dose is not None and rng is not None:
        clean, scan = field_of_view(image, scan, microscope.pixel, microscope.field)
        image = np.asarray(count(clean, scan, microscope.dose, rng), dtype=np.float64)
    step = tuple(1e3 * microscope.wavelength / length for length in first.extent)
    record = {
        "microscope": microscope.model_dump(),
        "mode": "parallel illumination",
        "objective_mrad": objective,
        "configurations": number,
        "thickness": len(first.array) * first.thickness,
        "potential": first.record,
        "seconds": time.perf_counter() - start,
        "versions": versions(),
    }
    return ImageSet({"HRTEM": image}, scan, _centred(pattern), (step[0], step[1]), {}, record)


def _engine(microscope: Microscope, slices: "PotentialSlices") -> BlochEngine:
    """An engine whose only beam is the plane wave along the axis."""
    shape = slices.array.shape[1:]
    needle = microscope.model_copy(update={"convergence": 1e-6})
    return BlochEngine(needle, slices.extent, shape, slices.thickness, (1, 1), available_threads(), refine=False)


def _lenses(
    microscope: Microscope, slices: "PotentialSlices", objective: float | None
) -> list[tuple[npt.NDArray, float]]:
    """Transfer of the objective lens for every focus of the focal spread, with its weight."""
    gx, gy = (np.fft.fftfreq(n, d) for n, d in zip(slices.array.shape[1:], slices.sampling, strict=True))
    kx, ky = np.meshgrid(gx, gy, indexing="ij")
    step = (1 / slices.extent[0], 1 / slices.extent[1])
    radius = (objective or 0.99 * cutoff_angle(microscope.wavelength, slices.sampling)) * 1e-3 / microscope.wavelength
    opening = soft_disc(kx, ky, radius, step)
    result = []
    for defocus, share in zip(*focal_nodes(microscope.focal_spread), strict=True):
        chi = aberration_phase(kx, ky, microscope, defocus)
        envelope = np.exp(-(_gradient_squared(kx, ky, microscope, defocus)) * _angles(microscope) / 2)
        result.append((opening * envelope * np.exp(-1j * chi), float(share)))
    return result


def _angles(microscope: Microscope) -> float:
    """Variance of the illumination's transverse frequency in 1/Å²."""
    return (microscope.convergence * 1e-3 / microscope.wavelength) ** 2


def _gradient_squared(kx: Array, ky: Array, microscope: Microscope, defocus: float) -> Array:
    """|∇_k χ|² in rad² Å², by central differences."""
    h = 1e-4
    dx = aberration_phase(kx + h, ky, microscope, defocus) - aberration_phase(kx - h, ky, microscope, defocus)
    dy = aberration_phase(kx, ky + h, microscope, defocus) - aberration_phase(kx, ky - h, microscope, defocus)
    return (dx**2 + dy**2) / (2 * h) ** 2


def _centred(pattern: Array) -> Array:
    """Zero angle in the middle of an odd number of pixels."""
    shifted = np.fft.fftshift(pattern)
    return shifted[tuple(slice(1 - n % 2, None) for n in pattern.shape)]


def spots(images: ImageSet, threshold: float = 1e-4) -> list[dict[str, float]]:
    """Diffraction spots stronger than ``threshold`` of the strongest scattered one: indices, angle, intensity.

    Parameters
    ----------
    images : ImageSet
        Result of `parallel_images`.
    threshold : float
    """
    pattern = images.diffraction
    centre = tuple(n // 2 for n in pattern.shape)
    scattered = pattern.copy()
    scattered[centre] = 0
    found = np.argwhere(scattered > threshold * scattered.max())
    rows = []
    for i, j in found:
        h, k = int(i - centre[0]), int(j - centre[1])
        angle = float(np.hypot(h * images.angular_step[0], k * images.angular_step[1]))
        rows.append({"h": h, "k": k, "angle_mrad": angle, "intensity": float(pattern[i, j])})
    return sorted(rows, key=lambda row: -row["intensity"])
