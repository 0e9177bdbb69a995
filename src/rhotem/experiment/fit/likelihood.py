"""How well a simulated pattern agrees with a measured one, as residuals whose squares are added.

*Fringes* (`Fringes`): differences of the fringes (`rhotem.experiment.fit.contrast`), robust against outliers: for
pictures of eight bits, where neither gain nor noise is known. *Counts* (`Counts`): deviance residuals of Poisson's
distribution, with the sum of all electrons free, where values are electrons.
"""

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from rhotem.experiment.fit.contrast import COMPARED, Contrast

Array = npt.NDArray[np.float64]

#: A difference of logarithms from which a bin counts as an outlier.
OUTLIER = 0.2


class Likelihood(Protocol):
    """What a fit minimises.

    Attributes
    ----------
    kind : str
        "fringes" or "counts".
    mask : (n, n) bool array
        Bins that are compared.
    smoothed : bool
        Whether the model is to be smoothed as the measured pattern is.
    scale : float
        Size of residuals from which they count less; infinite: never.
    """

    kind: Literal["fringes", "counts"]
    mask: npt.NDArray[np.bool_]
    smoothed: bool
    scale: float

    def residual(self, model: Array) -> Array:
        """Residuals (bins,) of a model (n, n) whose mean in the disc is about 1."""


class Fringes:
    """Differences of fringes."""

    kind: Literal["fringes", "counts"] = "fringes"
    smoothed, scale = True, OUTLIER

    def __init__(self, contrast: Contrast) -> None:
        self.contrast, self.mask = contrast, contrast.mask
        self._measured = contrast.fringes(contrast.smoothed())[self.mask]

    def residual(self, model: Array) -> Array:
        """Model minus measured."""
        return self.contrast.fringes(model)[self.mask] - self._measured


class Counts:
    """Deviance residuals of counted electrons, in standard deviations."""

    kind: Literal["fringes", "counts"] = "counts"
    smoothed, scale = False, np.inf

    def __init__(self, contrast: Contrast) -> None:
        frame = contrast.frame
        self.mask = np.hypot(frame.x - contrast.right, frame.y - contrast.down) < COMPARED * contrast.radius
        self._measured = frame.values[self.mask]

    def residual(self, model: Array) -> Array:
        """Signed roots of the deviance (McCullagh & Nelder, Generalized Linear Models, 2.4.3); positive: too bright."""
        counted = self._measured
        expected = np.maximum(model[self.mask], 1e-9)
        expected = expected * (counted.sum() / expected.sum())  # the most likely gain
        logarithm = np.zeros_like(counted)
        some = counted > 0
        logarithm[some] = counted[some] * np.log(counted[some] / expected[some])
        deviance = 2.0 * np.maximum(logarithm - counted + expected, 0.0)
        return np.sign(expected - counted) * np.sqrt(deviance)


def likelihood_of(contrast: Contrast) -> Likelihood:
    """That of counted electrons where values are electrons, else that of fringes."""
    return Counts(contrast) if contrast.frame.counts else Fringes(contrast)
