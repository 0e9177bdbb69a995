"""What images of one lens can be asked: thickness, source, dose and scan; the lens and the detectors stay."""

from dataclasses import dataclass
from functools import cached_property

from rhotem.core import InputError
from rhotem.library.coefficients.model import FixedLens
from rhotem.library.view.limits import LARGEST, Limits, free_spans, start_of, within
from rhotem.library.view.settings import NM, ViewSettings
from rhotem.microscope.detectors import DetectorBase, angles

#: Why most sliders are greyed.
WHY = (
    "Of this entry the images of one lens are kept, as Fourier coefficients: lens and detectors stay, thickness, "
    "source, dose and scan can be set. Entries of rhotem response hold every lens."
)


@dataclass(frozen=True, eq=False)
class FixedLimits:
    """Ends of everything that may be set for images of one lens; all that `Limits` says of a response."""

    response: FixedLens

    #: Why other knobs stay.
    why = WHY

    @cached_property
    def thicknesses(self) -> tuple[float, ...]:
        """Nm."""
        return tuple(round(t / NM, 4) for t in self.response.thicknesses)

    @cached_property
    def spans(self) -> dict[str, tuple[float, float]]:
        """Least and most by key of `ViewSettings`."""
        lens = self.response.microscope
        focus = 0.0 - lens.coefficients.get("C10", 0.0) / NM
        return {
            "convergence_mrad": (lens.convergence, lens.convergence),
            "defocus_nm": (focus, focus),
            "source_size_A": (0.0, max(LARGEST["source_size_A"], lens.source_size)),
            "focal_spread_A": (lens.focal_spread, lens.focal_spread),
            **free_spans(),
        }

    @property
    def aberrations(self) -> dict[str, float]:
        """None can be set."""
        return {}

    @cached_property
    def detectors(self) -> dict[str, DetectorBase]:
        """Detectors by the name of an image that they give."""
        return {name: detector for detector in self.response.detectors for name in detector.image_names()}

    def ring(self, settings: ViewSettings) -> DetectorBase:
        """The detector of the image that is set.

        Raises
        ------
        InputError
            If there is no such image, or another ring is set.
        """
        if settings.image not in self.detectors:
            raise InputError(f"image {settings.image!r}: there are {', '.join(self.detectors)}")
        detector = self.detectors[settings.image]
        asked = {"inner": settings.inner_mrad, "outer": settings.outer_mrad}
        if any(value is not None and value != getattr(detector, key, 0.0) for key, value in asked.items()):
            raise InputError(f"{settings.image}: its ring is {angles(detector)}, these images have no other")
        return detector

    def inner_edges(self, image: str) -> tuple[float, ...]:
        """Where the ring of an image begins; nothing where it has no hole."""
        inner = getattr(self.detectors[image], "inner", None)
        return () if inner is None else (inner,)

    def outer_edges(self, image: str) -> tuple[float, ...]:
        """Where it ends."""
        return (self.detectors[image].outer,)

    def start(self) -> ViewSettings:
        """The lens, at the largest thickness: where the view begins."""
        return start_of(self.response.microscope, next(iter(self.detectors)), self.thicknesses[-1])

    def check(self, settings: ViewSettings) -> None:
        """Refuse what these images do not hold, in one line that says what they hold.

        Raises
        ------
        InputError
        """
        within(settings, self.spans, self.thicknesses)
        held = self.start().aberrations
        other = [
            n for n in held.keys() | settings.aberrations.keys() if held.get(n, 0) != settings.aberrations.get(n, 0)
        ]
        if other:
            raise InputError(f"aberration {', '.join(sorted(other))}: these images are of one lens")
        self.ring(settings)


#: Of whatever an entry holds.
AnyLimits = Limits | FixedLimits
