"""How an image of a crystal looks wherever it was cut out and whichever way it is turned: its autocorrelation.

The autocorrelation of an image knows no shift. Its values on circles, as harmonics of the angle, turn by a phase where
the image is turned; distances go as equal ratios from circle to circle, so that another scale moves them along. White
noise has no part in it beyond the size of the probe. The sign of the contrast is lost, as it is between foci.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from rhotem.library.tabulated import Tabulated

Floats = npt.NDArray[np.float64]
Harmonics = npt.NDArray[np.complex64]

#: Least and largest distance in Å, circles between them in equal ratios, and angles from 0 to 180° on each.
NEAR, FAR, RINGS, ANGLES = 1.4, 9.0, 24, 48
#: Harmonics of the angle that are kept, in steps of two: as far as atoms 9 Å apart are told by.
HARMONICS = 12
#: Harmonics whose magnitudes stand in the index, and the length of its vectors.
INDEXED = 6
LENGTH = RINGS * INDEXED
#: Gaussian widths in Å: of the source that simulated images lack, and by which pictures are smoothed against noise.
SOURCE, SMOOTH = 0.4, 0.4
#: Width in 1/Å of rings in which the power of noise is one; how many times it a peak of a crystal has at least, and
#: one of them that noise and amorphous films do not make.
RING, ABOVE, CERTAIN = 0.02, 8.0, 25.0
#: Part of the frequencies that peaks have at most where noise matters: edges and blobs stand out in more.
FEW = 0.05
#: Least part of the largest that the filters leave of a wave, and that its power has, for a peak to be certain.
LEAST = 0.01
#: Gaussian width in Å of the slow background that is taken off a picture.
BACKGROUND = 3.0
#: Shifts along the circles that are tried, in circles: scales within 4 %.
SHIFTS = np.array([-0.5, -0.25, 0.0, 0.25, 0.5])
#: Part of its maximum that the autocorrelation of fringes keeps along them, up to a distance in Å.
ALONG, ALONG_TO = 0.85, 5.0
#: Angles at which two are compared.
TURNS = 360

_RADII = np.geomspace(NEAR, FAR, RINGS)
_ANGLE = np.arange(ANGLES) * np.pi / ANGLES
_X, _Y = _RADII[:, None] * np.cos(_ANGLE), _RADII[:, None] * np.sin(_ANGLE)
#: A harmonic stands for its conjugate, too.
_WEIGHT = np.where(np.arange(HARMONICS) == 0, 1.0, 2.0)


def of_image(image: npt.NDArray[Any], extent: tuple[float, float]) -> Harmonics:
    """Appearance of a simulated image of one cell, (nx, ny) over ``extent`` in Å; of length one."""
    frequency = [np.fft.fftfreq(n, length / n) for n, length in zip(image.shape, extent, strict=True)]
    k = np.stack(np.meshgrid(*frequency, indexing="ij"), axis=-1).reshape(-1, 2)
    k2 = (k**2).sum(axis=1)
    filtered = np.exp(-2 * np.pi**2 * SOURCE**2 * k2) * _passed(k2)
    power = (np.abs(np.fft.fft2(image).ravel()) * filtered) ** 2
    strong = power > 1e-5 * power.max()
    phase = 2 * np.pi * (_X[..., None] * k[strong, 0] + _Y[..., None] * k[strong, 1])
    return _harmonics(np.cos(phase) @ power[strong])


def of_picture(picture: npt.NDArray[Any], pixel: tuple[float, float]) -> Harmonics:
    """Appearance of a recorded picture, rows from the top; ``pixel``: Å down and along a row. Of length one."""
    from scipy.ndimage import map_coordinates

    step = np.asarray(pixel)
    power, shape, k = _power(picture, step)
    rows, columns = (n // 2 for n in shape)
    products = np.fft.irfft2(_peaks(power, k)[0], shape)
    pairs = np.fft.irfft2(np.abs(np.fft.rfft2(np.ones((rows, columns)), shape)) ** 2, shape)
    mean = np.fft.fftshift(products / np.maximum(pairs, 1.0))
    return _harmonics(map_coordinates(mean, [rows + _Y / step[0], columns + _X / step[1]], order=3))


def stands_out(picture: npt.NDArray[Any], pixel: tuple[float, float]) -> bool:
    """Whether any frequency has so much more power than the noise around it that noise does not make it."""
    power, _, k = _power(picture, np.asarray(pixel))
    return _peaks(power, k)[1]


def _power(picture: npt.NDArray[Any], step: Floats) -> tuple[Floats, tuple[int, int], Floats]:
    """Power of the filtered picture with as many zeros around it (half a plane), that shape, and |k| in 1/Å."""
    from scipy.ndimage import gaussian_filter

    picture = np.asarray(picture, dtype=float)
    picture = picture / (np.abs(picture).max() or 1.0)  # of any unit: squares of large values are no numbers
    sharp = gaussian_filter(picture, SMOOTH / step) - gaussian_filter(picture, BACKGROUND / step)
    shape = (2 * sharp.shape[0], 2 * sharp.shape[1])
    k = np.hypot(np.fft.fftfreq(shape[0], step[0])[:, None], np.fft.rfftfreq(shape[1], step[1]))
    return np.abs(np.fft.rfft2(sharp, shape)) ** 2, shape, k


def _peaks(power: Floats, k: Floats) -> tuple[Floats, bool]:
    """Power (half a plane, of `numpy.fft.rfft2`) without what noise has at its frequency; whether a peak is certain.

    A crystal's power lies in few peaks, that of noise everywhere: exponentially distributed about a mean that follows
    from the median of a ring. Where no peak is certain, or much stands out, all is left as it is.
    """
    passed = _passed(k**2) ** 2
    white = power / np.maximum(passed, LEAST * passed.max())  # noise as it was before the filters
    ring = (k / RING).astype(int)
    order = np.argsort(ring, axis=None, kind="stable")
    ends = np.searchsorted(ring.ravel()[order], np.arange(ring.max() + 2))
    ordered = white.ravel()[order]
    medians = np.array([np.median(ordered[a:b]) if b > a else 0.0 for a, b in pairwise(ends)])
    over = white / np.maximum(medians[ring] / np.log(2), np.finfo(float).tiny)
    band = passed > LEAST * passed.max()
    certain = bool(over[band & (power > LEAST * power.max())].max(initial=0.0) > CERTAIN)
    few = certain and (over[band] > ABOVE).mean() < FEW
    return (np.where(over > ABOVE, power, 0.0) if few else power), certain


def _passed(k2: Floats) -> Floats:
    """What smoothing and the background leave of a wave of |k|² in 1/Å²."""
    return np.exp(-2 * np.pi**2 * SMOOTH**2 * k2) - np.exp(-2 * np.pi**2 * BACKGROUND**2 * k2)


def clearness(picture: npt.NDArray[Any], pixel: tuple[float, float]) -> float:
    """Score that noise leaves to the right image, from how alike both halves of a picture are; 1: no noise.

    Of two halves with the same signal S and noise of variance 2n² each, the correlation is S²/(S² + 2n²); that of the
    whole picture with its signal is S/√(S² + n²).
    """
    middle = len(picture) // 2
    one, other = of_picture(picture[:middle], pixel), of_picture(picture[middle:], pixel)
    alike = float(((one * np.conj(other)).real * _WEIGHT).sum())
    return float(np.sqrt(2 * alike / (1 + alike))) if alike > 0 else 0.0


def _harmonics(values: Floats) -> Harmonics:
    return _unit(np.fft.rfft(values, axis=1)[:, :HARMONICS])


def _unit(harmonics: npt.NDArray[np.complexfloating]) -> Harmonics:
    length = float(np.sqrt((np.abs(harmonics) ** 2 * _WEIGHT).sum()))
    return np.asarray(harmonics / length if length > 0 else harmonics, dtype=np.complex64)


def magnitudes(harmonics: Harmonics) -> npt.NDArray[np.float32]:
    """What does not change when the image is turned, (..., LENGTH) of length one: for an index."""
    kept = harmonics[..., :INDEXED]
    found = np.abs(kept)
    found[..., 0] = kept[..., 0].real
    flat = found.reshape(*harmonics.shape[:-2], LENGTH)
    length = np.linalg.norm(flat, axis=-1, keepdims=True)
    return (flat / np.where(length > 0, length, 1.0)).astype(np.float32)


def has_one_direction(harmonics: Harmonics) -> bool:
    """Whether an image varies along one direction only: along the other its autocorrelation stays at its maximum."""
    values = np.fft.irfft(harmonics[_RADII < ALONG_TO], TURNS, axis=1)
    return bool(values.min(axis=0).max() > ALONG * values.max())


def to_bytes(harmonics: Harmonics) -> bytes:
    """In half precision, 1.2 kB."""
    return np.stack([harmonics.real, harmonics.imag]).astype("<f2").tobytes()


def from_bytes(stored: bytes) -> Harmonics:
    """As `to_bytes` wrote it."""
    real, imaginary = np.frombuffer(stored, dtype="<f2").reshape(2, RINGS, HARMONICS).astype(np.float32)
    return np.asarray(real + 1j * imaginary, dtype=np.complex64)


@dataclass(frozen=True)
class Likeness:
    """How well a picture is another one, turned.

    Parameters
    ----------
    score : float
        Correlation of both autocorrelations, 1 at best.
    angle : float
        Degrees by which the other's x axis is turned in the picture, from right to down; a half turn more is as good.
    scale : float
        What the picture's pixel must be multiplied by.
    mirrored : bool
    """

    score: float
    angle: float
    scale: float
    mirrored: bool


def likenesses(picture: Harmonics, others: npt.NDArray[np.complex64]) -> list[Likeness]:
    """How well a picture is each of several images (n, RINGS, HARMONICS), at the best angle and scale of each."""
    best: list[Likeness | None] = [None] * len(others)
    for mirrored in (False, True):
        turned = np.conj(others) if mirrored else others
        for shift in SHIFTS:
            moved = _moved(turned, float(shift))
            length = np.sqrt((np.abs(moved) ** 2 * _WEIGHT).sum(axis=(1, 2)))
            both = np.fft.irfft((picture * np.conj(moved)).sum(axis=1), TURNS, axis=1) * TURNS
            place = both.argmax(axis=1)
            scores = both.max(axis=1) / np.where(length > 0, length, 1.0)
            scale = float((FAR / NEAR) ** (shift / (RINGS - 1)))
            for i, (score, at) in enumerate(zip(scores.tolist(), place.tolist(), strict=True)):
                known = best[i]
                if known is None or score > known.score + 1e-6:
                    best[i] = Likeness(score, 180.0 * at / TURNS, scale, mirrored)
    return [one for one in best if one is not None]


def _moved(harmonics: npt.NDArray[np.complex64], shift: float) -> npt.NDArray[np.complex64]:
    """Values between circles: of ring i at i + shift."""
    place = np.clip(np.arange(RINGS) + shift, 0, RINGS - 1)
    low = np.minimum(place.astype(int), RINGS - 2)
    part = (place - low)[:, None]
    return np.asarray((1 - part) * harmonics[:, low] + part * harmonics[:, low + 1], dtype=np.complex64)


def appearances(seen: "Tabulated") -> dict[str, Harmonics]:
    """Appearance of every image: the mean over thicknesses and foci."""
    extent = seen.held.extent
    return {
        name: _unit(np.mean([of_image(image, extent) for image in images], axis=0))
        for name, images in seen.images.items()
    }
