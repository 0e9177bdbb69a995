"""Dark-field images as a fraction of the beam, by an image of the detector that was scanned with the beam."""

from dataclasses import dataclass, replace
from math import hypot
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.calibrate.lattice import Value
from rhotem.experiment.measurement import Measurement
from rhotem.microscope.detectors.sensitivity import Sensitivity

#: Angles beside the detector, in its outer angle.
BESIDE = 1.1
#: Fewest pixels of a level, and share of an image's that may lie below the dark level or above the whole beam.
FEWEST, FEW = 30, 0.1
#: Relative difference of dwell times that rounding explains.
ROUNDING = 0.005


@dataclass(frozen=True)
class Levels:
    """Signal of a detector without and with the whole beam on it.

    Parameters
    ----------
    dark, full : Value
        In the unit of the image: beside the detector, and the mean over its ring.
    spread : float
        Standard deviation of the sensitivity over the ring, relative: what a fraction of the beam is uncertain by where
        a simulation takes the detector for uniform.
    dwell_us : float or None
        Of the image of the detector, where its file says it.
    """

    dark: Value
    full: Value
    spread: float
    dwell_us: float | None = None

    def record(self) -> dict[str, Any]:
        """Numbers, JSON-ready."""
        return {"dark": vars(self.dark), "full": vars(self.full), "spread": self.spread, "dwell_us": self.dwell_us}


def detector_levels(scan: Measurement, ring: Sensitivity) -> Levels:
    """Levels of an image of the detector, over the ring that a simulation sums.

    LeBeau & Stemmer, Ultramicroscopy 108, 1653 (2008). The mean is over the ring as `Mapped` detectors have it, where
    sensitivity 1 is the mean of the same ring (docs/instruments.md).

    Parameters
    ----------
    scan : Measurement
        The image of the detector; must not be saturated.
    ring : Sensitivity
        How its map lies on the ring; ``path`` is the file of ``scan``.

    Raises
    ------
    InputError
        If the image is saturated, or shows nothing beside the detector.
    """
    name = scan.source.path
    _unsaturated(scan)
    laid = ring.record()
    values = np.asarray(scan.data, dtype=float)
    rows, columns = np.indices(values.shape)
    centre = laid["centre_pixel"]
    angle = laid["mrad_per_pixel"] * np.hypot(rows - centre[0], columns - centre[1])
    beside, on = values[angle > BESIDE * ring.outer], values[(angle >= ring.inner) & (angle < ring.outer)]
    if min(beside.size, on.size) < FEWEST:
        raise InputError(f"{name}: {beside.size} pixels beside the detector, {on.size} on it; scan a wider field")
    dark = _level(beside, beside.std())
    # the sensitivity differs over the ring; only the noise of the recording makes its mean uncertain
    full = _level(on, beside.std() + _rough(values, angle, ring))
    if full.value - dark.value <= 5 * hypot(dark.error, full.error):
        raise InputError(f"{name}: the detector is no brighter than what lies beside it; check ring and centre")
    return Levels(dark, full, float(on.std() / (full.value - dark.value)), scan.dwell_us)


def _level(values: npt.NDArray[Any], noise: float) -> Value:
    return Value(float(values.mean()), float(noise / np.sqrt(values.size)))


def _rough(values: npt.NDArray[Any], angle: npt.NDArray[Any], ring: Sensitivity) -> float:
    """Noise on the detector: differences of neighbouring pixels within the ring."""
    inside = (angle >= ring.inner) & (angle < ring.outer)
    pairs = inside[:, 1:] & inside[:, :-1]
    change = np.diff(values, axis=1)[pairs]
    return float(1.4826 * np.median(np.abs(change)) / np.sqrt(2)) if change.size else 0.0


def fraction_of_beam(
    image: Measurement, levels: Levels, current_ratio: Value | None = None, dark: Value | None = None
) -> tuple[Measurement, float]:
    """An image in fractions of the beam, and the relative error of its scale.

    Parameters
    ----------
    image : Measurement
        Recorded with the same gain and brightness as the image of the detector.
    levels : Levels
    current_ratio : Value or None
        Beam current of the image over that of the detector's image; None: the same. Where dwell times differ it has to
        be given, times the ratio of the dwell times if values are sums over them.
    dark : Value or None
        Level of the image without a beam; None: that of the detector's image.

    Raises
    ------
    InputError
        If the image is saturated, or its brightness was changed: more than a tenth of it lies below the dark level, or
        above the whole beam. If dwell times differ and no ratio is given.
    """
    _unsaturated(image)
    times = image.dwell_us, levels.dwell_us
    if current_ratio is None and times[0] and times[1] and abs(times[0] / times[1] - 1) > ROUNDING:
        raise InputError(
            f"{image.source.path}: dwell time {times[0]:g} µs, the image of the detector has {times[1]:g} µs; give "
            "current_ratio, times the ratio of the dwell times if values are sums over them"
        )
    ratio, below = current_ratio or Value(1.0, 0.0), dark or levels.dark
    full = (levels.full.value - levels.dark.value) * ratio.value
    if full <= 0:
        raise InputError(f"{image.source.path}: current ratio {ratio.value:g}; expected a positive number")
    values = (np.asarray(image.data, dtype=float) - below.value) / full
    low = float((values < 0).mean())
    if low > FEW:
        raise InputError(
            f"{image.source.path}: {100 * low:.0f} % of the pixels lie below the dark level {below.value:g}; was the "
            "brightness changed between the image and that of the detector?"
        )
    high = float((values > 1).mean())
    if high > FEW:
        raise InputError(
            f"{image.source.path}: {100 * high:.0f} % of the pixels are more than the whole beam; was the gain changed "
            "between the image and that of the detector, or the current?"
        )
    error = hypot(hypot(levels.full.error, levels.dark.error) / (full / ratio.value), ratio.error / ratio.value)
    said = f"fraction of the beam: dark {below.value:.5g}, full {full + below.value:.5g}, scale ± {100 * error:.2g} %"
    return replace(image, data=values, counts=False, remarks=(*image.remarks, said)), float(error)


def fraction_by_gain(image: Measurement, gain: Value, offset: Value, electrons: Value) -> tuple[Measurement, float]:
    """An image in fractions of the beam where gain (counts per electron), offset and electrons per pixel are known."""
    if not (gain.value > 0 and electrons.value > 0):
        raise InputError(f"gain {gain.value:g}, electrons {electrons.value:g}: expected positive numbers")
    levels = Levels(offset, Value(offset.value + gain.value * electrons.value, 0.0), 0.0)
    made, _ = fraction_of_beam(image, levels)
    error = hypot(gain.error / gain.value, electrons.error / electrons.value)
    remark = f"{made.remarks[-1].rpartition(',')[0]}, scale ± {100 * error:.2g} %"
    return replace(made, remarks=(*made.remarks[:-1], remark)), error


def _unsaturated(measurement: Measurement) -> None:
    if measurement.saturated:
        raise InputError(
            f"{measurement.source.path}: {100 * measurement.saturated:.2g} % of the pixels are saturated; record it "
            "again with less gain"
        )
