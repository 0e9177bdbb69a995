"""The direct disc of a diffraction pattern: centre, radius, ellipse, and the scale that the convergence gives."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.calibrate.bright import bright_area
from rhotem.experiment.calibrate.lattice import Value
from rhotem.experiment.measurement import Measurement

Floats = npt.NDArray[np.float64]

#: Directions in which the edge is looked for, and rounds of the ellipse.
DIRECTIONS, ROUNDS = 180, 12
#: Radii that are tried, in that of the bright area, and shifts of the centre.
RADII, SHIFTS = (0.6, 2.2), np.linspace(-0.2, 0.2, 9)
#: Edges farther than this from the ellipse, in its radius, are others'; least share of the directions that agree.
NEAR, AGREEING = 0.04, 0.5
#: Sharpness of a circle, relative to the sharpest, from which it may be the disc.
RIVAL = 0.6
#: Directions over which deviations of the edge may be alike.
ALIKE = 20
#: Noise of a pixel over the brightness of the disc that outlines bear, and largest smoothing in radii.
NOISE, MOST_SMOOTH = 0.03, 0.06
#: Smallest radius in pixels, and least mean contrast of the edge.
SMALLEST, CONTRAST = 6.0, 0.05
#: Least sharpness of the edge.
SHARP = 1.2
#: Sectors of the outline, and least share of them that must fall.
SECTORS, ROUND = 12, 0.8
#: Pixels by which what is in and around a disc moves its edge everywhere: a systematic error.
SYSTEMATIC = 0.1


@dataclass(frozen=True, eq=False)
class Disc:
    """The outline of the direct disc.

    Parameters
    ----------
    centre : (Value, Value)
        Pixel (row, column).
    radius : Value
        Pixels: geometric mean of both semi-axes.
    ellipticity : Value
        Longer over shorter semi-axis, less one.
    angle : Value
        Degrees from x to y of the longer axis.
    agreeing : float
        Share of the directions whose edge lies on the ellipse.
    rivals : tuple of float
        Radii in pixels of larger circles that are nearly as sharp: outlines of neighbouring discs, or the disc itself.
    """

    centre: tuple[Value, Value]
    radius: Value
    ellipticity: Value
    angle: Value
    agreeing: float
    rivals: tuple[float, ...] = ()

    def px_per_mrad(self, convergence_mrad: float, error_mrad: float = 0.0) -> Value:
        """Scale of the pattern, by the semi-angle that the disc shows."""
        scale = self.radius.value / convergence_mrad
        return Value(
            scale, scale * float(np.hypot(self.radius.error / self.radius.value, error_mrad / convergence_mrad))
        )

    def record(self) -> dict[str, Any]:
        """Numbers, JSON-ready."""
        names = ("radius", "ellipticity", "angle")
        return {
            "centre_px": [vars(v) for v in self.centre],
            **{name: vars(getattr(self, name)) for name in names},
            "agreeing": self.agreeing,
            "rival_radii_px": list(self.rivals),
        }


def find_disc(measurement: Measurement) -> Disc:
    """The direct disc of a pattern, or of the mean pattern of 4D data.

    The edge is where the pattern falls most steeply, relative to its brightness, along rays from the middle; an
    ellipse through the edges that agree gives centre, axes and their errors, by the scatter of the edges around it.
    Overlapping discs are no hindrance where enough of the outline of the direct one shows.

    Raises
    ------
    InputError
        If there is no disc.
    """
    name = measurement.source.path or "pattern"
    if measurement.kind not in ("pattern", "4D"):
        raise InputError(f"{name}: discs are found in diffraction patterns, this is an {measurement.kind}")
    pattern = np.asarray(measurement.data, dtype=float)
    pattern = pattern.mean(axis=(0, 1)) if measurement.kind == "4D" else pattern
    centre, radius = _bright(pattern, name)
    recorded, pattern = pattern, _quiet(pattern, centre, radius)
    centre, radius, contrast, rivals = _circle(pattern, centre, radius)
    round_edge = _sharpness(pattern, centre, radius) > SHARP and _around(pattern, centre, radius) > ROUND
    if contrast < CONTRAST or not round_edge:
        few = "" if pattern is recorded else ", and are its electrons enough (bin it, or sum several)"
        raise InputError(f"{name}: no disc, nothing in the pattern has a round edge; is it a CBED pattern{few}?")
    return replace(_ellipse(pattern, centre, radius, name), rivals=rivals)


def _quiet(pattern: Floats, centre: Floats, radius: float) -> Floats:
    """A pattern smoothed as far as its noise asks: outlines of few electrons are those of chance.

    After a Gaussian of standard deviation σ pixels noise is 1/(2 √π σ) of what it was.
    """
    from scipy.ndimage import gaussian_filter

    rows, columns = np.indices(pattern.shape)
    inside = (np.hypot(rows - centre[0], columns - centre[1]) < 0.7 * radius)[:, 1:-1]
    # a second difference has six times the variance of a pixel
    noise = np.diff(pattern, 2, axis=1)[inside].std() / np.sqrt(6)
    relative = float(noise / max(pattern[:, 1:-1][inside].mean() - pattern.min(), 1e-30))
    wanted = relative / (2 * np.sqrt(np.pi) * NOISE)
    return np.asarray(gaussian_filter(pattern, min(wanted, MOST_SMOOTH * radius))) if wanted > 1 else pattern


def _sharpness(pattern: Floats, centre: Floats, radius: float) -> float:
    """Fall at the outline within a narrow width over that within one four times as large: 1 at an edge, 1/4 without."""
    radii = np.linspace(0.7, 1.3, 161) * radius
    near = np.abs(radii / radius - 1) < 0.05
    narrow, wide = (_edges(pattern, centre, radii, False, widen).mean(axis=0)[near].max() for widen in (1.0, 4.0))
    return float(narrow / max(wide, 1e-30))


def _around(pattern: Floats, centre: Floats, radius: float) -> float:
    """Share of the sectors in which the brightness falls at the outline: all at a disc, half in noise."""
    edges = _edges(pattern, centre, np.linspace(0.98, 1.02, 9) * radius)
    sectors = edges.mean(axis=1).reshape(SECTORS, -1).mean(axis=1)
    return float((sectors > 0.25 * sectors.mean()).mean())


def calibrated(measurement: Measurement, disc: Disc, convergence_mrad: float) -> Measurement:
    """The pattern with the scale that its disc gives, its origin in the disc, and a remark that says so."""
    scale = disc.px_per_mrad(convergence_mrad)
    said = f"scale by the direct disc: {scale} px/mrad for {convergence_mrad:g} mrad"
    step = 1 / scale.value
    axes = tuple(
        replace(axis, scale=step, offset=-middle.value * step)
        for axis, middle in zip(measurement.axes[-2:], disc.centre, strict=True)
    )
    return replace(
        measurement,
        axes=measurement.axes[:-2] + axes,
        convergence_mrad=convergence_mrad,
        remarks=(*measurement.remarks, said),
    )


def _bright(pattern: Floats, name: str) -> tuple[Floats, float]:
    """Middle (row, column) and radius of the bright area."""
    found = bright_area(pattern, name)
    if found.radius < SMALLEST:
        raise InputError(f"{name}: no disc, the largest bright area is {2 * found.radius:.0f} pixels wide")
    if found.radius > 0.5 * min(pattern.shape):
        raise InputError(f"{name}: no disc, the pattern is bright up to its edge")
    return np.array([found.row, found.column]), found.radius


def _edges(pattern: Floats, centre: Floats, radii: Floats, relative: bool = True, widen: float = 1.0) -> Floats:
    """Fall of the brightness, over itself or plain (which has no bias), (directions, radii).

    ``widen`` is the width over which the fall is taken, in the usual one. Nothing falls where the camera ends.
    """
    from scipy.ndimage import gaussian_filter1d, map_coordinates, uniform_filter1d

    angle = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    places = [centre[0] + np.sin(angle)[:, None] * radii, centre[1] + np.cos(angle)[:, None] * radii]
    profile = map_coordinates(pattern, places, order=1, mode="nearest")
    seen = np.logical_and(*((at >= 0) & (at <= n - 1) for at, n in zip(places, pattern.shape, strict=True)))
    step = radii[1] - radii[0]
    width = widen * max(0.015 * radii.mean(), 0.8) / step
    fall = np.where(seen, -gaussian_filter1d(profile, width, axis=1, order=1), 0.0)
    if not relative:
        return np.asarray(fall)
    around = uniform_filter1d(profile, max(3, round(10 * width)), axis=1) - pattern.min()
    return np.asarray(fall * width / np.maximum(around, 1e-3 * max(float(np.ptp(pattern)), 1e-30)))


def _circle(pattern: Floats, centre: Floats, radius: float) -> tuple[Floats, float, float, tuple[float, ...]]:
    """The innermost of the sharp circles, its contrast, and the radii of others that are nearly as sharp.

    Outlines of neighbouring discs join to circles around that of the direct disc.
    """
    from scipy.signal import find_peaks

    wide = np.linspace(RADII[0] * radius, RADII[1] * radius, 160)
    centre, _, most = _sharpest(pattern, centre, wide, radius)
    mean = np.clip(_edges(pattern, centre, wide), -0.5, 0.5).mean(axis=0)
    sharp = [i for i in find_peaks(np.pad(mean, 1))[0] - 1 if mean[i] > RIVAL * most]
    apart = [i for n, i in enumerate(sharp) if not n or wide[i] > 1.08 * wide[sharp[n - 1]]]
    first = wide[apart[0]]
    centre, best, contrast = _sharpest(pattern, centre, np.linspace(0.92, 1.08, 80) * first, first)
    return centre, best, contrast, tuple(float(wide[i]) for i in apart[1:])


def _sharpest(pattern: Floats, centre: Floats, radii: Floats, radius: float) -> tuple[Floats, float, float]:
    """Centre and radius of the circle whose edge is sharpest on the mean, and its contrast."""
    best = (-np.inf, centre, radius)
    for down in SHIFTS * radius:
        for right in SHIFTS * radius:
            moved = centre + np.array([down, right])
            mean = np.clip(_edges(pattern, moved, radii), -0.5, 0.5).mean(axis=0)
            at = int(np.argmax(mean))
            if mean[at] > best[0]:
                best = (float(mean[at]), moved, float(radii[at]))
    return best[1], best[2], best[0]


def _ellipse(pattern: Floats, centre: Floats, radius: float, name: str) -> Disc:
    """Fit of an ellipse to the edges near a circle."""
    # centre, logarithmic mean radius, and both parts of the ellipticity
    p = np.array([centre[0], centre[1], np.log(radius), 0.0, 0.0])
    angle = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    reach = 3 * NEAR
    for turn in range(ROUNDS):
        mean = np.exp(p[2])
        radii = np.linspace(1 - reach, 1 + reach, 81) * mean
        edges = _edges(pattern, p[:2], radii, relative=turn < ROUNDS // 2)
        # at an ellipse: r(φ) = r0 (1 + e1 cos 2φ + e2 sin 2φ)
        design = np.stack([np.sin(angle), np.cos(angle), np.full_like(angle, mean), *(mean * _double(angle))], axis=1)
        predicted = mean * (1 + p[3:] @ _double(angle))
        near = np.abs(radii - predicted[:, None]) < (reach if turn < 4 else NEAR) * mean
        strength = np.where(near, edges, -1.0)
        found = _parabola(strength, radii)
        rest = found - predicted
        good = (np.abs(rest) < NEAR * mean) & (strength.max(axis=1) > 0.25 * np.median(strength.max(axis=1)))
        if good.sum() < 12:
            raise InputError(f"{name}: no disc, its outline cannot be followed")
        change, *_ = np.linalg.lstsq(design[good], rest[good], rcond=None)
        p = p + change
    good_rest = rest[good] - design[good] @ change
    agreeing = float(good.mean())
    if agreeing < AGREEING:
        raise InputError(f"{name}: no disc, only {100 * agreeing:.0f} % of its outline lie on an ellipse")
    alike = _alike(good_rest)
    variance = alike * (good_rest**2).sum() / max(good.sum() - 5 * alike, 1)
    covariance = variance * np.linalg.inv(design[good].T @ design[good])
    return _disc(p, covariance, agreeing)


def _alike(rest: Floats) -> float:
    """Neighbouring directions that count as one: 1 + 2 Σ of the correlations until they vanish."""
    square, total = float(rest @ rest), 1.0
    for lag in range(1, min(ALIKE, len(rest) // 4)):
        alike = float(rest[lag:] @ rest[:-lag]) / max(square, 1e-300)
        if alike <= 0:
            break
        total += 2 * alike
    return total


def _double(angle: Floats) -> Floats:
    return np.stack([np.cos(2 * angle), np.sin(2 * angle)])


def _parabola(strength: Floats, radii: Floats) -> Floats:
    """Radius of the largest value of every row, between samples."""
    at = np.clip(strength.argmax(axis=1), 1, len(radii) - 2)
    row = np.arange(len(strength))
    a, b, c = (strength[row, at + i] for i in (-1, 0, 1))
    bend = a - 2 * b + c
    shift = np.where(bend < 0, 0.5 * (a - c) / np.where(bend < 0, bend, -1.0), 0.0)
    return np.asarray(radii[at] + np.clip(shift, -1, 1) * (radii[1] - radii[0]))


def _disc(p: Floats, covariance: Floats, agreeing: float) -> Disc:
    radius = float(np.exp(p[2]))
    moved = SYSTEMATIC * np.array([1, 1, 1 / radius, 1 / radius, 1 / radius])
    covariance = covariance + np.diag(moved**2)
    errors = np.sqrt(np.diag(covariance))
    size = float(np.hypot(*p[3:]))
    # along the ellipticity, and across it
    unit = p[3:] / size if size else np.array([1.0, 0.0])
    along = float(np.sqrt(unit @ covariance[3:, 3:] @ unit))
    across = float(np.sqrt(unit[::-1] * [-1, 1] @ covariance[3:, 3:] @ (unit[::-1] * [-1, 1])))
    turn = 0.5 * np.rad2deg(np.arctan2(p[4], p[3]))
    return Disc(
        (Value(float(p[0]), float(errors[0])), Value(float(p[1]), float(errors[1]))),
        Value(radius, radius * float(errors[2])),
        Value(2 * size, 2 * along),
        Value(float(turn), float(np.rad2deg(across / max(size, across)) / 2)),
        agreeing,
    )
