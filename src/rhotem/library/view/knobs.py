"""Knobs of the page: sliders that end where the response ends, each bound to keys of `ViewSettings`."""

from collections.abc import Callable, Sequence
from typing import Any

from rhotem.library.view.fixed import AnyLimits
from rhotem.library.view.settings import ViewSettings
from rhotem.library.view.toolkit import models

#: Told the settings that a person changed.
Changed = Callable[[dict[str, Any]], None]

#: Names of coefficients as microscopists say them.
COMMON = {
    "C12": "Astigmatism C12",
    "C21": "Coma C21",
    "C23": "Threefold astigmatism C23",
    "C30": "Spherical aberration C30",
    "C32": "Star aberration C32",
    "C34": "Fourfold astigmatism C34",
}
#: Title, step and format of plain sliders by key.
PLAIN = {
    "convergence_mrad": ("Convergence semi-angle (mrad)", 0.1, "0.0"),
    "defocus_nm": ("Defocus (nm), positive is underfocus", 0.1, "0.0"),
    "source_size_A": ("Source size, FWHM (Å)", 0.05, "0.00"),
    "focal_spread_A": ("Focal spread, σ (Å)", 1.0, "0"),
    "field_of_view_A": ("Field of view (Å)", 1.0, "0"),
    "scan_step_A": ("Scan step (Å)", 0.01, "0.00"),
    "scan_rotation_deg": ("Scan rotation (°)", 1.0, "0"),
}
#: Groups of sliders in their order.
GROUPS = {
    "Probe": ("convergence_mrad", "defocus_nm"),
    "Coherence": ("source_size_A", "focal_spread_A"),
    "Scan": ("field_of_view_A", "scan_step_A", "scan_rotation_deg"),
}
#: Doses in e/Å² that the slider steps through.
DOSES = (*(m * 10.0**e for e in range(1, 6) for m in (1, 2, 5)), 1e6)
#: Steps of a slider of an aberration.
STEPS = 100
#: Fraction of a step by which two positions of a slider are the same.
ROUNDING = 1e-6
#: nm of a µm, in which large aberrations are set.
UM = 1e3
#: What the slider of the dose says without one.
NO_DOSE = "none"


class Knobs:
    """The sliders of one entry.

    Parameters
    ----------
    limits : Limits or FixedLimits
    settings : ViewSettings
    changed : callable
        Called with keys and values when a person moves a slider.
    """

    def __init__(self, limits: AnyLimits, settings: ViewSettings, changed: Changed) -> None:
        self.limits, self.changed, self._told = limits, changed, False
        self._placed: list[Any] = []
        self.plain = {key: self._plain(key, getattr(settings, key)) for key in PLAIN}
        depths = [f"{t:.4g}" for t in limits.thicknesses]
        here = limits.thicknesses.index(settings.thickness_nm)
        self.thickness = _listed("Thickness (nm)", depths, depths[here])
        self.thickness.on_change("value", self._on_thickness)
        self.dose = _listed("Dose (e/Å²)", [NO_DOSE, *(f"{d:g}" for d in DOSES)], NO_DOSE)
        self.dose.on_change("value", self._on_dose)
        self.aberrations: dict[str, Any] = {}
        self.units: dict[str, float] = {}  # nm of that of a slider
        for name in limits.aberrations:
            self.aberrations |= self._aberration(name, settings)
        self.inner, self.outer = (
            _listed(f"{end} angle of the detector (mrad)", ["-"], "-") for end in ("Inner", "Outer")
        )
        self.inner.on_change("value", self._on_ring("inner_mrad"))
        self.outer.on_change("value", self._on_ring("outer_mrad"))
        self.show(settings)
        self._placed.clear()  # no browser has them yet

    @property
    def contested(self) -> bool:
        """Whether a slider was moved from here, which its person may have moved on at the same time."""
        return bool(self._placed)

    @property
    def groups(self) -> list[tuple[str, list[Any]]]:
        """Sliders by the name of their group, top to bottom."""
        by_key = {name: [self.plain[key] for key in keys] for name, keys in GROUPS.items()}
        return [
            ("Specimen", [self.thickness]),
            ("Detector", [self.inner, self.outer]),
            ("Probe", [*by_key["Probe"], *self.aberrations.values()]),
            ("Coherence", by_key["Coherence"]),
            ("Scan", [self.dose, *by_key["Scan"]]),
        ]

    def show(self, settings: ViewSettings) -> None:
        """Move sliders that say something else to settings, without telling anyone.

        A slider that says what is set is left alone: its person may be further already, and would lose that.
        """
        self._told = True
        try:
            detector = self.limits.ring(settings)
            inner, outer = (self.limits.inner_edges(settings.image), self.limits.outer_edges(settings.image))
            hole = getattr(detector, "inner", None)
            _relist(self.inner, [f"{e:g}" for e in inner if e < detector.outer], f"{hole or 0.0:g}")
            self._place(self.inner, f"{hole or 0.0:g}")
            _relist(self.outer, [f"{e:g}" for e in outer if hole is None or e > hole], f"{detector.outer:g}")
            self._place(self.outer, f"{detector.outer:g}")
            for key, slider in self.plain.items():
                self._place(slider, getattr(settings, key))
            for name, slider in self.aberrations.items():
                self._place(slider, settings.aberrations.get(name, 0.0) / self.units.get(name, 1.0))
            self._place(self.thickness, f"{settings.thickness_nm:.4g}")
            self._place(self.dose, f"{settings.dose_e_per_A2:g}" if settings.dose_e_per_A2 else NO_DOSE)
        finally:
            self._told = False

    def repeat(self) -> None:
        """Say once more where the sliders stand that were moved from here, for a browser that moved them meanwhile.

        Either side takes the value of the other when both change one at the same time; the last word settles it.
        """
        self._told = True
        try:
            for slider in self._placed:
                slider.trigger("value", slider.value, slider.value)
        finally:
            self._told = False

    def _place(self, slider: Any, value: Any) -> None:
        """Move a slider, unless it is there."""
        here = slider.value
        if here == value or (isinstance(value, float) and abs(here - value) <= ROUNDING * slider.step):
            return
        slider.value = value
        if slider not in self._placed:
            self._placed.append(slider)

    def _plain(self, key: str, value: float) -> Any:
        title, step, form = PLAIN[key]
        least, most = self.limits.spans[key]
        if most <= least:  # fixed: a slider without a way shows what it is
            most = least + step
        slider = models().Slider(title=title, start=least, end=most, step=step, value=value, format=form, name=key)
        slider.disabled = self.limits.spans[key][1] <= least
        slider.on_change("value", lambda attr, old, new: self._tell({key: _clipped(new, self.limits.spans[key])}))
        return slider

    def _aberration(self, name: str, settings: ViewSettings) -> dict[str, Any]:
        """Sliders of size and azimuth; one of both signs where there is no azimuth."""
        most, turns = self.limits.aberrations[name], int(name[2])
        self.units[name], unit = (UM, "µm") if most >= UM else (1.0, "nm")
        least, most = 0.0 if turns else -most / self.units[name], most / self.units[name]
        title = f"{COMMON.get(name, name)} ({unit})"
        step = (most - least) / STEPS
        size = models().Slider(title=title, start=least, end=most, step=step, value=0.0, format="0.00", name=name)
        size.on_change("value", lambda attr, old, new: self._tell_aberration(name, _clipped(new, (least, most))))
        found = {name: size}
        if turns:
            azimuth = f"phi{name[1:]}"
            turned = models().Slider(
                title=f"Azimuth of {name} (°)", start=0, end=360 / turns, step=1, value=0, name=azimuth
            )
            turned.on_change("value", lambda attr, old, new: self._tell_aberration(azimuth, float(new)))
            found[azimuth] = turned
        return found

    def _tell(self, changes: dict[str, Any]) -> None:
        if not self._told:
            self.changed(changes)

    def _tell_aberration(self, name: str, value: float) -> None:
        self._tell({"aberrations": {name: value * self.units.get(name, 1.0)}})

    def _on_thickness(self, attr: str, old: str, new: str) -> None:
        self._tell({"thickness_nm": min(self.limits.thicknesses, key=lambda t: abs(t - float(new)))})

    def _on_dose(self, attr: str, old: str, new: str) -> None:
        self._tell({"dose_e_per_A2": None if new == NO_DOSE else float(new)})

    def _on_ring(self, key: str) -> Callable[[str, str, str], None]:
        return lambda attr, old, new: self._tell({key: float(new)} if new != "-" else {})


def _listed(title: str, values: Sequence[str], value: str) -> Any:
    """A slider over words."""
    alone = len(values) < 2
    return models().CategoricalSlider(title=title, categories=_two(values), value=value, name=title, disabled=alone)


def _relist(slider: Any, values: Sequence[str], value: str) -> None:
    """Other words; a slider with one place is greyed."""
    named = list(values) if value in values else [value]
    slider.update(categories=_two(named), disabled=len(named) < 2)


def _two(values: Sequence[str]) -> list[str]:
    """Sliders have two places at least."""
    return [*values, values[0] + " "] if len(values) == 1 else list(values)


def _clipped(value: float, span: tuple[float, float]) -> float:
    """Sliders round to whole steps, which may end beyond the last one by a little."""
    return min(max(float(value), span[0]), span[1])
