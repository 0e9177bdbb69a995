"""Counting noise of images: covariances of channels at every pixel, and how images follow from channels.

Electrons that fall into disjoint parts of the diffraction plane are independent Poisson numbers
(`rhotem.microscope.counting`), so channels of one pixel are correlated by the parts they share, and pixels are
independent. An image is a linear map of its channels, the same at every pixel: a sum, or an integration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.microscope.derive import expected
from rhotem.microscope.detectors import DetectorBase
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Channels:
    """Expected signals of one detector over a scan.

    Parameters
    ----------
    names : tuple of str
        Channels: intensities as parts of the beam, deflections in mrad.
    mean : (channels, nx, ny) array
    covariance : (channels, channels, nx, ny) array
        Of one electron for each pixel; that of N electrons is an N-th of it.
    """

    names: tuple[str, ...]
    mean: Array
    covariance: Array


def channels_of(detector: DetectorBase, recorder: Recorder, sums: Array) -> Channels:
    """Channels of a detector from the expected columns (columns, nx, ny) of a recorder that counts.

    The number of electrons in a channel has the variance of its mean. A sum of angles is a compound Poisson sum with
    the second moment as variance, and a deflection its ratio to the number: to first order its variance is that of the
    angle divided by the number, and it does not depend on the number.
    """
    number = len(recorder.channels)
    raw = expected(recorder, sums[:number])
    cells = recorder.cells
    assert cells is not None  # counted
    column = dict(zip(cells.columns, sums[number:], strict=True))
    own = [channel.name for channel in detector.channels()]
    roles = {channel.name: channel.role for channel in detector.channels()}
    covariance = np.zeros((len(own), len(own), *sums.shape[1:]))
    for a, first in enumerate(own):
        for b, second in enumerate(own):
            if roles[first] and roles[second] and first[:-1] == second[:-1]:
                base = first[:-1]
                within = cells.within(base)
                moment = "".join(sorted(first[-1] + second[-1]))
                second_moment = sum(column[i, moment] for i in within)
                count = np.maximum(raw[base], 1e-12)
                covariance[a, b] = (second_moment / count - raw[first] * raw[second]) / count
            elif not roles[first] and not roles[second]:
                shared = set(cells.within(first)) & set(cells.within(second))
                covariance[a, b] = sum((column[i, ""] for i in shared), np.zeros(sums.shape[1:]))
    return Channels(tuple(own), np.stack([raw[name] for name in own]), covariance)


def image_of(channels: Array, factors: Array) -> Array:
    """The image (nx, ny) of channels (channels, nx, ny) by its `transfer`."""
    return np.asarray(np.fft.ifft2((factors * np.fft.fft2(channels)).sum(axis=0)).real)


def transfer(detector: DetectorBase, names: tuple[str, ...], scan: Scan, microscope: Microscope) -> dict[str, Array]:
    """How the images of a detector follow from its channels: image -> (channels, nx, ny) factors of Fourier sums.

    The images of a periodic scan are linear in the channels and the same map at every pixel, so what a single lit
    pixel gives tells all.
    """
    found: dict[str, list[Array]] = {}
    for lit in names:
        signals = {name: np.zeros(scan.shape) for name in names}
        signals[lit][0, 0] = 1.0
        images: Mapping[str, Array] = detector.images(signals, scan, microscope)
        for name, image in images.items():
            found.setdefault(name, []).append(np.fft.fft2(image))
    return {name: np.stack(parts) for name, parts in found.items()}
