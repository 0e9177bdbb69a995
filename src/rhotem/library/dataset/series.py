"""Focal series of a parallel beam, and the exit wave that they are made of, turned on the pixels of a camera."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis.voice import Voice
from rhotem.analysis.workflow import cut, potentials
from rhotem.core import InputError
from rhotem.library.campaign.compute import SOURCES, exits, prepared
from rhotem.library.campaign.task import Task
from rhotem.library.dataset.pictures import Pictures
from rhotem.library.dataset.recorded import Frame, drawn, framed
from rhotem.microscope.acquisition.positions import at_positions
from rhotem.microscope.coherence import Lens
from rhotem.microscope.presets import Preset
from rhotem.scattering.exits import ExitWaves, exit_waves

Floats = npt.NDArray[np.float64]
#: Settings of a scan, which a camera does not have.
OF_SCANS = ("dwell_us", "jitter_pm", "jitter_us", "drift_pm_per_s", "drift_direction_rad", "skew_mrad", "source_size_A")


@dataclass(frozen=True, eq=False)
class Series:
    """A focal series of a specimen.

    Parameters
    ----------
    noisy : (foci, rows, columns) float32 array
        As counted, over the incident intensity.
    wave : (2, rows, columns) float32 array
        Real and imaginary part of the exit wave within the aperture, its mean real; incident 1.
    frame : Frame
    settings : dict
        What was drawn, JSON-ready.
    """

    noisy: npt.NDArray[np.float32]
    wave: npt.NDArray[np.float32]
    frame: Frame
    settings: dict[str, Any]


def parallel(preset: Preset, said: Pictures) -> None:
    """Refuse what records no focal series.

    Raises
    ------
    InputError
        If the campaign's microscope is no HRTEM, or the plan names no foci.
    """
    if preset.mode != "hrtem" or not preset.microscope.objective:
        raise InputError("a focal series needs a campaign with microscope: {preset: hrtem, objective_mrad: …}")
    if not said.foci_nm or len(said.foci_nm) < 2:
        raise InputError("pictures.foci_nm: the recipe focal-series needs two foci or more")


def held_waves(task: Task, library: Path, said: Pictures) -> ExitWaves:
    """Exit waves of a task, computed: a plane wave through a crystal takes less time than reading much."""
    job, _ = prepared(task, Voice())
    made = cut(job.plan, job.crystal, [job.name])
    microscope = made.preset.microscope
    held = potentials(job, made, SOURCES.of(job.plan), ("memory", Path()), Voice())
    depths = [10.0 * t for t in exits(made, job.plan, task.asked.thicknesses)]
    repeats = (int(made.repeats[0]), int(made.repeats[1]))
    return exit_waves(held, microscope, depths, repeats=repeats)


def take_series(held: ExitWaves, said: Pictures, image: str, rng: np.random.Generator) -> Series:
    """Record a focal series with settings drawn from ``said``; ``image`` is its name in the manifest."""
    settings = drawn(held, said, rng)
    block = (held.cell[0] * held.repeats[0], held.cell[1] * held.repeats[1])
    still = {"jitter_pm": 0.0, "drift_pm_per_s": 0.0, "skew_mrad": 0.0}
    frame = framed(said.pixels, settings | still, block, rng)
    level = settings.pop("level")
    microscope = held.microscope
    foci = [round(settings["defocus_nm"] + focus, 4) for focus in said.foci_nm or ()]
    spectra = _spectrum(held, level)
    images = []
    for focus in foci:
        changed = {"defocus": 10.0 * focus, "focal_spread": settings["focal_spread_A"], "aberrations": {}}
        lens = Lens(microscope.model_copy(update=changed), block, spectra.shape[1:], objective=microscope.objective)
        images.append(lens.image(spectra))
    expected = np.clip(at_positions(np.stack(images), block, frame.positions), 0.0, None)
    electrons = settings["dose_e_per_A2"] * frame.step**2
    counted = rng.poisson(expected * electrons) / electrons
    mean = spectra.mean(axis=0)
    mean = mean * np.exp(-1j * np.angle(mean[0, 0]))
    grid = np.fft.ifft2(mean.astype(complex)) * mean.size
    wave = at_positions(np.stack([grid.real, grid.imag]), block, frame.positions)
    for name in (*OF_SCANS, "convergence_mrad", "phi12_rad", "C12_nm"):
        settings.pop(name, None)
    settings |= {
        "image": image,
        "foci_nm": foci,
        "energy_keV": 1e-3 * microscope.energy,
        "cs_nm": 0.1 * microscope.cs,
        "objective_mrad": microscope.objective,
        "thickness_nm": round(0.1 * held.thicknesses[level], 4),
    }
    return Series(_rows(counted), _rows(wave), frame, settings)


def _spectrum(held: ExitWaves, level: int) -> npt.NDArray[np.complex64]:
    """Fourier coefficients (configurations, nx, ny) on the least grid that carries images without aliases."""
    most = np.abs(held.beams).max(axis=0)
    shape = tuple(int(4 * n + 2) for n in most)
    result = np.zeros((held.waves.shape[1], *shape), dtype=np.complex64)
    result[:, held.beams[:, 0], held.beams[:, 1]] = held.waves[level]
    return result


def _rows(values: Floats) -> npt.NDArray[np.float32]:
    """Rows along y, as pictures have them."""
    return np.ascontiguousarray(values.transpose(0, 2, 1), dtype=np.float32)
