"""Pairs of a convergent-beam pattern and the projected potential of what the beam met."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis.patterns import patterns
from rhotem.analysis.run import Potentials
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.voice import Voice
from rhotem.analysis.workflow import cut, potentials
from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.library.campaign.compute import SOURCES, exits, prepared, range_of
from rhotem.library.campaign.task import Asked, Task
from rhotem.library.dataset.pictures import MOST, Pictures
from rhotem.library.dataset.recorded import Frame, drawn, framed, lens_of
from rhotem.library.dataset.scene import scene
from rhotem.microscope.acquisition.positions import at_positions
from rhotem.microscope.camera import Camera
from rhotem.microscope.detectors import DetectorBase
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.presets import Preset
from rhotem.potential.slices import build_potential
from rhotem.scattering.waves import waves

Floats = npt.NDArray[np.float64]
#: Finest pixel in Å that potentials are shown on, half the finest detail that is computed.
FINEST = 0.05
#: Settings of a scan, which a standing probe and a mean over the cell do not have.
OF_SCANS = ("rotation_deg", "source_size_A", "dwell_us", "jitter_pm", "jitter_us", "drift_pm_per_s", "skew_mrad")
#: Settings of a lens that a mean over the cell does not depend on.
OF_LENSES = ("defocus_nm", "C12_nm", "focal_spread_A")


@dataclass(frozen=True, eq=False)
class Pair:
    """A pattern and a potential.

    Parameters
    ----------
    counts : (ky, kx) uint32 array
        Electrons in every pixel of the camera.
    clean : (ky, kx) float32 array
        Their expected number.
    potential : (rows, columns) float32 array
        V·Å, of atoms at rest, band-limited to half a period a pixel.
    frame : Frame
    settings : dict
        What was drawn, JSON-ready.
    """

    counts: npt.NDArray[np.uint32]
    clean: npt.NDArray[np.float32]
    potential: npt.NDArray[np.float32]
    frame: Frame
    settings: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Probed:
    """What pairs of a specimen are drawn from.

    Parameters
    ----------
    pattern : callable
        ``pattern(thickness, place, settings)`` -> expected pattern (kx, ky), fractions of the beam; Å.
    image : "CBED" or "PACBED"
    microscope : Microscope
    thicknesses : tuple of float
        Å, with vacuum.
    cell : (float, float, float)
        Sides of the imaging cell in Å.
    potential : (nx, ny) array
        Projected through one cell, V·Å.
    middle : (2,) array
        Å: the column that scatters most, where pictures of a mean over the cell have their middle.
    directions : dict
        Crystal directions that point right and up.
    """

    pattern: Callable[[float, Floats, dict[str, Any]], Floats]
    image: str
    microscope: Microscope
    thicknesses: tuple[float, ...]
    cell: tuple[float, float, float]
    potential: Floats
    middle: Floats
    directions: dict[str, str]


def camera_of(preset: Preset) -> DetectorBase:
    """The detector of patterns of a microscope, position-averaged before single ones.

    Raises
    ------
    InputError
        If it has none.
    """
    for one in sorted(preset.detectors, key=lambda detector: not detector.averaged):
        if preset.mode == "stem" and (one.averaged or one.patterns):
            return one
    raise InputError("pairs need a campaign with microscope: {detectors: [PACBED=40]}, or [4D=40] for single probes")


def recording(preset: Preset, said: Pictures) -> None:
    """Refuse what records no such patterns, or more than memory holds.

    Raises
    ------
    InputError
    """
    detector = camera_of(preset)
    for name in OF_LENSES if detector.averaged else ("tilt_mrad",):
        if name in said.model_fields_set:
            why = "position-averaged patterns do not depend on it" if detector.averaged else "single probes have none"
            raise InputError(f"pictures.{name}: {why}; leave it out")
    if said.pixel_A.bounds[0] < FINEST:
        raise InputError(f"pictures.pixel_A: {said.pixel_A.bounds[0]:g} Å; potentials are shown on {FINEST} Å or more")
    side = 2 * Camera(said.camera_mrad or 1.0).half(detector.outer) + 1
    if said.each * side**2 > MOST:
        most = int(MOST / side**2)
        raise InputError(f"pictures.each: {said.each} patterns of {side}² pixels: expected at most {most}")


def held_pairs(task: Task, library: Path, said: Pictures) -> Probed:
    """What a task's specimen scatters, computed, and its potential.

    Raises
    ------
    MemoryLimitError, InputError
        If it does not fit into memory, or a thickness is none.
    """
    job, built = prepared(task, Voice())
    made = cut(job.plan, job.crystal, [job.name])
    lens = made.preset.microscope.model_copy(update={"camera_step": said.camera_mrad, "dose": None})
    made = replace(made, preset=made.preset.model_copy(update={"microscope": lens}))
    held = potentials(job, made, SOURCES.of(job.plan), ("memory", Path()), Voice())
    depths = exits(made, job.plan, task.asked.thicknesses)
    averaged = camera_of(made.preset).averaged
    scattered = (_averaged if averaged else _single)(made, held, depths, task.asked, said)
    seen = scene(made.cell, built)
    labels = made.cell.labels
    return Probed(
        scattered,
        "PACBED" if averaged else "CBED",
        lens,
        tuple(10.0 * t for t in depths),
        (float(made.cell.lengths[0]), float(made.cell.lengths[1]), float(made.cell.lengths[2])),
        _projected(made, held.field),
        seen.places[int(np.argmax(np.round(seen.weights, 9)))],  # of equal columns the first, whatever rounding says
        {"right": labels["x"], "up": labels["up"]},
    )


def _averaged(
    made: Specimen, held: Potentials, depths: list[float], asked: Asked, said: Pictures
) -> Callable[[float, Floats, dict[str, Any]], Floats]:
    tilt = 0.0 if said.tilt_mrad is None else said.tilt_mrad.bounds[1]
    stored = patterns(made, held, thicknesses=depths, outer=camera_of(made.preset).outer, tilt=tilt)

    def pattern(thickness: float, place: Floats, settings: dict[str, Any]) -> Floats:
        lean = settings.get("tilt_mrad", 0.0) * np.array([np.cos(settings["phi12_rad"]), np.sin(settings["phi12_rad"])])
        return stored.pacbed(
            thickness=thickness,
            convergence=settings["convergence_mrad"],
            tilt=(float(lean[0]), float(lean[1])),
            camera_step=said.camera_mrad,
        )

    return pattern


def _single(
    made: Specimen, held: Potentials, depths: list[float], asked: Asked, said: Pictures
) -> Callable[[float, Floats, dict[str, Any]], Floats]:
    outer, thick = camera_of(made.preset).outer, [10.0 * t for t in depths]
    stored = waves(held, made.preset.microscope, outer, thick, range=range_of(asked, made))

    def pattern(thickness: float, place: Floats, settings: dict[str, Any]) -> Floats:
        return stored.cbed(place[None], thickness=thickness, **lens_of(settings))[0]

    return pattern


def _projected(made: Specimen, field: Any) -> Floats:
    """Potential (nx, ny) in V·Å of atoms at rest, projected through one imaging cell."""
    sides, slices = made.cell.lengths, made.grid.shape[2] // made.repeats[2]
    nx, ny = (2 * int(np.ceil(side / FINEST / 2)) for side in sides[:2])
    grid = PeriodicGrid(made.cell.structure.cell, (nx, ny, slices))
    known = field if isinstance(field, DensityField) else None
    return build_potential(made.cell, grid, known, precision="double").projected()


def take_pair(held: Probed, said: Pictures, image: str, rng: np.random.Generator) -> Pair:
    """Record a pattern with settings drawn from ``said``, and show the potential around the middle of what was probed.

    Raises
    ------
    InputError
        If what scatters does not hold a setting.
    """
    settings = drawn(held, said, rng)
    still = {"rotation_deg": 0.0, "jitter_pm": 0.0, "drift_pm_per_s": 0.0, "skew_mrad": 0.0}
    frame = framed(said.pixels, settings | still, held.cell[:2], rng)
    place = frame.origin if held.image == "CBED" else held.middle
    frame = replace(frame, origin=place - frame.step * (said.pixels // 2))
    depth = held.thicknesses[settings.pop("level")]
    expected = np.clip(held.pattern(depth, place, settings), 0.0, None)
    electrons = settings["dose_e_per_A2"] * (frame.step * said.pixels) ** 2
    counts = rng.poisson(electrons * expected)
    cells = round(depth / held.cell[2])
    shown = at_positions(
        cells * limited(held.potential, held.cell[:2], 0.5 / frame.step)[None], held.cell[:2], frame.positions
    )
    unused = (*OF_SCANS, *(OF_LENSES if held.image == "PACBED" else ()), "drift_direction_rad")
    for name in unused:
        settings.pop(name, None)
    if held.image == "PACBED":
        settings["tilt_direction_rad"] = settings.pop("phi12_rad")
    settings |= {
        "image": held.image,
        "electrons": float(f"{electrons:.6g}"),
        "camera_mrad": said.camera_mrad,
        "thickness_nm": round(0.1 * depth, 4),
        **held.directions,
    }
    return Pair(
        _rows(counts, np.uint32), _rows(electrons * expected, np.float32), _rows(shown[0], np.float32), frame, settings
    )


def limited(values: Floats, sides: tuple[float, float], most: float) -> Floats:
    """A periodic map (nx, ny) without its waves beyond ``most`` (1/Å)."""
    gx, gy = (np.fft.fftfreq(n, side / n) for n, side in zip(values.shape, sides, strict=True))
    kept = np.hypot(gx[:, None], gy[None]) <= most * (1 + 1e-9)
    return np.asarray(np.fft.ifft2(np.fft.fft2(values) * kept).real)


def _rows(values: npt.NDArray[Any], kind: type) -> npt.NDArray[Any]:
    """Rows along y, as pictures have them."""
    return np.ascontiguousarray(values.T, dtype=kind)
