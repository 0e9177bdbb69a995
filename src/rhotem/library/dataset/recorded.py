"""One picture of a response: a scan turned, displaced and counted, and where it shows the columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.library.campaign.task import Task
from rhotem.library.dataset.edge import specimen, thinned
from rhotem.library.dataset.pictures import EDGE, Pictures
from rhotem.library.layout import RESPONSE, entry_folder
from rhotem.microscope.acquisition.positions import at_positions, displacements
from rhotem.microscope.acquisition.settings import Acquisition, Distortion, Drift, Jitter
from rhotem.microscope.detectors import DetectorBase
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.presets import Preset
from rhotem.microscope.scan import Scan
from rhotem.microscope.signals import divergence, phase_image
from rhotem.scattering.response import Response, open_response

Floats = npt.NDArray[np.float64]


class Held(Protocol):
    """What pictures are drawn from."""

    @property
    def microscope(self) -> Microscope:
        """Its ``convergence`` is that of plans that name none."""

    @property
    def thicknesses(self) -> tuple[float, ...]:
        """Å."""


#: Steps of the search for the pixel at which a displaced scan meets a column.
STEPS = 4
#: Least part of the thickness at which a column is labelled.
LEAST_THERE = 0.2


@dataclass(frozen=True, eq=False)
class Frame:
    """Where the pixels of a picture lie on the specimen.

    Parameters
    ----------
    pixels : int
        Side of the picture.
    step : float
        Å.
    origin : (2,) array
        Place of the first pixel in Å.
    turn : (2, 2) array
        From the scan's axes to those of the cell.
    steady : (2, n, n) array
        Displacements of the scan in Å that repeat: drift and distortion, in the scan's axes, x first.
    moved : (2, n, n) array
        All displacements, jitter included.
    there : (n, n) array or None
        Part of the specimen's thickness that is there, x first; None: all of it.
    """

    pixels: int
    step: float
    origin: Floats
    turn: Floats
    steady: Floats
    moved: Floats
    there: Floats | None = None

    @property
    def positions(self) -> Floats:
        """Places (2, n, n) in Å of all pixels in the cell's axes, x first."""
        ideal = self.step * np.stack(np.meshgrid(*[np.arange(self.pixels)] * 2, indexing="ij")).astype(float)
        return self.origin[:, None, None] + np.tensordot(self.turn, ideal + self.moved, axes=1)

    def pixels_of(self, places: Floats, cell: tuple[float, float], margin: float = 3.0) -> tuple[Floats, Any]:
        """Pixels (x, y) at which columns of a periodic cell are seen, and the index of each column.

        Jitter is left out: a network should see through it. ``margin``: pixels beyond the edge that are kept.
        """
        from scipy.ndimage import map_coordinates

        half = 0.5 * self.step * self.pixels
        centre = self.origin + self.turn @ np.array([half, half])
        reach = np.sqrt(2) * half + np.abs(self.steady).max() + margin * self.step
        ranges = [np.arange(-np.ceil(reach / s) - 1, np.ceil(reach / s) + 2) for s in cell]
        shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 2) * np.array(cell)
        base = np.floor(centre / np.array(cell)) * np.array(cell)
        every = (places[None] + shifts[:, None] + base).reshape(-1, 2)
        index = np.tile(np.arange(len(places)), len(shifts))
        near = np.linalg.norm(every - centre, axis=1) < reach
        target = (every[near] - self.origin) @ self.turn  # the inverse of a rotation is its transpose
        index, seen = index[near], target / self.step
        for _ in range(STEPS):
            shift = np.stack([map_coordinates(d, seen.T, order=1, mode="nearest") for d in self.steady], axis=1)
            seen = (target - shift) / self.step
        inside = ((seen > -margin) & (seen < self.pixels - 1 + margin)).all(axis=1)
        if self.there is not None:
            inside &= map_coordinates(self.there, seen.T, order=1, mode="nearest") >= LEAST_THERE
        return seen[inside], index[inside]


@dataclass(frozen=True, eq=False)
class Picture:
    """A recording of a specimen.

    Parameters
    ----------
    noisy, clean : (rows, columns) float32 array
        As counted, and as expected at the same positions; row 0 is the top.
    frame : Frame
    settings : dict
        What was drawn, JSON-ready.
    """

    noisy: npt.NDArray[np.float32]
    clean: npt.NDArray[np.float32]
    frame: Frame
    settings: dict[str, Any]


def held_response(task: Task, library: Path, said: Pictures) -> Response:
    """The response of a task in a library."""
    return open_response(library / entry_folder(task.id) / RESPONSE)


def take(held: Response, said: Pictures, image: str, rng: np.random.Generator) -> Picture:
    """Record a picture ``image`` with settings drawn from ``said``.

    Raises
    ------
    InputError
        If the response does not hold a setting.
    """
    settings = drawn(held, said, rng)
    frame = framed(said.pixels, settings, held.extent, rng)
    return record(held, image, settings, frame, rng)


def record(held: Response, image: str, settings: dict[str, Any], frame: Frame, rng: np.random.Generator) -> Picture:
    """Record a picture ``image`` with these settings at these places.

    Raises
    ------
    InputError
        If the response does not hold a setting.
    """
    detector = detector_of(held.detectors, image)
    microscope = held.asked(
        lens_of(settings) | {"source_size": settings["source_size_A"]}, held.thicknesses[settings["level"]]
    )
    asked = held.ready((detector,), settings["level"])
    period = Scan.cell(held.extent, microscope)
    signals = asked.signals(asked.spectrum(microscope), period, microscope.source_size)
    channels = asked.recorder.channels
    expected = np.clip(at_positions(signals, held.extent, frame.positions), 0.0, None)
    expected = thinned(expected, frame.there, channels, microscope)
    electrons = settings["dose_e_per_A2"] * frame.step**2
    counted = rng.poisson(expected * electrons) / electrons
    names = [channel.name for channel in channels]
    noisy, clean = (
        _image(dict(zip(names, values, strict=True)), (detector, image), frame, microscope)
        for values in (counted, expected)
    )
    told = {name: value for name, value in settings.items() if name != "level"}
    told |= {"image": image, "thickness_nm": round(0.1 * held.thicknesses[settings["level"]], 4)}
    return Picture(noisy, clean, frame, told)


def lens_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The lens of drawn settings, as responses and waves are asked for it: Å, mrad, rad."""
    return {
        "defocus": 10.0 * settings["defocus_nm"],
        "aberrations": {"C12": 10.0 * settings["C12_nm"], "phi12": settings["phi12_rad"]},
        "convergence": settings["convergence_mrad"],
        "focal_spread": settings["focal_spread_A"],
    }


def drawn(held: Held, said: Pictures, rng: np.random.Generator) -> dict[str, Any]:
    """Every setting of one picture."""
    settings: dict[str, Any] = {"level": int(rng.integers(len(held.thicknesses)))}
    for name in type(said).model_fields:
        spread = getattr(said, name)
        if hasattr(spread, "draw"):
            settings[name] = spread.draw(rng)
    settings.setdefault("convergence_mrad", held.microscope.convergence)
    for name in ("phi12_rad", "drift_direction_rad"):
        settings[name] = float(f"{rng.uniform(0, 2 * np.pi):.6g}")
    if said.vacuum is not None:
        settings["edge_rad"] = float(f"{rng.uniform(0, 2 * np.pi):.6g}")
        settings.setdefault("edge_A", EDGE)
    return settings


def framed(pixels: int, settings: dict[str, Any], cell: tuple[float, float], rng: np.random.Generator) -> Frame:
    """Where the pixels lie, from drawn settings."""
    angle = np.deg2rad(settings["rotation_deg"])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    origin = np.round(rng.uniform(0, 1, 2) * np.array(cell), 4)
    speed, way = settings["drift_pm_per_s"], settings["drift_direction_rad"]
    steady = Acquisition(
        dwell_us=settings["dwell_us"],
        drift=Drift(x_pm_per_s=speed * np.cos(way), y_pm_per_s=speed * np.sin(way)),
        distortion=Distortion(skew_mrad=settings["skew_mrad"]),
    )
    shape, step = (pixels, pixels), (settings["pixel_A"], settings["pixel_A"])
    shifted = displacements(shape, step, steady, {})
    jitter = Jitter(sigma_pm=settings["jitter_pm"], time_us=settings["jitter_us"])
    shaken = displacements(shape, step, Acquisition(dwell_us=settings["dwell_us"], jitter=jitter), {"jitter": rng})
    return Frame(pixels, settings["pixel_A"], origin, turn, shifted, shifted + shaken, specimen(pixels, settings))


def detected(preset: Preset, said: Pictures) -> None:
    """Refuse images that no detector makes.

    Raises
    ------
    InputError
    """
    for image in said.images:
        detector_of(preset.detectors, image)


def detector_of(detectors: Sequence[DetectorBase], image: str) -> DetectorBase:
    """The detector that makes an image.

    Raises
    ------
    InputError
        If there is none, or it adds up angles or sensitivities: its noise is not that of counts.
    """
    for detector in detectors:
        if image not in detector.image_names():
            continue
        if any(channel.role for channel in detector.channels()):
            raise InputError(
                f"pictures.images: {image} is made of weights of electrons, a data set counts these; "
                "ask for a detector of rings or segments (iDPC=6-22 instead of a centre of mass)"
            )
        return detector
    known = ", ".join(name for detector in detectors for name in detector.image_names())
    raise InputError(f"pictures.images: no image {image}; the campaign's detectors make {known}")


def _image(
    signals: dict[str, Floats], wanted: tuple[DetectorBase, str], frame: Frame, microscope: Microscope
) -> npt.NDArray[np.float32]:
    """The picture of detector signals (n, n), rows along y: deflections are turned to the scan's axes."""
    detector, name = wanted
    size = frame.step * frame.pixels
    scan = Scan((frame.pixels, frame.pixels), (size, size), periodic=False)
    images = detector.images(signals, scan, microscope)
    result = images[name]
    if name.endswith(("iDPC", "dDPC", "DPCx", "DPCy")):
        deflection = [values for key, values in images.items() if key.endswith(("x", "y"))]
        x, y = np.tensordot(frame.turn.T, np.stack(deflection[:2]), axes=1)
        phase = phase_image(x, y, scan, microscope.wavelength)
        result = {"iDPC": phase, "dDPC": divergence(x, y, scan), "DPCx": x, "DPCy": y}[name[-4:]]
    return np.ascontiguousarray(result.T, dtype=np.float32)
