"""The angles of a detector as a variable: the ring that sees a change best, and all parts of the plane at once.

Electrons of disjoint parts are independent Poisson numbers. So the noise of a ring's image is its own intensity, pixel
by pixel, and d′² = Σ (difference)²/(mean of both): every ring is weighed by sums. Parts that are not added up, but each
weighed by itself, tell at least as much as any image made of them: an integrated phase, a reconstruction from patterns
binned so.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis.detect.observer import Seen
from rhotem.analysis.detect.simulated import Simulated, expected_sums
from rhotem.core import InputError
from rhotem.microscope.detectors import Annular
from rhotem.scattering.response import Response

Array = npt.NDArray[Any]

#: Rows of the table: the best ring, and all parts at once, which is no image but a bound of them.
RING, PARTS = "ring", "4D"
#: Beyond twice the convergence edges lie this many steps apart: signals vary slowly there.
FARTHER = 4
#: Part of the beam below which a pixel tells nothing: responses are in single precision.
LEAST = 1e-7


def ring_edges(step: float, convergence: float, outermost: float) -> list[float]:
    """Edges in mrad that a detector may begin and end at: every ``step`` to twice the convergence, then every fourth.

    Raises
    ------
    InputError
        If fewer than two rings lie within the outermost angle detected.
    """
    if not 0 < step <= 0.5 * outermost:
        raise InputError(
            f"--rings {step:g} mrad: expected a step up to half of the outermost angle, {outermost:g} mrad"
        )
    fine = np.arange(1, int(min(2 * convergence, outermost) / step + 1e-9) + 1) * step
    coarse = np.arange(fine[-1] + FARTHER * step, outermost + 1e-9, FARTHER * step)
    return [float(f"{edge:.9g}") for edge in (*fine, *coarse)]


@dataclass(frozen=True, eq=False)
class Weighed:
    """What a set of parts tells.

    Parameters
    ----------
    seen : Seen
        Of the sum of the parts that count alike; of all parts at once its ``index`` alone has a meaning.
    image : (nx, ny) array
        Sum of the parts before the change, a fraction of the beam.
    angles : (float, float)
        mrad.
    weights : (parts, nx, ny) array
        What parts are multiplied with and summed to decide.
    parts : tuple of Annular, or None
        What ``weights`` belong to; None: the disjoint parts of the response.
    """

    seen: Seen
    image: Array
    angles: tuple[float, float]
    weights: Array
    parts: tuple[Annular, ...] | None

    def score(self, held: Response, thickness: float, **settings: Any) -> float:
        """What the observer sums up of the expected images of another response; lengths in Å."""
        return float((self.weights * parts_of(held, self.parts, thickness, **settings)).sum())


def parts_of(held: Response, rings: tuple[Annular, ...] | None, thickness: float, **settings: Any) -> Array:
    """Intensity (parts, nx, ny) in rings; None: in the disjoint parts that the response divides the plane into."""
    detectors = held.kept if rings is None else rings
    recorder, sums, _, _ = expected_sums(held, tuple(detectors), thickness, **settings)
    number = len(recorder.channels)
    if rings is not None:
        return sums[:number]
    assert recorder.cells is not None  # counted
    return sums[number:][[moment == "" for _, moment in recorder.cells.columns]]


def best_ring(made: Simulated, edges: list[float], thickness: float, **settings: Any) -> Weighed:
    """The ring between two of the edges (mrad), or disc, whose image needs the fewest electrons; lengths in Å."""
    circles = [0.0, *edges]
    rings = tuple(Annular(name=f"between {n}", inner=a, outer=b) for n, (a, b) in enumerate(pairwise(circles)))
    after, before = (parts_of(held, rings, thickness, **settings) for held in (made.after, made.before))
    signal, level = (np.concatenate([np.zeros_like(x[:1]), x.cumsum(0)]) for x in (after - before, after + before))
    best, chosen = -1.0, (0, 1)
    for a in range(len(rings)):
        index = _told(signal[a + 1 :] - signal[a], 0.5 * (level[a + 1 :] - level[a])).sum(axis=(1, 2))
        if index.max() > best:
            best, chosen = float(index.max()), (a, a + 1 + int(index.argmax()))
    a, b = chosen
    change, mean = signal[b] - signal[a], 0.5 * (level[b] - level[a])
    template = np.where(mean > LEAST, change / np.maximum(mean, LEAST), 0.0)
    weights = np.zeros_like(after)
    weights[a:b] = template
    seen = Seen(best, change, np.sqrt(np.maximum(mean, 0.0)), template)
    return Weighed(seen, before[a:b].sum(axis=0), (circles[a], circles[b]), weights, rings)


def all_parts(made: Simulated, thickness: float, **settings: Any) -> Weighed:
    """All disjoint parts of the response, each weighed by itself; lengths in Å."""
    after, before = (parts_of(held, None, thickness, **settings) for held in (made.after, made.before))
    change, mean = after - before, 0.5 * (after + before)
    weights = np.where(mean > LEAST, change / np.maximum(mean, LEAST), 0.0)
    whole = np.sqrt(np.maximum(mean.sum(axis=0), 0.0))
    index = float(_told(change, mean).sum())
    outer = max(detector.outer for detector in made.before.kept)
    return Weighed(
        Seen(index, change.sum(axis=0), whole, weights.sum(axis=0)), before.sum(axis=0), (0.0, outer), weights, None
    )


def _told(change: Array, mean: Array) -> Array:
    """d′² of every pixel, of one electron."""
    return np.where(mean > LEAST, change**2 / np.maximum(mean, LEAST), 0.0)
