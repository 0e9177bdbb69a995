"""Small scans of diffraction patterns, as expected and as counted: 4D-STEM of one specimen under any lens."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis.voice import Voice
from rhotem.analysis.workflow import cut, potentials
from rhotem.core import InputError
from rhotem.library.campaign.compute import SOURCES, exits, prepared, range_of
from rhotem.library.campaign.task import Task
from rhotem.library.dataset.pictures import MOST, Pictures
from rhotem.library.dataset.recorded import Frame, drawn, framed, lens_of
from rhotem.microscope.camera import Camera
from rhotem.microscope.detectors import DetectorBase
from rhotem.microscope.presets import Preset
from rhotem.scattering.waves import Waves, waves

#: Most electrons in a pixel that are kept.
FULL = np.iinfo(np.uint16).max


@dataclass(frozen=True, eq=False)
class PatternScan:
    """Patterns of a scan.

    Parameters
    ----------
    counts : (rows, columns, ky, kx) uint16 array
        Electrons in every pixel of the camera.
    clean : (rows, columns, ky, kx) float32 array
        Their expected number.
    frame : Frame
    settings : dict
        What was drawn, JSON-ready.
    """

    counts: npt.NDArray[np.uint16]
    clean: npt.NDArray[np.float32]
    frame: Frame
    settings: dict[str, Any]


def pixelated(preset: Preset) -> DetectorBase:
    """The pixelated detector of a microscope.

    Raises
    ------
    InputError
        If it has none.
    """
    for detector in preset.detectors:
        if preset.mode == "stem" and detector.patterns:
            return detector
    raise InputError("patterns need a campaign with microscope: {detectors: [4D=40]}, a scanned probe and its camera")


def recording(preset: Preset, said: Pictures) -> None:
    """Refuse what records no patterns, or more than memory holds.

    Raises
    ------
    InputError
    """
    side = 2 * Camera(said.camera_mrad or 1.0).half(pixelated(preset).outer) + 1
    if said.each * (said.pixels * side) ** 2 > MOST:
        most = int(MOST / (said.pixels * side) ** 2)
        raise InputError(
            f"pictures.each: {said.each} scans of {said.pixels}² patterns of {side}² pixels: expected at most {most}"
        )


def held_probe(task: Task, library: Path, said: Pictures) -> Waves:
    """The scattering matrix of a task's specimen, computed; its thermal configurations are complete.

    Raises
    ------
    MemoryLimitError, InputError
        If it does not fit into memory, or a thickness is none.
    """
    job, _ = prepared(task, Voice())
    made = cut(job.plan, job.crystal, [job.name])
    held = potentials(job, made, SOURCES.of(job.plan), ("memory", Path()), Voice())
    return waves(
        held,
        made.preset.microscope.model_copy(update={"camera_step": said.camera_mrad, "dose": None}),
        pixelated(made.preset).outer,
        [10.0 * t for t in exits(made, job.plan, task.asked.thicknesses)],
        range=range_of(task.asked, made),
        memory=job.means.memory,
    )


def take_patterns(held: Waves, said: Pictures, image: str, rng: np.random.Generator) -> PatternScan:
    """Record a scan of patterns with settings drawn from ``said``.

    Raises
    ------
    InputError
        If the waves do not hold a setting, or a pixel gets more electrons than are kept.
    """
    settings = drawn(held, said, rng)
    settings.pop("source_size_A")
    frame = framed(said.pixels, settings, held.extent, rng)
    level = settings.pop("level")
    patterns = held.cbed(frame.positions.reshape(2, -1).T, thickness=held.thicknesses[level], **lens_of(settings))
    electrons = settings["dose_e_per_A2"] * frame.step**2
    expected = electrons * np.clip(patterns, 0.0, None)
    counted = rng.poisson(expected)
    if counted.max() > FULL:
        raise InputError(f"pictures.dose_e_per_A2: {counted.max()} electrons in a pixel, {FULL} are kept; take less")
    settings |= {
        "image": "4D",
        "electrons": float(f"{electrons:.6g}"),
        "camera_mrad": said.camera_mrad,
        "thickness_nm": round(0.1 * held.thicknesses[level], 4),
    }
    return PatternScan(
        _rows(counted, said.pixels, np.uint16), _rows(expected, said.pixels, np.float32), frame, settings
    )


def _rows(patterns: npt.NDArray[Any], side: int, kind: type) -> npt.NDArray[Any]:
    """Patterns (x·y, kx, ky) of a scan with rows along y, of positions and of pixels."""
    return np.ascontiguousarray(patterns.reshape(side, side, *patterns.shape[1:]).transpose(1, 0, 3, 2), dtype=kind)
