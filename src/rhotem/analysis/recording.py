"""What may be asked of a recording, and what is worth saying of it, before anything is calculated."""

from collections.abc import Sequence

import numpy as np

from rhotem.core import InputError
from rhotem.microscope.detectors import DetectorBase, edges_of, summing
from rhotem.microscope.presets import Preset
from rhotem.microscope.settings import Microscope, angles, image_names


def check_recording(
    preset: Preset,
    scan_step: float | None = None,
    field_of_view: float | None = None,
    algorithm: str = "auto",
    *,
    phonons: int | None = None,
    precision: float | None = None,
) -> None:
    """Refuse what `image` would refuse, before a density is calculated.

    Raises
    ------
    InputError
        If a length is not positive, the preset has no scan, no image or no choice of algorithm, one configuration of
        moving atoms is to give a diffraction pattern, or core losses are to be counted.
    """
    if preset.mode == "diffraction" and phonons == 1:
        raise InputError(
            f"phonons 1: {preset.name} tells spots from diffuse scattering by comparing configurations; give 2 or more "
            "(8 is usual), or 0 for atoms at rest"
        )
    if precision is not None and preset.mode != "stem":
        raise InputError(f"phonons auto: preset {preset.name} scans no probe; give the number of configurations")
    if precision is not None and not any(d.channels() for d in preset.detectors):
        raise InputError("phonons auto: errors are estimated for images, and no detector makes these; give a number")
    check_losses(preset)
    for name, value in (("scan step", scan_step), ("field of view", field_of_view)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"{name} {value} Å: expected a positive length")
        if value is not None and preset.mode == "diffraction":
            raise InputError(f"{name} {value} Å: preset {preset.name} makes a diffraction pattern only; leave it out")
    if algorithm != "auto" and preset.mode != "stem":
        raise InputError(
            f"algorithm {algorithm!r}: the parallel beam of preset {preset.name} goes through one cell by multislice; "
            "leave it out"
        )


def check_losses(preset: Preset) -> None:
    """Refuse core losses with counting noise, or beside whole patterns."""
    edges = ", ".join(edge.name for edge in edges_of(preset.detectors))
    if edges and preset.instrument:
        raise InputError(
            f"maps of core losses ({edges}) are not recorded by an instrument: leave {preset.instrument} out and give "
            "its lens by itself, or leave the edges out"
        )
    if edges and preset.microscope.dose is not None:
        raise InputError(f"maps of core losses ({edges}) have no counting noise: leave the dose out, or the edges")
    if edges and any(d.patterns for d in preset.detectors):
        raise InputError(f"maps of core losses ({edges}) and whole patterns do not go together: ask for either")


def recording_microscope(preset: Preset, scan_step: float | None, field_of_view: float | None) -> Microscope:
    """The microscope of a preset with the scan step and field of view (Å) that were asked for; None leaves its own."""
    asked = {"pixel": scan_step, "field": field_of_view}
    return preset.microscope.model_copy(update={name: value for name, value in asked.items() if value is not None})


def remarks(preset: Preset) -> tuple[str, ...]:
    """What a microscopist might overlook in a preset whose convergence was changed and whose detectors were not."""
    return (*_undosed(preset), *_aperture(preset), *_detectors(preset))


def _undosed(preset: Preset) -> tuple[str, ...]:
    """Whether an instrument records nothing because electrons are countless."""
    if not preset.instrument or preset.mode in ("diffraction", "holography") or preset.microscope.dose is not None:
        return ()
    return (f"instrument {preset.instrument} has no current: without --dose only its optics act",)


def _aperture(preset: Preset) -> tuple[str, ...]:
    """Whether an instrument has no aperture of the angle that was asked for."""
    if not preset.instrument or "convergence" not in preset.changed or preset.mode != "stem":
        return ()
    from rhotem.microscope.instruments import get_instrument

    known, asked = get_instrument(preset.instrument).convergence_mrad, preset.microscope.convergence
    if any(abs(angle - asked) < 0.05 * asked for angle in known):
        return ()
    listed = ", ".join(f"{angle:g}" for angle in known)
    return (f"instrument {preset.instrument} has apertures of {listed} mrad, none of {asked:g} mrad",)


def _detectors(preset: Preset) -> tuple[str, ...]:
    if "convergence" not in preset.changed or "detectors" in preset.changed or not preset.detectors:
        return ()
    listed = ", ".join(f"{image_names(d)[0]} {angles(d)}" for d in preset.detectors)
    return (f"the detectors stay those of preset {preset.name}: {listed}",)


def focused_image(detectors: Sequence[DetectorBase], image: str) -> str:
    """The image whose contrast ``defocus best`` makes largest: the one that is named, or the first.

    Raises
    ------
    InputError
        If there is none.
    """
    names = [name for detector in summing(detectors) for name in detector.image_names()]
    match = [name for name in names if name.lower() == image.lower()] if image else names[:1]
    if not match:
        listed = f"choose one of {', '.join(names)}" if names else "these detectors make none"
        raise InputError(f"defocus best{':' * bool(image)}{image}: there is no such image; {listed}")
    return match[0]
