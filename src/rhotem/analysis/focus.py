"""The focus with the largest contrast, from one propagation."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis.inversion import inversions, usual_signs
from rhotem.analysis.recording import focused_image
from rhotem.analysis.responses import response
from rhotem.core import InputError
from rhotem.microscope.detectors import summing
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Microscope
from rhotem.scattering.response import Range, Response

if TYPE_CHECKING:
    from rhotem.analysis.specimen import Specimen
    from rhotem.potential.slices import PotentialSlices

Array = npt.NDArray[np.float64]

#: Foci are tried this far apart in nm, then refined to within FINE nm.
STEP, FINE = 0.5, 0.01
#: How far beyond the entrance surface foci are tried: nm, and parts of the thickness.
BEYOND = (4.0, 0.1)
#: Focus that balances third-order spherical aberration best, in units of Cs α² (Scherzer's for a probe).
BALANCED = 0.54


@dataclass(frozen=True, eq=False)
class Focus:
    """The best focus for one image, and the way to it.

    Parameters
    ----------
    image : str
    defocus : float
        nm, positive is underfocus.
    contrast : float
        Standard deviation of the noise-free image there, in its unit.
    foci, contrasts : (n,) arrays
        All that were tried, nm.
    inverted : tuple of bool
        Whether the image shows columns the wrong way round there (`rhotem.analysis.inversion`).
    wrong : tuple of str
        What is wrong at the best focus; empty where nothing is.
    held : Response
        What answers for all foci from the first to the last.
    """

    image: str
    defocus: float
    contrast: float
    foci: Array
    contrasts: Array
    inverted: tuple[bool, ...]
    wrong: tuple[str, ...]
    held: Response

    def __str__(self) -> str:
        said = f"focus       {self.defocus:.2f} nm is best for {self.image} of {self.foci[0]:g} to {self.foci[-1]:g} nm"
        turned = [f"{a:g} to {b:g}" if b > a else f"{a:g}" for a, b in self._inverted_spans()]
        return said + (f"; columns are inverted at {', '.join(turned)} nm" if turned else "")

    def _inverted_spans(self) -> list[tuple[float, float]]:
        """First and last of neighbouring foci that invert columns."""
        spans: list[tuple[float, float]] = []
        for place, wrong in enumerate(self.inverted):
            focus = float(self.foci[place])
            if wrong and place and self.inverted[place - 1]:
                spans[-1] = (spans[-1][0], focus)
            elif wrong:
                spans.append((focus, focus))
        return spans

    @property
    def doubt(self) -> str:
        """What is doubtful about it, in one line; "" where nothing is."""
        if self.wrong:
            return f"every focus tried inverts {self.image}; at the best of them {', '.join(self.wrong)}"
        if min(abs(self.defocus - self.foci[0]), abs(self.defocus - self.foci[-1])) < STEP / 2:
            return f"the best focus for {self.image} is at the end of those tried; there may be a better one beyond"
        return ""

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "image": self.image,
            "defocus_nm": self.defocus,
            "contrast": self.contrast,
            "tried_nm": self.foci.tolist(),
            "contrasts": self.contrasts.tolist(),
            "inverted": list(self.inverted),
        }


def best_focus(
    cut: "Specimen",
    potentials: "Iterable[PotentialSlices]",
    image: str = "",
    span: tuple[float, float] | None = None,
    **options: Any,
) -> Focus:
    """The focus at which an image has the largest contrast, among those that do not invert it.

    One propagation holds all foci (`rhotem.scattering.response`).

    Parameters
    ----------
    cut : Specimen
        Its preset gives detectors and lens; the defocus of the preset counts for nothing.
    potentials : iterable of PotentialSlices
        Of `rhotem.analysis.run.potential`.
    image : str
        Name of an image of the preset's detectors; "": the first.
    span : (float, float), optional
        Least and most defocus in nm. None: from above the entrance surface to the exit surface, where third-order
        spherical aberration is balanced.
    **options
        As `rhotem.analysis.responses.response`.

    Raises
    ------
    InputError
        If the preset has no such image, or the span is none.
    """
    name = focused_image(cut.preset.detectors, image)
    microscope = cut.preset.microscope
    least, most = span or usual_span(microscope, 0.1 * float(cut.block.lengths[2]))
    if not least < most:
        raise InputError(f"focus from {least:g} to {most:g} nm: give the least first")
    detectors = summing(cut.preset.detectors)
    coefficients = {k: v for k, v in microscope.coefficients.items() if k[0] == "C" and k != "C10"}
    reach = Range(defocus=(10 * least, 10 * most), aberrations={k: abs(v) for k, v in coefficients.items()})
    held = response(at(cut, least), potentials, detectors=detectors, range=reach, edges=[], **options)
    signs = usual_signs(detectors, microscope)
    scan = Scan.cell(held.extent, microscope)

    def seen(foci: Array) -> Array:
        return held.series(detectors, defocus=10 * foci, scan=scan, dose=None)[name].astype(float)

    foci = np.linspace(least, most, int(np.ceil((most - least) / STEP)) + 1)
    stack = seen(foci)
    contrasts = stack.std(axis=(1, 2))
    turned = [bool(wrong_in(one, name, held, cut, signs)) for one in stack]
    allowed = np.where(turned, -np.inf, contrasts) if not all(turned) else contrasts
    best = int(np.argmax(allowed))
    low, high = foci[max(best - 1, 0)], foci[min(best + 1, len(foci) - 1)]
    close = np.linspace(low, high, int(np.ceil((high - low) / FINE)) + 1)
    fine = seen(close)
    ordered = [
        n for n in np.argsort(-fine.std(axis=(1, 2))) if turned[best] or not wrong_in(fine[n], name, held, cut, signs)
    ]
    chosen = int(ordered[0])
    wrong = wrong_in(fine[chosen], name, held, cut, signs)
    defocus, contrast = float(close[chosen]), float(fine[chosen].std())
    return Focus(name, round(defocus, 4), contrast, foci, contrasts, tuple(turned), tuple(wrong), held)


def wrong_in(image: Array, name: str, held: Response, cut: "Specimen", signs: dict[str, int]) -> list[str]:
    """What is the wrong way round in one image of a response."""
    known = {key: sign for key, sign in signs.items() if key == name}
    return inversions({name: image}, held.extent, cut, known).get(name, [])


def usual_span(microscope: Microscope, thickness: float) -> tuple[float, float]:
    """Least and most defocus in nm that are worth trying for ``thickness`` nm."""
    balance = 0.1 * BALANCED * microscope.coefficients.get("C30", 0.0) * (1e-3 * microscope.convergence) ** 2
    above = BEYOND[0] + BEYOND[1] * thickness
    return float(np.floor(balance - above)), float(np.ceil(balance + thickness))


def at(cut: "Specimen", defocus: float) -> "Specimen":
    """The same specimen with the preset at another defocus (nm)."""
    from dataclasses import replace

    return replace(cut, preset=cut.preset.adjusted(defocus=10 * defocus))
