"""What quantem takes: patterns with an even number of pixels, angles in 1/Å, aberrations in Å and rad by our names."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core.packages import require
from rhotem.microscope.optics import soft_disc
from rhotem.microscope.reconstruct.data import ScannedPatterns

Array = npt.NDArray[Any]


def require_quantem(method: str) -> None:
    """Raise unless quantem and PyTorch are there.

    Raises
    ------
    MissingDependencyError
    """
    require("quantem", "torch", extra="reconstruct", what=f"--method {method}")


def dataset(patterns: ScannedPatterns) -> tuple[Any, tuple[int, int]]:
    """A quantem `Dataset4dstem`, and the index of the zero angle.

    An odd number of pixels becomes even by a row of zeros in front, as quantem shifts odd ones by half a pixel.
    """
    from quantem.core.datastructures import Dataset4dstem

    odd = [n % 2 for n in patterns.data.shape[2:]]
    data = np.pad(patterns.data, ((0, 0), (0, 0), *((n, 0) for n in odd))).astype(np.float32)
    scale = 1e-3 / patterns.microscope.wavelength
    made = Dataset4dstem.from_array(
        data,
        sampling=[*patterns.scan.step, *(scale * step for step in patterns.angular_step)],
        units=["A", "A", "A^-1", "A^-1"],
    )
    return made, (data.shape[2] // 2, data.shape[3] // 2)


def rim_as_amplitude(patterns: ScannedPatterns) -> ScannedPatterns:
    """Patterns whose pixels on the rim of the disc have the mean that quantem's model has of them.

    A pixel of which the part f lies inside the aperture holds the intensity f, and interferes with a sideband by f;
    quantem's amplitude f has that interference, but the intensity f², and every pixel is divided by its mean. So the
    mean is brought to f²; what varies over the scan, and the pixels inside the disc, stay as they are.
    """
    disc, mean = amplitude(patterns, *patterns.angles), patterns.mean
    rim = (disc > 0) & (disc < 1)
    moved = np.where(rim, disc**2 * mean[disc == 1].mean() - mean, 0.0)
    return replace(patterns, data=(patterns.data + moved).astype(np.float32))


def amplitude(patterns: ScannedPatterns, kx: Array, ky: Array) -> Array:
    """Amplitude of the disc at angles in mrad: 1 inside, at the rim the part of a pixel inside it."""
    scale = 1e-3 / patterns.microscope.wavelength
    step = (scale * patterns.angular_step[0], scale * patterns.angular_step[1])
    return soft_disc(scale * kx, scale * ky, scale * patterns.microscope.convergence, step)


def said(method: str, **more: Any) -> dict[str, Any]:
    """What the record says of a reconstruction by quantem."""
    from importlib.metadata import version

    return {"method": method, "quantem": version("quantem"), **more}
