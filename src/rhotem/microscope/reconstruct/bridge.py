"""What quantem takes: patterns with an even number of pixels, angles in 1/Å, aberrations in Å and rad by our names."""

from typing import Any

import numpy as np

from rhotem.core.packages import require
from rhotem.microscope.reconstruct.data import ScannedPatterns


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


def said(method: str, **more: Any) -> dict[str, Any]:
    """What the record says of a reconstruction by quantem."""
    from importlib.metadata import version

    return {"method": method, "quantem": version("quantem"), **more}
