"""Thickness, mistilt and pose of a measured position-averaged pattern, with their errors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.experiment.fit.contrast import SMOOTH
from rhotem.experiment.fit.frame import frame_of
from rhotem.experiment.fit.model import BEAMS, NAMES, UNITS, Model, Setting
from rhotem.experiment.fit.posterior import Spread, distinct, odds, profile, spread_of
from rhotem.experiment.fit.refine import Fitted, contrast_at, refine
from rhotem.experiment.fit.search import Library, make_library, scales_of, starts
from rhotem.experiment.fit.told import ROUNDING
from rhotem.experiment.measurement import Measurement
from rhotem.experiment.read.stated import option
from rhotem.scattering.patterns import Patterns

Array = npt.NDArray[np.float64]

#: Starts whose beams are fitted, too; steps of the fits of poses alone.
FITTED, POSED_ROUNDS = 4, 5
#: Apertures that are tried besides, and steps of the fits at each.
APERTURES, STEPPED_ROUNDS = 9, 3
#: Correlation of fringes below which a fit that is not refused is doubted: the right crystal gives 0.97 and more.
DOUBTED = 0.9
#: Profiles of one fit at most.
AGAIN = 3
#: A rival is worth a remark from these odds on.
WORTH = 0.05
#: Correlation of fringes below which a fit explains no pattern.
POOR = 0.6


@dataclass(frozen=True, eq=False)
class Rival:
    """One minimum.

    Parameters
    ----------
    setting : Setting
    odds : float
        Its probability among all minima found, equally likely before.
    raw, contrast : float
        Correlations (`rhotem.experiment.fit.contrast`).
    """

    setting: Setting
    odds: float
    raw: float
    contrast: float


@dataclass(frozen=True, eq=False)
class PatternFit:
    """What a position-averaged pattern says of its specimen.

    Parameters
    ----------
    measurement : Measurement
    model : Model
    best : Fitted
    spread : Spread
    rivals : list of Rival
        All minima, the best first.
    profile : (array, array)
        Thicknesses in Å and −ln likelihood, all else fitted again.
    measured, simulated : (n, n) arrays
        On the bins of the frame, smoothed alike; mean in the disc 1.
    remarks : tuple of str
    """

    measurement: Measurement
    model: Model
    best: Fitted
    spread: Spread
    rivals: list[Rival]
    profile: tuple[Array, Array]
    measured: Array
    simulated: Array
    remarks: tuple[str, ...] = field(default=())

    @property
    def setting(self) -> Setting:
        """The best one."""
        return self.best.setting

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column of the beam on the detector, in pixels."""
        disc = self.model.frame.disc
        return disc.row + self.setting.down, disc.column + self.setting.right

    def record(self) -> dict[str, Any]:
        """All numbers, JSON-ready."""
        parameters = {
            name: {"value": float(value), "error": self.spread.error(name), "unit": unit}
            for name, value, unit in zip(NAMES, self.setting.values, UNITS, strict=True)
        }
        return {
            "measurement": self.measurement.record(),
            "thickness_nm": 0.1 * self.setting.thickness,
            "thickness_error_nm": 0.1 * self.spread.error("thickness"),
            "parameters": parameters,
            "mirrored": self.setting.hand < 0,
            "centre_row_column_px": list(self.centre),
            "correlation": {"raw": self.rivals[0].raw, "contrast": self.rivals[0].contrast},
            "likelihood": self.best.likelihood.kind,
            "covariance": {"order": list(NAMES), "values": self.spread.covariance},
            "minima": [
                {
                    "thickness_nm": 0.1 * rival.setting.thickness,
                    "tilt_mrad": [rival.setting.tilt_x, rival.setting.tilt_y],
                    "odds": rival.odds,
                    "correlation": {"raw": rival.raw, "contrast": rival.contrast},
                }
                for rival in self.rivals
            ],
            "profile": {"thickness_nm": 0.1 * self.profile[0], "minus_log_likelihood": self.profile[1]},
            "remarks": list(self.remarks),
        }

    def __str__(self) -> str:
        s, e = self.setting, self.spread.error
        tilt = float(np.hypot(s.tilt_x, s.tilt_y))
        best = self.rivals[0]
        return (
            f"{self.model.frame.name}: {0.1 * s.thickness:.1f} ± {0.1 * e('thickness'):.1f} nm, mistilt {tilt:.2f} "
            f"mrad ({s.tilt_x:+.2f} ± {e('tilt_x'):.2f}, {s.tilt_y:+.2f} ± {e('tilt_y'):.2f}), convergence "
            f"{s.convergence:.2f} ± {e('convergence'):.2f} mrad, {s.scale:.3f} ± {e('scale'):.3f} px/mrad; correlation "
            f"{best.raw:.3f} raw, {best.contrast:.3f} of fringes"
        )


def fit_pattern(
    measurement: Measurement,
    patterns: Patterns,
    convergence: tuple[float, float],
    *,
    library: Library | None = None,
    progress: Progress = silent,
) -> PatternFit:
    """Fit thickness, mistilt, convergence, scale, centre, rotation, blur and background of a pattern.

    Parameters
    ----------
    measurement : Measurement
        One pattern. A scale in mrad that its axes state is kept, else fitted.
    patterns : Patterns
        Of the crystal at the energy of the measurement, with thicknesses between.
    convergence : (float, float)
        Least and most in mrad.
    library : Library, optional
        `make_library` of the same patterns and convergence, which several pictures share.
    progress : Progress

    Raises
    ------
    InputError
        If the picture has no disc, or none of the patterns is like it.
    """
    check(measurement, patterns, convergence)
    book = library or make_library(patterns, convergence, progress)
    frame = frame_of(measurement, 0.5 * sum(convergence) / patterns.step[0])
    model = Model(patterns, frame, convergence)
    known = known_scale(measurement)
    scales = scales_of(frame, convergence) if known is None else np.array([known])
    fixed = () if known is None else ("scale",)
    first = starts(frame, book, scales)
    posed = []
    for place, (_, start) in enumerate(first):
        posed.append(refine(model, start, fixed=[*NAMES[:BEAMS], *fixed], rounds=POSED_ROUNDS))
        progress("poses", place + 1, len(first))
    posed.sort(key=lambda fit: fit.cost)
    likelihood = posed[0].likelihood
    fits = []
    for place, one in enumerate(posed[:FITTED]):
        fits.append(refine(model, one.setting, fixed=fixed, likelihood=likelihood))
        progress("fits", place + 1, FITTED)
    # once more with the bins around the disc that was found
    best = refine(model, stepped(model, min(fits, key=lambda fit: fit.cost), fixed).setting, fixed=fixed)
    fits = [best, *(refine(model, f.setting, fixed=fixed, likelihood=best.likelihood) for f in distinct(fits)[1:])]
    return _known(measurement, model, distinct(fits), fixed)


def stepped(model: Model, fit: Fitted, fixed: Sequence[str] = ()) -> Fitted:
    """The best of fits with other apertures: an edge that passes from pixel to pixel makes minima of its own."""
    angles = np.linspace(model.low[1], model.high[1], APERTURES)
    best = fit
    for upwards in (True, False):
        start = fit.setting
        ordered = angles[angles > start.convergence] if upwards else angles[angles < start.convergence][::-1]
        for angle in ordered:
            values = start.values.copy()
            values[1] = angle
            if "scale" not in fixed:
                values[4] *= start.convergence / angle  # the disc on the detector stays
            there = refine(
                model,
                start.with_values(values),
                fixed=[*fixed, "convergence"],
                likelihood=fit.likelihood,
                rounds=STEPPED_ROUNDS,
            )
            start = there.setting
            best = min(best, there, key=lambda one: one.cost)
    if best is fit:
        return fit
    return min(fit, refine(model, best.setting, fixed=fixed, likelihood=fit.likelihood), key=lambda one: one.cost)


def _known(measurement: Measurement, model: Model, fits: list[Fitted], fixed: Sequence[str]) -> PatternFit:
    """What is known of the minima that were found."""
    fits, spread, curve = _lowest(model, fits, fixed)
    best = fits[0]
    smooth = SMOOTH * model.patterns.step[0]
    contrast = contrast_at(model, best.setting)
    rivals, simulated = [], None
    for fit, chance in zip(fits, odds(fits, spread.unit), strict=True):
        shown = model.shown(model.beams(fit.setting.values), fit.setting, smooth)
        raw, fitted = contrast.raw(shown)
        rivals.append(Rival(fit.setting, chance, raw, contrast.fringe_correlation(shown)))
        simulated = fitted if simulated is None else simulated
    if rivals[0].contrast < POOR:
        raise InputError(
            f"{model.frame.name}: no pattern of this crystal is like it (best correlation of fringes "
            f"{rivals[0].contrast:.2f}); check structure, zone axis, energy and convergence"
        )
    remarks = (*measurement.remarks, *_remarks(model, rivals))
    assert simulated is not None
    return PatternFit(measurement, model, best, spread, rivals, curve, contrast.smoothed(), simulated, remarks)


def _lowest(model: Model, fits: list[Fitted], fixed: Sequence[str]) -> tuple[list[Fitted], Spread, tuple[Array, Array]]:
    """Minima, errors of the best and its profile; a profile that goes lower is where the fit starts again."""
    for attempt in range(AGAIN):
        spread = spread_of(model, fits[0])
        depths, costs, place = profile(model, fits[0], spread, fixed)
        if place is None or attempt == AGAIN - 1:
            break
        better = refine(model, place, fixed=fixed, likelihood=fits[0].likelihood)
        if better.cost >= fits[0].cost:
            break
        fits = distinct([better, *fits])
    return fits, spread, (depths, costs)


def _remarks(model: Model, rivals: list[Rival]) -> list[str]:
    """What a user should know before he trusts the numbers."""
    said, best = [], rivals[0].setting
    depth = model.patterns.thicknesses[-1]
    if rivals[0].contrast < DOUBTED:
        said.append(
            f"fringes agree by {rivals[0].contrast:.2f} only, the numbers may mean nothing: check structure, zone "
            f"axis, energy and convergence, and whether the specimen is thicker than {0.1 * depth:.0f} nm (--thickest)"
        )
    said += at_bounds(model, best)
    for rival in rivals[1:]:
        if rival.odds > WORTH:
            said.append(f"{0.1 * rival.setting.thickness:.1f} nm fits nearly as well (odds {rival.odds:.2f})")
    return said


def at_bounds(model: Model, setting: Setting) -> list[str]:
    """What lies at an end of what was tried, a line each."""
    said, depth = [], model.patterns.thicknesses[-1]
    if setting.thickness > depth - 10.0:
        said.append(
            f"the thickness is at the end of what the patterns hold ({0.1 * depth:.0f} nm): the specimen may be "
            "thicker; give a larger --thickest"
        )
    if np.hypot(setting.tilt_x, setting.tilt_y) > 0.98 * model.patterns.tilt:
        said.append(f"the mistilt is at the largest held ({model.patterns.tilt:g} mrad); give a larger --mistilt")
    for bound, word in ((model.low[1], "least"), (model.high[1], "largest")):
        if abs(setting.convergence - bound) < 0.01:
            said.append(f"the convergence is the {word} that was allowed ({bound:g} mrad): check it")
    return said


def check(measurement: Measurement, patterns: Patterns, convergence: tuple[float, float]) -> None:
    """Refuse a measurement that contradicts the patterns."""
    energy, name = 1e-3 * patterns.microscope.energy, measurement.source.path
    if measurement.energy_keV is not None and abs(measurement.energy_keV - energy) > 1e-3 * energy:
        raise InputError(
            f"{name}: recorded at {measurement.energy_keV:g} kV, the patterns are of {energy:g} kV; make them again"
        )
    said = measurement.convergence_mrad
    if said is not None and not convergence[0] <= said <= convergence[1]:
        raise InputError(
            f"{name}: the file says {said:g} mrad convergence, allowed are {convergence[0]:g} to "
            f"{convergence[1]:g} mrad"
        )
    if not patterns.between:
        raise InputError("the patterns hold single thicknesses; a fit needs all between: make them with a ladder")


def common_energy(measured: Sequence[Measurement]) -> float:
    """The energy in keV of some recordings.

    Raises
    ------
    InputError
        If one lacks it, or two have different ones.
    """
    first = measured[0]
    for one in measured:
        if one.energy_keV is None or first.energy_keV is None:
            raise InputError(f"{one.source.path}: the beam energy is missing; say {option('energy_keV')}")
        if abs(one.energy_keV - first.energy_keV) > 1e-3 * first.energy_keV:
            raise InputError(
                f"{one.source.path}: recorded at {one.energy_keV:g} keV, {first.source.path} at {first.energy_keV:g} "
                "keV; fit them one after the other"
            )
    assert first.energy_keV is not None
    return first.energy_keV


def common_convergence(measured: Sequence[Measurement], tolerance: float) -> tuple[float, float]:
    """Least and most convergence in mrad that some recordings allow within a relative ``tolerance``.

    Raises
    ------
    InputError
        If one lacks it, or two differ by more.
    """
    angles = [one.convergence_mrad for one in measured]
    known = [angle for angle in angles if angle is not None]
    if len(known) < len(angles):
        raise InputError(
            f"{measured[angles.index(None)].source.path}: the convergence is missing; say {option('convergence_mrad')} "
            f"as well as you know it, it is fitted within {100 * tolerance:.0f} %"
        )
    if max(known) > min(known) * (1 + max(tolerance, ROUNDING)):
        wide, narrow = (measured[angles.index(of(known))].source.path for of in (max, min))
        raise InputError(
            f"{wide}: recorded with {max(known):g} mrad convergence, {narrow} with {min(known):g} mrad; fit them one "
            "after the other"
        )
    return min(known) * (1 - tolerance), max(known) * (1 + tolerance)


def known_scale(measurement: Measurement) -> float | None:
    """Pixels for a mrad, where both axes say so.

    Raises
    ------
    InputError
        If pixels are not square.
    """
    pixel = measurement.pixel
    if pixel is None or {axis.unit for axis in measurement.axes[-2:]} != {"mrad"}:
        return None
    if abs(pixel[0] / pixel[1] - 1) > 0.01:
        raise InputError(f"{measurement.source.path}: pixels of {pixel[0]:g} × {pixel[1]:g} mrad; expected square ones")
    return 2.0 / (pixel[0] + pixel[1])
