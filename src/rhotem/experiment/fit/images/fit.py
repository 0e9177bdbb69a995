"""`fit_images`: what images of one scan say of specimen, lens, source and scan."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import Progress, silent
from rhotem.experiment.fit import told
from rhotem.experiment.fit.images.errors import covariance, displaced
from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.fit.images.nodes import Nodes
from rhotem.experiment.fit.images.recorded import Recorded
from rhotem.experiment.fit.images.refine import WIDEST, Fitted, left, refine
from rhotem.experiment.fit.images.search import starts
from rhotem.experiment.fit.images.state import NAMES, UNITS, State
from rhotem.experiment.fit.posterior import apart, odds
from rhotem.scattering.response import Response

Array = npt.NDArray[np.float64]

#: Distance in Å of the foci that a search tries.
FOCUS = 20.0
#: Minima nearer than this in Å of thickness and of defocus are one.
ALIKE = (5.0, 5.0)
#: Distance in Å from an end of what was tried at which a length is at it.
EDGE = 1.0


@dataclass(frozen=True, eq=False)
class ImageFit:
    """A fit of images.

    Parameters
    ----------
    model : Model
    best : Fitted
    minima : list of (State, float)
        All minima with their odds (equally likely before), the best first.
    covariance : (p, p) array
        Of all parameters, as `State.whole`.
    """

    model: Model
    best: Fitted
    minima: list[tuple[State, float]]
    covariance: Array

    @property
    def state(self) -> State:
        """The best one."""
        return self.best.state

    def error(self, name: str) -> float:
        """Standard deviation of a parameter of `State`, or of what nodes are of."""
        nodes = self.model.nodes.names
        place = NAMES.index(name) if name in NAMES else len(self.covariance) - len(nodes) + nodes.index(name)
        return float(np.sqrt(max(self.covariance[place, place], 0.0)))

    @property
    def excess(self) -> float:
        """Mean square of residuals over that of noise: 1 of a model that explains the images."""
        return 2 * self.best.cost / max(1, self.best.residual.size - self.best.slopes.shape[1])

    @property
    def left(self) -> float:
        """Part of what the images show beyond noise that the model does not: 0 of the right one, 1 of a flat image."""
        return left(self.model.images, self.excess)

    @property
    def remarks(self) -> list[str]:
        """What speaks against the fit, a line each."""
        check = "structure, angles of the detector, aperture, --foci and --thickest"
        found = told.unexplained(self.excess, check)
        for one, rest in zip(self.model.images, self.best.residual, strict=True):
            if one.counts and not found:
                found += told.uncounted(one.name, one.values, float((rest**2).mean()))
        return found + at_bounds(self.model, self.state)

    def record(self) -> dict[str, Any]:
        """All numbers, JSON-ready."""
        number = len(self.model.images)
        errors = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        return {
            "parameters": told.parameters(NAMES, UNITS, self.state.values, errors),
            "images": {
                one.name: {
                    "gain": float(self.state.gains[n]),
                    "gain_error": float(errors[len(NAMES) + n]),
                    "offset": float(self.state.offsets[n]),
                    "offset_error": float(errors[len(NAMES) + number + n]),
                    "counts": one.counts,
                }
                for n, one in enumerate(self.model.images)
            },
            "nodes": {
                axis.name: {
                    "value": float(value),
                    "error": self.error(axis.name),
                    "unit": axis.unit,
                    "at": list(axis.values),
                }
                for axis, value in zip(self.model.nodes.axes, self.state.nodes, strict=True)
            },
            "excess": self.excess,
            "remarks": self.remarks,
            "minima": told.minima(self.minima),
            "covariance": self.covariance,
        }

    def __str__(self) -> str:
        said = ", ".join(
            f"{name} {scale * getattr(self.state, name):.2f} ± {scale * self.error(name):.2f} {unit}"
            for name, scale, unit in (
                ("thickness", 0.1, "nm"),
                ("defocus", 0.1, "nm"),
                ("C12a", 0.1, "nm"),
                ("C12b", 0.1, "nm"),
                ("source_size", 1.0, "Å"),
            )
        )
        for axis, value in zip(self.model.nodes.axes, self.state.nodes, strict=True):
            said += f", {axis.name} {value:.3g} ± {self.error(axis.name):.2g} {axis.unit}".rstrip()
        return f"{said}; residuals {self.excess:.2f} of the noise's square"


def fit_images(
    images: Sequence[Recorded],
    response: Response | Nodes,
    pixels: npt.ArrayLike,
    *,
    start: State | None = None,
    fixed: Collection[str] = (),
    progress: Progress = silent,
) -> ImageFit:
    """Fit thickness, defocus, astigmatism, source size, the scan's affine map, gains and offsets.

    Parameters
    ----------
    images : sequence of Recorded
        Of different detectors, recorded in one scan.
    response : Response or Nodes
        Of the specimen (`rhotem.analysis.responses.response`), with four or more thicknesses; `Nodes` add occupancies,
        Debye–Waller scale or mistilt to what is fitted.
    pixels : (2, 2) array
        Takes (column, row) to Å along x and y of the crystal's cell, right to a quarter of the lattice's spacing
        across the image.
    start : State, optional
        Where to start; None: every thickness and defocus held is tried.
    fixed : collection of str
        Parameters that stay; ``gains`` and ``offsets`` stand for all of these.
    progress : Progress

    Raises
    ------
    InputError
        If the images are not alike, or nothing of the crystal is found in them.
    """
    model = Model(response, list(images))
    least, most = model.response.range.defocus
    foci = np.linspace(least, most, max(1, 1 + int(np.ceil((most - least) / FOCUS))))
    tried = [(1.0, start)] if start is not None else starts(model, pixels, foci.tolist())
    if not tried or tried[0][0] < told.POOR:
        raise told.absent("images", tried[0][0] if tried else 0.0)
    fits = []
    for place, (_, one) in enumerate(tried):
        fits.append(refine(model, one, fixed=fixed))
        progress("fits", place + 1, len(tried))
    kept = apart(fits, ALIKE)
    best = kept[0]
    excess = max(1.0, 2 * best.cost / max(1, best.residual.size - best.slopes.shape[1]))
    minima = [(fit.state, chance) for fit, chance in zip(kept, odds(kept, excess), strict=True)]
    return ImageFit(model, best, minima, covariance(model, best) + displaced(model, best, fixed))


def at_bounds(model: Model, state: State) -> list[str]:
    """What lies at an end of what was tried, a line each."""
    held, foci = model.response.thicknesses, model.response.range.defocus
    ends = [
        ("thickness", 0.1 * state.thickness, 0.1 * held[0], 0.1 * held[-1], 0.1 * EDGE, "nm", "--thickest"),
        ("defocus", 0.1 * state.defocus, 0.1 * foci[0], 0.1 * foci[1], 0.1 * EDGE, "nm", "--foci"),
    ]
    for axis, value in zip(model.nodes.axes, state.nodes, strict=False):
        # nothing lies below an occupancy of 0
        least = axis.values[0] if axis.values[0] else -np.inf
        slack = 1e-3 * (axis.values[-1] - axis.values[0])
        ends.append((axis.name, float(value), least, axis.values[-1], slack, axis.unit, "its nodes"))
    found = [
        told.at_end(f"the {name}", f"an end of the {low:.3g} to {high:.3g} {unit} that were tried", how)
        for name, value, low, high, slack, unit, how in ends
        if not low + slack < value < high - slack and high > low
    ]
    most = model.astigmatism
    if most and max(abs(state.C12a), abs(state.C12b)) > most - EDGE:
        found.append(f"the astigmatism is at the largest that was tried ({0.1 * most:.3g} nm); see --astigmatism")
    if state.source_size > WIDEST - 0.01:
        found.append(f"the source is as wide as is tried ({WIDEST:g} Å): check pixel and focus")
    return found
