"""What a network sees of a picture: no slow background, unit variance, whatever the detector's unit."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.learned.pictures.boxes import blurred

#: Å: structures wider than this are background.
BACKGROUND = 2.5
#: Standard deviations beyond which values are clipped: hot pixels.
CLIP = 6.0
#: Values of single precision whose squares, summed over a picture, are numbers, too.
SMALLEST, LARGEST = 1e-12, 1e12


def normalised(image: npt.NDArray[Any], pixel: float) -> npt.NDArray[np.float32]:
    """A picture (rows, columns), ``pixel`` in Å, less its blur by `BACKGROUND`, over its standard deviation.

    Three boxes blur nearly as a Gaussian of this standard deviation, in half the time.
    """
    values = _single(image)
    spread = float(values.std())
    if spread == 0.0:
        return np.zeros_like(values)
    values = (values - values.mean()) / spread
    width = round(float(np.sqrt(4.0 * (BACKGROUND / pixel) ** 2 + 1.0))) | 1
    values -= blurred(values, width, times=3)
    values /= max(float(values.std()), 1e-6)
    return np.clip(values, -CLIP, CLIP)


def resampled(image: npt.NDArray[Any], pixel: tuple[float, float], wanted: float) -> npt.NDArray[np.float32]:
    """A picture with pixels (down, right) Å on pixels of ``wanted`` Å; averaged where it becomes coarser.

    The place of pixel (i, j) is (i + ½) times its size in both.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    values = _single(image)
    scale = np.array(pixel) / wanted  # new pixels in an old one
    shape = np.maximum(np.floor(np.array(values.shape) * scale + 1e-6).astype(int), 1)
    # a pixel of the new picture is as wide as 1/scale old ones: standard deviation of the box that averages them
    blur = [float(np.sqrt(max((1 / s) ** 2 - 1.0, 0.0) / 12.0)) for s in scale]
    values = gaussian_filter(values, blur, mode="reflect")
    rows, columns = ((np.arange(n) + 0.5) / s - 0.5 for n, s in zip(shape, scale, strict=True))
    places = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(map_coordinates(values, places, order=1, mode="reflect"), dtype=np.float32)


def _single(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """In single precision; in units of the largest value where that has no room for its square."""
    values = np.asarray(image)
    largest = max(abs(float(values.max())), abs(float(values.min())))
    if largest > 0.0 and not SMALLEST < largest < LARGEST:
        values = values / largest
    return np.asarray(values, dtype=np.float32)
