"""Detectability over images, focus and thickness, and the setting that sees a feature with fewest electrons."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from rhotem.analysis.detect.features import Feature
from rhotem.analysis.detect.noise import channels_of, image_of, transfer
from rhotem.analysis.detect.observer import Seen, seen
from rhotem.analysis.detect.rings import PARTS, RING, Weighed, all_parts, best_ring
from rhotem.analysis.detect.simulated import Simulated, expected_sums
from rhotem.core import Progress, silent
from rhotem.microscope.detectors import DetectorBase
from rhotem.scattering.response import Response

#: Images that carry the same as others of their detector, or half of it.
LEFT_OUT = ("DPCx", "DPCy", "dDPC", "CoMx", "CoMy", "dCoM")
#: d′ at which a feature counts as seen: the Rose criterion (A. Rose, J. Opt. Soc. Am. 38, 196, 1948).
ROSE = 5.0
#: Standard deviations of the density's error that a feature must change: half of its 90 % interval.
BEYOND = 1.645


@dataclass(frozen=True)
class Row:
    """How well one image shows a feature.

    Parameters
    ----------
    image : str
    thickness, defocus : float
        nm.
    change : float
        Largest difference of a pixel as a part of the image's range (highest minus lowest) without the feature.
    noise : float
        Standard deviation of that pixel as a part of the range, at ``dose``.
    dose : float
        e/Å².
    cnr : float
        Largest difference of a pixel over its own noise.
    detectability : float
        d′ of the ideal linear observer.
    enough : float
        Dose in e/Å² at which d′ is `ROSE`.
    angles : (float, float) or None
        Of the best ring, mrad.
    margin : float or None
        What the feature changes over what the density's own error changes, both as the observer weighs them; None:
        not asked for, or not at this focus.
    """

    image: str
    thickness: float
    defocus: float
    change: float
    noise: float
    dose: float
    cnr: float
    detectability: float
    enough: float
    angles: tuple[float, float] | None = None
    margin: float | None = None


@dataclass(frozen=True, eq=False)
class Best:
    """The best focus of one image at one thickness.

    Parameters
    ----------
    row : Row
    seen : Seen
    image : (nx, ny) array
        Before the change.
    size : (float, float)
        Å.
    score : callable
        What the observer sums up of the expected image of another response.
    """

    row: Row
    seen: Seen
    image: Any
    size: tuple[float, float]
    score: Callable[[Response], float]


@dataclass(frozen=True, eq=False)
class Detectability:
    """All rows of a feature, and the images of the best.

    Parameters
    ----------
    feature : Feature
    rows : list of Row
    dose : float
        e/Å² of the rows.
    area : float
        Å² over which the observer looks: one feature, or one cell of a crystal whose density differs.
    shown : dict of str to (Seen, before, extent)
        For each image the row of least dose.
    place : (float, float) or None
        Of the changed column, Å.
    told : dict
        What was simulated, JSON-ready.
    """

    feature: Feature
    rows: list[Row]
    dose: float
    area: float
    shown: dict[str, tuple[Seen, Any, tuple[float, float]]]
    place: tuple[float, float] | None
    told: dict[str, Any]

    @property
    def images(self) -> list[str]:
        """Names of the images."""
        return list(dict.fromkeys(row.image for row in self.rows))

    @property
    def thicknesses(self) -> list[float]:
        """Nm."""
        return list(dict.fromkeys(row.thickness for row in self.rows))

    def of(self, image: str | None = None, thickness: float | None = None) -> list[Row]:
        """Rows of one image or all, at one thickness in nm or all, by focus."""
        return [row for row in self.rows if image in (None, row.image) and thickness in (None, row.thickness)]

    def best(self, image: str | None = None, thickness: float | None = None) -> Row:
        """The row of these that needs the least dose; of any image: not the bound by all parts at once."""
        rows = self.of(image, thickness)
        return min((r for r in rows if image == PARTS or r.image != PARTS), key=lambda row: row.enough)

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        best = asdict(self.best())
        return {
            "feature": str(self.feature),
            "dose_e_per_A2": self.dose,
            "observer": "prewhitened matched filter of one feature at a known place",
            "area_A2": self.area,
            "best": best,
            "rows": [asdict(row) for row in self.rows],
            **self.told,
        }


def sweep(
    simulated: Simulated,
    feature: Feature,
    *,
    dose: float,
    defocus: Sequence[float],
    thicknesses: Sequence[float] = (),
    edges: Sequence[float] = (),
    progress: Progress = silent,
) -> Detectability:
    """Rows for every image of the detectors, defocus (nm) and thickness (nm; none: the only one) at a dose in e/Å².

    With ``edges`` (mrad, those of the response) for the best ring between them and for all parts at once, too.
    """
    rows: list[Row] = []
    best: dict[tuple[str, float], Best] = {}
    for thickness in thicknesses or [0.1 * simulated.before.thicknesses[-1]]:
        for focus in defocus:
            for one in _looks(simulated, (thickness, focus), dose, list(edges)):
                rows.append(one.row)
                key = (one.row.image, thickness)
                if key not in best or one.row.enough < best[key].row.enough:
                    best[key] = one
    if simulated.members is not None:
        best = _against_density(best, simulated.members, progress)
        rows = [_same(row, best) for row in rows]
    shown = {
        name: min((b for b in best.values() if b.row.image == name), key=lambda b: b.row.enough)
        for name in dict.fromkeys(row.image for row in rows)
        if name != PARTS
    }
    return Detectability(
        feature,
        rows,
        dose,
        float(np.prod(simulated.before.extent)),
        {name: (b.seen, b.image, b.size) for name, b in shown.items()},
        simulated.pair.place if simulated.pair else None,
        {"response": simulated.before.record["plan"], "configurations": simulated.before.record["configurations"]},
    )


def _looks(simulated: Simulated, at: tuple[float, float], dose: float, edges: list[float]) -> Iterator[Best]:
    """Every image at one thickness and focus in nm."""
    setting: dict[str, Any] = {"thickness": 10.0 * at[0], "defocus": 10.0 * at[1]}
    for detector in simulated.before.detectors:
        after, before, scan, microscope = simulated.channels(detector, **setting)
        counted = dose, dose * float(np.prod(scan.step))
        for name, factors in transfer(detector, before.names, scan, microscope).items():
            if name.endswith(LEFT_OUT):
                continue
            found = seen(after, before, factors)
            image = image_of(before.mean, factors)
            score = _score(detector, factors, found, setting)
            yield Best(_row(name, at, found, image, counted), found, image, scan.size, score)
    if edges:
        weighed: dict[str, Weighed] = {
            RING: best_ring(simulated, edges, **setting),
            PARTS: all_parts(simulated, **setting),
        }
        for name, one in weighed.items():
            row = replace(_row(name, at, one.seen, one.image, counted), angles=one.angles)
            yield Best(row, one.seen, one.image, scan.size, partial(one.score, **setting))


def _score(detector: DetectorBase, factors: Any, found: Seen, setting: dict[str, float]) -> Callable[[Response], float]:
    """What the matched filter of an image gives for another response."""

    def score(held: Response) -> float:
        recorder, sums, _, _ = expected_sums(held, (detector,), **setting)
        mean = channels_of(detector, recorder, sums).mean
        return float((image_of(mean, factors) * found.template).sum())

    return score


def _against_density(
    best: dict[tuple[str, float], Best], members: Callable[[], Iterator[Response]], progress: Progress
) -> dict[tuple[str, float], Best]:
    """The same with what the feature changes over the standard deviation of what the members of the density change.

    Both as the matched filter w = K⁻¹ s weighs images: wᵀs = d′² of one electron, and wᵀ(image of a member).
    """
    scores: dict[tuple[str, float], list[float]] = {key: [] for key in best}
    for number, held in enumerate(members()):
        for key, one in best.items():
            scores[key].append(one.score(held))
        progress("error of the density", number + 1, number + 2)
    result = {}
    for key, one in best.items():
        error = float(np.std(scores[key], ddof=1))
        margin = one.seen.index / error if error > 0 else np.inf
        result[key] = replace(one, row=replace(one.row, margin=float(margin)))
    return result


def _same(row: Row, best: dict[tuple[str, float], Best]) -> Row:
    """A row, with its margin where it is the best of its image and thickness."""
    chosen = best[row.image, row.thickness].row
    return chosen if chosen.defocus == row.defocus else row


def _row(name: str, at: tuple[float, float], found: Seen, image: Any, counted: tuple[float, float]) -> Row:
    dose, electrons = counted
    extent = float(np.ptp(image)) or 1.0
    pixel = np.unravel_index(int(np.abs(found.signal).argmax()), found.signal.shape)
    d = found.detectability(electrons)
    return Row(
        name,
        at[0],
        at[1],
        float(found.signal[pixel]) / extent,
        float(found.deviation[pixel]) / np.sqrt(electrons) / extent,
        dose,
        found.contrast_to_noise(electrons),
        d,
        dose * (ROSE / d) ** 2 if d > 0 else np.inf,
    )
