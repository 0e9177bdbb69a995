"""What of a measured and a simulated pattern is compared, and the correlations that are reported.

Both patterns are smoothed by `SMOOTH` pixels of the simulation, and looked at within `COMPARED` apertures of the beam.

*raw*: Pearson's correlation of intensities; the model is the simulated pattern, a broad background and a constant, by
least squares. *contrast*: Pearson's correlation of ln(I + `LIFT` · mean of the disc) without its part slower than a
Gaussian of `SLOW` apertures: the fringes, whatever the absorption, the background and the response of the detector.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.experiment.fit.frame import Frame
from rhotem.experiment.fit.model import BROAD

Array = npt.NDArray[np.float64]

#: Radius compared and width of what counts as slow, in apertures; smoothing in pixels of the simulation.
COMPARED, SLOW, SMOOTH = 1.25, 0.22, 0.8
#: What is added before the logarithm, over the mean of the disc: eight bits resolve no less.
LIFT = 0.02


@dataclass(frozen=True, eq=False)
class Contrast:
    """The fringes of a measured pattern around one circle on the detector.

    Parameters
    ----------
    frame : Frame
    right, down : float
        Its centre in pixels from the first guess of the disc.
    radius : float
        The aperture in pixels.
    smooth : float
        Standard deviation in pixels by which the measured pattern is smoothed.
    """

    frame: Frame
    right: float
    down: float
    radius: float
    smooth: float

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Bins that are compared."""
        return self._within(COMPARED)

    def _within(self, apertures: float) -> npt.NDArray[np.bool_]:
        return np.hypot(self.frame.x - self.right, self.frame.y - self.down) < apertures * self.radius

    def smoothed(self) -> Array:
        """The measured pattern, smoothed; its mean in the disc 1."""
        from scipy.ndimage import gaussian_filter

        values = gaussian_filter(self.frame.values, self.smooth / self.frame.bin, mode="nearest", truncate=3.0)
        return values / values[self._within(1.0)].mean()

    def fringes(self, values: Array) -> Array:
        """The logarithm (n, n) of a pattern without its slow part."""
        from scipy.ndimage import gaussian_filter

        logarithm = np.log(np.maximum(values / values[self._within(1.0)].mean(), 0.0) + LIFT)
        slow = gaussian_filter(logarithm, SLOW * self.radius / self.frame.bin, mode="nearest", truncate=3.0)
        return logarithm - slow

    def fringe_correlation(self, model: Array) -> float:
        """The correlation called contrast."""
        mask = self.mask
        return pearson(self.fringes(self.smoothed())[mask], self.fringes(model)[mask])

    def raw(self, model: Array) -> tuple[float, Array]:
        """The correlation called raw, and the model's intensities (n, n) that it is of."""
        from scipy.ndimage import gaussian_filter
        from scipy.optimize import nnls

        mask, measured = self.mask, self.smoothed()
        broad = gaussian_filter(model, BROAD * self.radius / self.frame.bin, mode="nearest", truncate=3.0)
        parts = [model, broad, np.ones_like(model)]
        weights, _ = nnls(np.stack([p[mask] for p in parts], axis=1), measured[mask])
        fitted = np.tensordot(weights, np.stack(parts), axes=1)
        return pearson(fitted[mask], measured[mask]), fitted


def pearson(one: Array, other: Array) -> float:
    """Pearson's correlation."""
    return float(np.corrcoef(one, other)[0, 1])
