"""Detectability over images, focus and thickness, and the setting that sees a feature with fewest electrons."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rhotem.analysis.detect.features import Feature
from rhotem.analysis.detect.noise import image_of, transfer
from rhotem.analysis.detect.observer import Seen, seen
from rhotem.analysis.detect.simulated import Simulated

#: Images that carry the same as others of their detector, or half of it.
LEFT_OUT = ("DPCx", "DPCy", "dDPC", "CoMx", "CoMy", "dCoM")
#: d′ at which a feature counts as seen: the Rose criterion (A. Rose, J. Opt. Soc. Am. 38, 196, 1948).
ROSE = 5.0


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
        """The row of these that needs the least dose."""
        return min(self.of(image, thickness), key=lambda row: row.enough)

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
) -> Detectability:
    """Rows for every image of the detectors, defocus (nm) and thickness (nm; none: the only one) at a dose in e/Å²."""
    rows: list[Row] = []
    shown: dict[str, tuple[Seen, Any, tuple[float, float]]] = {}
    for thickness in thicknesses or [0.1 * simulated.before.thicknesses[-1]]:
        for focus in defocus:
            for detector in simulated.before.detectors:
                after, before, scan, microscope = simulated.channels(
                    detector, thickness=10.0 * thickness, defocus=10.0 * focus
                )
                electrons = dose * float(np.prod(scan.step))
                for name, factors in transfer(detector, before.names, scan, microscope).items():
                    if name.endswith(LEFT_OUT):
                        continue
                    found = seen(after, before, factors)
                    image = image_of(before.mean, factors)
                    row = _row(name, (thickness, focus), found, image, (dose, electrons))
                    if all(row.enough < other.enough for other in rows if other.image == name):
                        shown[name] = (found, image, scan.size)
                    rows.append(row)
    return Detectability(
        feature,
        rows,
        dose,
        float(np.prod(simulated.before.extent)),
        shown,
        simulated.pair.place if simulated.pair else None,
        {"response": simulated.before.record["plan"], "configurations": simulated.before.record["configurations"]},
    )


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
