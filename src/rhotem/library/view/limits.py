"""What a response can be asked: the ends of all sliders, and which rings a detector may have."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rhotem.core import InputError
from rhotem.library.view.settings import NM, ViewSettings
from rhotem.microscope.detectors import DetectorBase, angles
from rhotem.microscope.detectors.base import Ring
from rhotem.microscope.instrument import ABERRATIONS, Microscope
from rhotem.microscope.presets import PRESETS
from rhotem.scattering.response import Response

#: Relative slack at the ends, for rounding.
ROUNDING = 1e-6
#: Largest source (FWHM), focal spread and field of view in Å and dose in e/Å² that are offered. A response holds
#: any; these are beyond what an atomic-resolution STEM has.
LARGEST = {"source_size_A": 2.0, "focal_spread_A": 100.0, "field_of_view_A": 60.0, "dose_e_per_A2": 1e6}
#: Least of the same that are not zero, and of the scan step in Å with its largest.
LEAST_FIELD, LEAST_DOSE, STEPS = 5.0, 10.0, (0.05, 0.5)


def free_spans() -> dict[str, tuple[float, float]]:
    """Least and most of what any entry can be asked, by key of `ViewSettings`."""
    return {
        "field_of_view_A": (LEAST_FIELD, LARGEST["field_of_view_A"]),
        "dose_e_per_A2": (LEAST_DOSE, LARGEST["dose_e_per_A2"]),
        "scan_step_A": STEPS,
        "scan_rotation_deg": (-180.0, 180.0),
    }


def start_of(lens: Microscope, image: str, thickness: float, held: Iterable[str] | None = None) -> ViewSettings:
    """Settings of a microscope with its aberrations, those ``held`` (None: all), for an image at a thickness in nm."""
    known = {name: value / NM for name, value in lens.coefficients.items() if name[0] == "C" and name != "C10"}
    within = known if held is None else {name: value for name, value in known.items() if name in held}
    turned = {f"phi{name[1:]}" for name in within} & set(lens.aberrations)
    azimuths = {name: math.degrees(lens.aberrations[name]) for name in turned}
    return ViewSettings(
        image=image,
        thickness_nm=thickness,
        convergence_mrad=lens.convergence,
        defocus_nm=0.0 - lens.coefficients.get("C10", 0.0) / NM,
        aberrations={**within, **azimuths},
        source_size_A=lens.source_size,
        focal_spread_A=lens.focal_spread,
    )


def within(settings: ViewSettings, spans: Mapping[str, tuple[float, float]], thicknesses: Sequence[float]) -> None:
    """Refuse numbers beyond their ends, and a thickness (nm) that is not there, in one line that says what there is.

    Raises
    ------
    InputError
    """
    for key, (least, most) in spans.items():
        value, slack = getattr(settings, key), ROUNDING * max(1.0, most - least)
        if value is not None and not least - slack <= value <= most + slack:
            held = f"between {least:g} and {most:g}" if most > least else f"{least:g} and no other"
            raise InputError(f"{key} {value:g}: {held}")
    if all(abs(settings.thickness_nm - held) > 1e-3 for held in thicknesses):
        listed = ", ".join(f"{held:g}" for held in thicknesses)
        raise InputError(f"thickness_nm {settings.thickness_nm:g}: one of {listed}")


@dataclass(frozen=True, eq=False)
class Limits:
    """Ends of everything that may be set for one response."""

    response: Response

    #: Why knobs stay: none does.
    why = ""

    @cached_property
    def thicknesses(self) -> tuple[float, ...]:
        """Nm."""
        return tuple(round(t / NM, 4) for t in self.response.thicknesses)

    @cached_property
    def spans(self) -> dict[str, tuple[float, float]]:
        """Least and most by key of `ViewSettings`."""
        held, lens = self.response.range, self.response.microscope
        least = held.convergence or lens.convergence
        return {
            "convergence_mrad": (least, lens.convergence),
            "defocus_nm": (held.defocus[0] / NM, held.defocus[1] / NM),
            "source_size_A": (0.0, max(LARGEST["source_size_A"], lens.source_size)),
            "focal_spread_A": (0.0, max(LARGEST["focal_spread_A"], lens.focal_spread)),
            **free_spans(),
        }

    @cached_property
    def aberrations(self) -> dict[str, float]:
        """Largest magnitude in nm of every coefficient that the response holds, in the order of their names."""
        held = self.response.range.aberrations
        return {name: held[name] / NM for name in ABERRATIONS if held.get(name)}

    @cached_property
    def detectors(self) -> dict[str, DetectorBase]:
        """Detectors by the name of an image that they give: those named, then those of presets that are held."""
        named: Iterable[DetectorBase] = self.response.detectors
        preset = (d for p in PRESETS.values() for d in p.detectors if p.mode == "stem" and d.channels())
        found: dict[str, DetectorBase] = {}
        for detector in (*named, *preset):
            if self._holds(detector):
                found |= {name: detector for name in detector.image_names() if name not in found}
        return found

    def ring(self, settings: ViewSettings) -> DetectorBase:
        """The detector of the image that is set, with the ring that is set.

        Raises
        ------
        InputError
            If there is no such image, or the response has no edge there.
        """
        if settings.image not in self.detectors:
            raise InputError(f"image {settings.image!r}: there are {', '.join(self.detectors)}")
        detector = self.detectors[settings.image]
        asked = {"inner": settings.inner_mrad, "outer": settings.outer_mrad}
        changes = {
            key: value for key, value in asked.items() if value is not None and key in type(detector).model_fields
        }
        if not changes or all(getattr(detector, key) == value for key, value in changes.items()):
            return detector
        turned = type(detector)(**(detector.model_dump() | changes))
        if not self._holds(turned):
            raise InputError(f"{settings.image} {angles(turned)}: the response holds no such ring")
        return turned

    def inner_edges(self, image: str) -> tuple[float, ...]:
        """Angles in mrad at which the ring of an image may begin; none where it has no hole."""
        return tuple(sorted({inner for inner, _ in self.rings(image) if inner is not None}))

    def outer_edges(self, image: str) -> tuple[float, ...]:
        """Angles in mrad at which it may end."""
        return tuple(sorted({outer for _, outer in self.rings(image)}))

    def rings(self, image: str) -> frozenset[tuple[float | None, float]]:
        """All pairs of inner (None: without a hole) and outer angle in mrad that the detector of an image may have."""
        detector = self.detectors[image]
        if detector not in self._rings:
            self._rings[detector] = frozenset(self._found(detector))
        return self._rings[detector]

    @cached_property
    def _rings(self) -> dict[DetectorBase, frozenset[tuple[float | None, float]]]:
        return {}

    def _found(self, detector: DetectorBase) -> Iterable[tuple[float | None, float]]:
        if "map" in type(detector).model_fields:  # its sensitivity belongs to its ring
            yield getattr(detector, "inner", None), detector.outer
            return
        edges = self.response.cells.edges_of(isinstance(detector, Ring) and detector.edges == "hard")
        for outer in edges:
            inside: Iterable[float | None] = [None]
            if isinstance(detector, Ring):
                inside = [e for e in (0.0, *edges) if e < outer]
            for inner in inside:
                changes: dict[str, float] = {"outer": outer} | ({} if inner is None else {"inner": inner})
                try:
                    tried = type(detector)(**(detector.model_dump() | changes))
                except InputError:  # a disc where a ring is needed
                    continue
                if self._holds(tried):
                    yield inner, outer

    def _holds(self, detector: DetectorBase) -> bool:
        """Whether all that a detector sums up is there."""
        cells, held = self.response.cells, set(self.response.cells.columns)
        for channel in detector.channels():
            parts = cells.covering(channel.region)
            if parts is None or any((part, channel.function) not in held for part in parts):
                return False
        return True

    def start(self) -> ViewSettings:
        """What the response was made with, at its largest thickness: where the view begins."""
        return start_of(self.response.microscope, next(iter(self.detectors)), self.thicknesses[-1], self.aberrations)

    def check(self, settings: ViewSettings) -> None:
        """Refuse what the response does not hold, in one line that says what it holds.

        Raises
        ------
        InputError
        """
        within(settings, self.spans, self.thicknesses)
        for name, value in settings.aberrations.items():
            if name not in ABERRATIONS:
                raise InputError(f"aberration {name}: not known; there are {', '.join(ABERRATIONS)}")
            held = self.aberrations.get(f"C{name[3:]}" if name.startswith("phi") else name)
            if held is None and value:
                raise InputError(f"aberration {name}: the response holds {', '.join(self.aberrations) or 'none'}")
            if name[0] == "C" and held is not None and abs(value) > held * (1 + ROUNDING):
                raise InputError(f"aberration {name} {value:g} nm: up to {held:g} nm")
        self.ring(settings)
