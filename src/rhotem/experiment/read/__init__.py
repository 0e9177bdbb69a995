"""Measured files of every common format as one object (docs/experiment.md)."""

from pathlib import Path

from rhotem.core.provenance import file_sha256
from rhotem.experiment.measurement import Measurement, Source
from rhotem.experiment.read.assemble import assembled
from rhotem.experiment.read.formats import chosen
from rhotem.experiment.read.stated import OPTIONS, Option, Stated, option

__all__ = ["OPTIONS", "Option", "Stated", "missing", "option", "read_measurement"]


def read_measurement(path: str | Path, stated: Stated | None = None) -> Measurement:
    """One recording of a file, with the settings that the file and the user state.

    Parameters
    ----------
    path : path
        dm3, dm4, emd (Velox, Berkeley), ser, emi, mib, EMPAD xml and raw, mrc, hspy, tiff, png, jpg, bmp, npy.
    stated : Stated or None
        What the file lacks.

    Raises
    ------
    InputError
        If the file cannot be read completely, holds no real, finite picture, holds several recordings and none is
        chosen, or contradicts what is stated.
    """
    path = Path(path)
    form = chosen(path)
    signals = form.read(path)
    return assembled(signals, stated or Stated(), Source(str(path), file_sha256(path)), form.name)


def missing(measurement: Measurement) -> dict[str, str]:
    """Options that would give what is not known of a recording, each with what it is for."""
    wanted = {}
    kind = measurement.kind
    picture = measurement.axes[:2] if kind == "4D" else measurement.axes[-2:]
    if kind != "pattern" and None in (axis.scale for axis in picture):
        wanted["pixel_A"] = "size of a pixel; `rhotem read FILE --structure CIF` measures it"
    if kind in ("pattern", "4D") and measurement.pixel is None:
        wanted["px_per_mrad"] = "scale of the pattern; with --convergence-mrad the direct disc gives it"
    for key, purpose in (
        ("energy_keV", "beam energy: every simulation needs it"),
        ("convergence_mrad", "semi-angle of convergence: every simulation of a probe needs it"),
        ("dose_e_per_A2", "electrons per Å² (or --current-pA with dwell time): counting noise, fractions of the beam"),
    ):
        if getattr(measurement, key) is None:
            wanted[key] = purpose
    return {option(key): purpose for key, purpose in wanted.items()}
