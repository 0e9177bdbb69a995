"""A preset of the microscope with some of its settings replaced, in the units that operators use."""

from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

from rhotem.core import InputError
from rhotem.core.keywords import check_keywords
from rhotem.microscope.presets import Preset, get_preset
from rhotem.microscope.scan import nyquist_step
from rhotem.microscope.settings import parse_aberration, parse_detector


class Optics(TypedDict, total=False):
    """Settings of the microscope; None leaves the preset's.

    ``instrument`` is a name or the path of a file (`rhotem.microscope.instruments`), whose microscope stands instead of
    the preset's; ``alignment`` the seed of its residual aberrations, ``without`` contributions that are switched off,
    ``scan_step`` in Å the pixel by which its current becomes a dose.

    ``energy`` in kV, ``defocus`` in nm (positive is underfocus), ``cs`` in mm; ``aberrations`` as
    `rhotem.microscope.settings.parse_aberration` takes them ("C12=2nm", "phi12=30"), ``detectors`` as
    `rhotem.microscope.settings.parse_detector` does ("HAADF=68-200"). The others in the units of
    `rhotem.microscope.settings.Microscope`: ``convergence`` and ``tilt`` in mrad, ``source_size`` in Å, ``dose`` in
    e/Å², ``camera_step`` in mrad, ``focal_spread`` in Å.
    """

    instrument: str | None
    alignment: int | None
    without: Sequence[str]
    scan_step: float | None
    energy: float | None
    convergence: float | None
    defocus: float | None
    cs: float | None
    aberrations: Sequence[str]
    tilt: tuple[float, float] | None
    source_size: float | None
    focal_spread: float | None
    objective: float | None
    precession: float | None
    detectors: Sequence[str]
    dose: float | None
    camera_step: float | None
    pixel: float | None
    field: float | None


#: Å or eV in the units of `Optics`.
SCALES = {"energy": 1e3, "defocus": 10.0, "cs": 1e7}


def adjusted_preset(name: str, **settings: Unpack[Optics]) -> Preset:
    """A preset with some of its settings replaced, in the units of the command line (`Optics`).

    Raises
    ------
    InputError
        If the preset is not known or a value is out of range, written wrongly, or given twice.
    """
    check_keywords(settings, Optics, "adjusted_preset")
    given = dict(settings)
    texts = tuple(settings.get("aberrations") or ())
    coefficients = [parse_aberration(text) for text in texts]
    if len(dict(coefficients)) < len(coefficients):
        raise InputError(f"aberrations {', '.join(texts)}: one is given twice; give each once")
    detectors = [parse_detector(text) for text in settings.get("detectors") or ()]
    base = get_preset(name)
    asked = {key: given.pop(key, None) for key in ("instrument", "alignment", "without", "scan_step")}
    if asked["instrument"]:
        lens = {name: settings.get(name) for name in ("energy", "convergence")}
        base, detectors = _real(base, detectors, asked, lens)
    elif asked["without"] or asked["alignment"] is not None:
        raise InputError("alignment and contributions are those of an instrument; name one, or leave them out")
    for setting, scale in SCALES.items():
        value = given.get(setting)
        given[setting] = scale * value if isinstance(value, int | float) else None
    given |= {"aberrations": dict(coefficients) or None}
    return base.adjusted(detectors, **{key: value for key, value in given.items() if key != "detectors"})


def _real(base: Preset, detectors: list[Any], asked: dict[str, Any], lens: dict[str, Any]) -> tuple[Preset, list[Any]]:
    """A preset with the microscope of an instrument, and detectors with its electronics."""
    from rhotem.microscope.instruments import get_instrument
    from rhotem.microscope.instruments.contributions import without

    off = tuple(asked["without"] or ())
    instrument, energy = without(get_instrument(asked["instrument"]), off), lens["energy"]
    if energy is not None and energy != instrument.energy_keV:
        raise InputError(
            f"energy {energy:g} keV: instrument {instrument.name} was measured at {instrument.energy_keV:g} keV; leave "
            "the energy out, or write an instrument for it"
        )
    alignment = None if "residuals" in off else asked["alignment"] or 0
    pixel = asked["scan_step"]
    real = instrument.preset(base, alignment, pixel)
    if pixel is None and base.mode == "stem" and any(d.patterns for d in detectors or real.detectors):
        # patterns are recorded where probes are computed
        opened = {"convergence": lens["convergence"] or real.microscope.convergence}
        real = instrument.preset(base, alignment, nyquist_step(real.microscope.model_copy(update=opened)))
    named = {"instrument": asked["instrument"], "without": off}
    return real.model_copy(update=named), instrument.equipped(detectors)
