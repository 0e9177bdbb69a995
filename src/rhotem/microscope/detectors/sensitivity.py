"""Measured sensitivity of a detector: the mean signal of one electron by where it lands."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

Array = npt.NDArray[np.float64]

#: Part of the way from the level beside the detector to that on it, above which a pixel belongs to it.
ACTIVE = 0.3


@dataclass(frozen=True)
class Sensitivity:
    """A map that was scanned with the beam, over a ring of the diffraction plane; 1 on the average of the ring.

    Parameters
    ----------
    path : str
        .npy, .npz, .tif, or what rosettasciio reads (.hspy, .dm4, ...); rows are y, columns x, as seen in the camera.
    inner, outer : float
        Ring in mrad over which the mean is 1.
    centre : (float, float) or None
        Pixel (row, column) of the axis; None: that around which the detector's outline lies.
    scale : float or None
        mrad per pixel; None: such that the outline ends at ``outer``.
    rotation : float
        Degrees by which the map is turned from x to y.
    """

    path: str
    inner: float
    outer: float
    centre: tuple[float, float] | None = None
    scale: float | None = None
    rotation: float = 0.0

    def __call__(self, x: npt.NDArray, y: npt.NDArray, pixel: tuple[float, float]) -> Array:
        """Sensitivity at angles ``x, y`` in mrad, averaged over pixels of this size (mrad)."""
        from scipy.ndimage import map_coordinates, uniform_filter

        values, centre, scale, mean = self._calibrated()
        size = [max(1, round(p / scale)) for p in (pixel[1], pixel[0])]
        if max(size) > 1:
            values = uniform_filter(values, size, mode="nearest")
        turn = np.deg2rad(self.rotation)
        u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
        places = [centre[0] + v / scale, centre[1] + u / scale]
        return np.asarray(map_coordinates(values, places, order=1, mode="constant", cval=0.0)) / mean

    def _calibrated(self) -> tuple[Array, tuple[float, float], float, float]:
        """The map above its background, pixel of the axis, mrad per pixel, and the mean over the ring."""
        return _calibrate(self.path, _stamp(self.path), (self.inner, self.outer), self.centre, self.scale)

    def record(self) -> dict[str, Any]:
        """How the map lies on the ring and how uneven it is, JSON-ready."""
        values, centre, scale, mean = self._calibrated()
        ring = values[_within(values.shape, centre, scale, (self.inner, self.outer))] / mean
        return {
            "file": self.path,
            "centre_pixel": list(centre),
            "mrad_per_pixel": scale,
            "relative_standard_deviation": float(ring.std()),
            "least": float(ring.min()),
            "most": float(ring.max()),
        }


def _stamp(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError as error:
        raise InputError(f"sensitivity map {path}: cannot be read ({error.strerror})") from None


@lru_cache(maxsize=16)
def _calibrate(
    path: str, stamp: float, ring: tuple[float, float], centre: tuple[float, float] | None, scale: float | None
) -> tuple[Array, tuple[float, float], float, float]:
    measured = _read(path)
    if np.ptp(measured) == 0:  # a uniform one has no outline
        if centre is None or scale is None:
            raise InputError(f"sensitivity map {path}: uniform; say its centre and its scale in mrad per pixel")
        active, beside = np.ones(measured.shape, dtype=bool), 0.0
    else:
        beside, bright = np.percentile(measured, [5, 99])
        active = measured > beside + ACTIVE * (bright - beside)
        active = active if active.any() else np.ones(measured.shape, dtype=bool)
    if centre is None or scale is None:
        middle, radius = _outline(active)
        centre = centre or middle
        scale = scale or ring[1] / radius
    values = np.clip(measured - beside, 0.0, None)
    inside = _within(values.shape, centre, scale, ring)
    mean = float(values[inside].mean()) if inside.any() else 0.0
    if mean <= 0:
        raise InputError(
            f"sensitivity map {path}: nothing between {ring[0]:g} and {ring[1]:g} mrad around pixel "
            f"{centre[0]:.0f}, {centre[1]:.0f} at {scale:.3g} mrad per pixel; check centre and scale"
        )
    return values, centre, scale, mean


def _within(shape: tuple[int, ...], centre: tuple[float, float], scale: float, ring: tuple[float, float]) -> Any:
    rows, columns = np.indices(shape)
    angle = scale * np.hypot(rows - centre[0], columns - centre[1])
    return (angle >= ring[0]) & (angle < ring[1])


def _outline(active: npt.NDArray[np.bool_]) -> tuple[tuple[float, float], float]:
    """Centre (row, column) and radius in pixels of the circle around the outermost pixels of a detector.

    The circle through the ends of all rows and columns in the sense of least squares (Kåsa, IEEE Trans. Instrum. Meas.
    25, 8, 1976); ends far inside of it, of a shadow or a hole, are left out and the circle is fitted again.
    """
    ends = []
    for rows in (active, active.T):
        lines = np.flatnonzero(rows.any(axis=1))
        first, last = rows[lines].argmax(axis=1), rows.shape[1] - 1 - rows[lines, ::-1].argmax(axis=1)
        ends += [np.stack([lines, first - 0.5], axis=1), np.stack([lines, last + 0.5], axis=1)]
        ends[-2:] = [e if rows is active else e[:, ::-1] for e in ends[-2:]]
    points = np.concatenate(ends)
    for _ in range(10):
        matrix = np.column_stack([points, np.ones(len(points))])
        (a, b, c), *_ = np.linalg.lstsq(matrix, (points**2).sum(axis=1), rcond=None)
        centre, radius = (a / 2, b / 2), float(np.sqrt(c + (a**2 + b**2) / 4))
        distance = np.hypot(points[:, 0] - centre[0], points[:, 1] - centre[1])
        keep = distance > 0.97 * radius
        if keep.all() or keep.sum() < 8:
            break
        points = points[keep]
    return (float(centre[0]), float(centre[1])), radius


def _read(path: str) -> Array:
    """The first image in a file."""
    ending = Path(path).suffix.lower()
    try:
        if ending == ".npy":
            data = np.load(path, allow_pickle=False)
        elif ending == ".npz":
            with np.load(path, allow_pickle=False) as stored:
                data = stored[stored.files[0]]
        elif ending in (".tif", ".tiff"):
            import tifffile

            data = tifffile.imread(path)
        else:
            import importlib

            from rsciio import IO_PLUGINS

            plugin = next((p for p in IO_PLUGINS if ending[1:] in p["file_extensions"]), None)
            if plugin is None:
                raise InputError(f"sensitivity map {path}: ending {ending or 'none'} is not known; use .npy or .tif")
            data = importlib.import_module(plugin["api"]).file_reader(path)[0]["data"]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"sensitivity map {path}: cannot be read ({error})") from None
    values = np.squeeze(np.asarray(data, dtype=float))
    if values.ndim != 2 or not np.isfinite(values).all() or min(values.shape) < 8:
        raise InputError(f"sensitivity map {path}: expected one finite image, got an array of shape {values.shape}")
    return np.asarray(values)
