"""What the virtual microscope records: the image of a response at given settings, as `Response.images` gives it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.library.view.fixed import AnyLimits
from rhotem.library.view.settings import NM, ViewSettings
from rhotem.microscope.acquisition.positions import at_positions
from rhotem.microscope.derive import derive_images, expected
from rhotem.microscope.detectors import DetectorBase, unit
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.scan import Scan
from rhotem.microscope.signals import divergence, field_of_view, phase_image

Array = npt.NDArray[Any]

#: Images of a deflection along x, by their ending: those along y, the phase, and the divergence if there is one.
DEFLECTIONS = {"DPCx": ("DPCy", "iDPC", "dDPC"), "CoMx": ("CoMy", "iCoM", "")}
#: Endings of deflections along the axes of the scan.
AXES = (*DEFLECTIONS, *(y for y, _, _ in DEFLECTIONS.values()))


@dataclass(frozen=True, eq=False)
class Picture:
    """One recorded image.

    Parameters
    ----------
    name : str
    values : (nx, ny) array
        Fractions of the beam, or in ``unit``.
    unit : str
        Empty for fractions of the beam.
    scan : Scan
        Positions in the frame of the scan.
    """

    name: str
    values: Array
    unit: str
    scan: Scan


def picture(limits: AnyLimits, settings: ViewSettings) -> Picture:
    """The image that is set, over the field of view.

    Without noise and rotation it is ``Response.images(...).recorded(scan_step, field_of_view)``, with a dose
    ``Response.images(dose=..., pixel=scan_step, field=field_of_view, rng=default_rng((seed, 1)))``. A rotated scan has
    as many positions, turned about the first; deflections are those along its own axes.

    Raises
    ------
    InputError
        If the response does not hold the settings; the message says what it does hold.
    """
    limits.check(settings)
    detector = limits.ring(settings)
    shown, scan = (_counted if settings.dose_e_per_A2 else _expected)(limits, settings, detector)
    return Picture(settings.image, shown, unit(settings.image), scan)


def _expected(limits: AnyLimits, settings: ViewSettings, detector: DetectorBase) -> tuple[Array, Scan]:
    """Without counting: one cell, continued."""
    held = limits.response
    level = held.level(NM * settings.thickness_nm)
    lens = held.asked({**settings.lens(), "dose": None}, held.thicknesses[level])
    asked = held.ready((detector,), level)
    cell = Scan.cell(held.extent, lens)
    signals = asked.signals(asked.spectrum(lens), cell, lens.source_size)
    images = detector.images(expected(asked.recorder, signals), cell, lens)
    pixel, field = settings.scan_step_A, settings.field_of_view_A
    if not settings.scan_rotation_deg:
        return field_of_view(images[settings.image], cell, pixel, field)
    scan = recorded_scan(cell, pixel, field)
    deflected = settings.image[-4:] in AXES
    needed = [name for name in images if name == settings.image or (deflected and name[-4:] in AXES)]
    places = turned_positions(scan, settings.rotation)
    found = dict(zip(needed, at_positions(np.stack([images[n] for n in needed]), cell.size, places), strict=True))
    return (turned(found, settings.rotation, scan, lens) if deflected else found)[settings.image], scan


def _counted(limits: AnyLimits, settings: ViewSettings, detector: DetectorBase) -> tuple[Array, Scan]:
    """With counted electrons, drawn as every simulation draws them; without the record, which nobody sees here."""
    held, rng = limits.response, np.random.default_rng((settings.seed, 1))
    level = held.level(NM * settings.thickness_nm)
    asked_for = {**settings.lens(), **settings.recording, "dose": settings.dose_e_per_A2}
    lens = held.asked(asked_for, held.thicknesses[level])
    asked = held.ready((detector,), level, counted=True)
    scan = cell = Scan.cell(held.extent, lens)
    signals = asked.signals(asked.spectrum(lens), cell, lens.source_size)
    if settings.scan_rotation_deg:
        scan = recorded_scan(cell, settings.scan_step_A, settings.field_of_view_A)
        signals = at_positions(signals, cell.size, turned_positions(scan, settings.rotation))
    recorder = asked.recorder.part(scan.shape[0] * scan.shape[1])
    recorder.sums = signals.reshape(len(signals), -1).T
    recorder.pacbed, recorder.blurred = np.zeros((0, 0)), True
    images = derive_images(recorder, scan, lens, (detector,), rng, None)
    if not settings.scan_rotation_deg:
        return images[settings.image], images.scan
    return turned(images.images, settings.rotation, scan, lens)[settings.image], scan


def recorded_scan(cell: Scan, pixel: float, field: float) -> Scan:
    """Positions of `rhotem.microscope.signals.field_of_view`, which do not continue periodically once turned."""
    _, scan = field_of_view(np.zeros(cell.shape), cell, pixel, field)
    return replace(scan, periodic=False)


def turned_positions(scan: Scan, angle: float) -> Array:
    """Positions (2, nx, ny) in Å of a scan whose x axis is turned by ``angle`` (rad) towards +y."""
    x, y = (step * np.arange(n) for step, n in zip(scan.step, scan.shape, strict=True))
    u, v = np.meshgrid(x, y, indexing="ij")
    return np.stack([np.cos(angle) * u - np.sin(angle) * v, np.sin(angle) * u + np.cos(angle) * v])


def turned(images: Mapping[str, Array], angle: float, scan: Scan, lens: Microscope) -> dict[str, Array]:
    """Images with deflections along the axes of a turned scan, and what is integrated or derived from these.

    A vector (a, b) of the crystal's frame is (a cos θ + b sin θ, b cos θ − a sin θ) in that of the scan.
    """
    found = dict(images)
    for name, x in images.items():
        ending = DEFLECTIONS.get(name[-4:])
        if ending is None:
            continue
        prefix, y = name[:-4], images[name[:-4] + ending[0]]
        across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        found[name], found[prefix + ending[0]] = across
        if prefix + ending[1] in images:
            found[prefix + ending[1]] = phase_image(*across, scan, lens.wavelength)
        if ending[2] and prefix + ending[2] in images:
            found[prefix + ending[2]] = divergence(*across, scan)
    return found
