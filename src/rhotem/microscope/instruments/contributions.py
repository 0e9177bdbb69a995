"""What an instrument adds to an ideal image, contribution by contribution, and how each is switched off."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rhotem.core import InputError
from rhotem.microscope.acquisition.settings import CameraChip, Electronics
from rhotem.microscope.detectors import Annular, Mapped

if TYPE_CHECKING:
    from rhotem.microscope.instruments.model import Instrument


#: Curve of a camera that is 1 at every frequency.
FLAT = ((0.0, 1.0),)


@dataclass(frozen=True)
class Contribution:
    """One thing that may be switched off.

    Parameters
    ----------
    about : str
        What it does to an image.
    off : callable
        The instrument without it.
    """

    about: str
    off: "Callable[[Instrument], Instrument]"


def _own(**neutral: Any) -> "Callable[[Instrument], Instrument]":
    """Fields of the instrument."""
    return lambda instrument: instrument.model_copy(update=neutral)


def _recording(**neutral: Any) -> "Callable[[Instrument], Instrument]":
    """Fields of its acquisition."""

    def off(instrument: "Instrument") -> "Instrument":
        return instrument.model_copy(update={"acquisition": instrument.acquisition.model_copy(update=neutral)})

    return off


def _electronics(**neutral: Any) -> "Callable[[Instrument], Instrument]":
    """Fields of the electronics of all detectors and of the camera that have them."""

    def off(instrument: "Instrument") -> "Instrument":
        def quiet(settings: Any) -> Any:
            known = {key: value for key, value in neutral.items() if key in type(settings).model_fields}
            curves = {"dqe": FLAT} if isinstance(settings, CameraChip) and "dqe" in known else {}
            return settings.model_copy(update=known | curves)

        return _read_out(instrument, quiet)

    return off


def _read_out(instrument: "Instrument", change: Callable[[Any], Any]) -> "Instrument":
    detectors = tuple(
        d if d.electronics is None else d.model_copy(update={"electronics": change(d.electronics)})
        for d in instrument.detectors
    )
    camera = instrument.acquisition.camera
    acquisition = instrument.acquisition.model_copy(update={"camera": camera and change(camera)})
    return instrument.model_copy(update={"detectors": detectors, "acquisition": acquisition})


def _in_electrons(instrument: "Instrument") -> "Instrument":
    """Counts are electrons: noise in counts keeps its size in electrons."""

    def change(settings: Electronics | CameraChip) -> Any:
        noises = [key for key in ("read_noise", "row_noise") if key in type(settings).model_fields]
        scaled: dict[str, Any] = {key: getattr(settings, key) / settings.gain for key in noises}
        return settings.model_copy(update={**scaled, "gain": 1.0, "offset": 0.0, "bits": None})

    return _read_out(instrument, change)


def _ideal_maps(instrument: "Instrument") -> "Instrument":
    def ideal(detector: Any) -> Any:
        if not isinstance(detector, Mapped):
            return detector
        return Annular(**{key: getattr(detector, key) for key in ("name", "inner", "outer", "edges", "electronics")})

    return instrument.model_copy(update={"detectors": tuple(map(ideal, instrument.detectors))})


def _sharp_focus(instrument: "Instrument") -> "Instrument":
    return instrument.model_copy(update={"energy_spread_eV": 0.0, "voltage_ripple": 0.0, "current_ripple": 0.0})


def _settled(instrument: "Instrument") -> "Instrument":
    flyback = instrument.acquisition.flyback
    return _recording(flyback=flyback and flyback.model_copy(update={"settle_pm": 0.0}))(instrument)


#: All that may be switched off, in the order in which it acts.
CONTRIBUTIONS: dict[str, Contribution] = {
    "aberrations": Contribution("measured aberrations and their residuals", _own(aberrations={})),
    "residuals": Contribution("what is left of aberrations within their confidence limits", lambda i: i),
    "focal-spread": Contribution("energies of the electrons times Cc, ripple of lenses", _sharp_focus),
    "source": Contribution("size of the effective source", _own(source_size_A=0.0)),
    "carbon": Contribution("layer of amorphous carbon", _recording(carbon=None)),
    "jitter": Contribution("random displacement of the probe", _recording(jitter=None)),
    "hum": Contribution("displacement by the field of the mains", _recording(hum=None)),
    "drift": Contribution("motion of the specimen", _recording(drift=None)),
    "flyback": Contribution("probe that settles at the beginning of rows", _settled),
    "distortion": Contribution("scales and angle of the scan coils", _recording(distortion=None)),
    "flicker": Contribution("fluctuation of the beam current", _recording(flicker=None)),
    "map": Contribution("uneven sensitivity, hole and shadow of detectors", _ideal_maps),
    "counting": Contribution("Poisson numbers of electrons", _recording(counting=False)),
    "dqe": Contribution("scatter of pulse heights; DQE of cameras", _electronics(dqe=1.0)),
    "mtf": Contribution("blur of cameras", _electronics(mtf=FLAT)),
    "lag": Contribution("afterglow of scintillators", _electronics(lag_us=0.0)),
    "dark": Contribution("dark counts", _electronics(dark_e_per_us=0.0, dark_e_per_pixel=0.0)),
    "black-pixels": Contribution("pixels that lose their electrons", _electronics(black_pixels=0.0)),
    "row-noise": Contribution("offsets of whole rows", _electronics(row_noise=0.0)),
    "read-noise": Contribution("noise of every reading", _electronics(read_noise=0.0)),
    "gain": Contribution("gain, offset and converter: counts are electrons then", _in_electrons),
    "quantisation": Contribution("whole counts of the converter, and its ends", _electronics(bits=None)),
}


def without(instrument: "Instrument", names: Iterable[str]) -> "Instrument":
    """The instrument with some contributions switched off.

    Raises
    ------
    InputError
        If there is no such contribution; the message lists them.
    """
    for name in names:
        if name not in CONTRIBUTIONS:
            raise InputError(
                f"without {name!r}: no contribution of an instrument; choose of {', '.join(CONTRIBUTIONS)}"
            )
        instrument = CONTRIBUTIONS[name].off(instrument)
    return instrument
