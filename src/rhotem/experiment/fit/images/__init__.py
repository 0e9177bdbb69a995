"""Fits of scanned images: thickness, lens, source and scan from one scattering response.

`fit_images` compares images of several detectors, recorded in one scan, with `rhotem.scattering.response.Response`:
thickness, defocus, twofold astigmatism, source size, the affine map of the scan, and gain and offset of every detector,
by Poisson's likelihood where values are electrons. Derivatives are those of the response
(`rhotem.scattering.response.slopes`).
"""

from rhotem.experiment.fit.images.fit import ImageFit, fit_images
from rhotem.experiment.fit.images.nodes import NodeAxis, Nodes
from rhotem.experiment.fit.images.recorded import Recorded
from rhotem.experiment.fit.images.state import State

__all__ = ["ImageFit", "NodeAxis", "Nodes", "Recorded", "State", "fit_images"]
