"""`Plan`: one run as data, from the structure to the recorded images."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from rhotem.analysis.optics import Optics, adjusted_preset
from rhotem.analysis.plan.checks import CHECKS
from rhotem.analysis.plan.problems import close, keys_of, sections_of
from rhotem.analysis.plan.section import At, Section
from rhotem.analysis.plan.sections import (
    ComputingSection,
    DensitySection,
    MicroscopeSection,
    MotionSection,
    RecordingSection,
    SpecimenSection,
)
from rhotem.analysis.plan.series import Steps, combinations, values_of
from rhotem.core import InputError, RhoTEMError
from rhotem.core.words import parse_memory, parse_phonons
from rhotem.microscope.presets import Preset

#: Version of the format of plans.
FORMAT = 1
#: Letters of the longest folder's name.
LONGEST = 120
#: Keys of which one stands for the other.
EITHER = {"specimen.zone": "specimen.plane", "specimen.plane": "specimen.zone"}


def _version(value: Any) -> Any:
    if value != FORMAT or isinstance(value, bool):
        raise ValueError(f"format {value!r}: this version of RhoTEM reads plans of format {FORMAT}")
    return value


def _not_empty(value: Any) -> Any:
    for name, values in value.items():
        if not values_of(values):
            raise At(("series", name), "no values; give a list, or from, to and steps")
    return value


class Plan(Section):
    """One run as data: what `rhotem image` does, and `rhotem.run` in Python.

    Frozen; `changed` makes another one. Keys that are not given have the values of the command line's defaults.
    Relative paths of a `Plan` refer to the working directory, those of a file to the folder that it lies in.
    """

    rhotem: Annotated[int, BeforeValidator(_version)] = Field(FORMAT, description="Version of this format.")
    specimen: SpecimenSection
    motion: MotionSection = Field(default_factory=MotionSection, description="How the atoms move.")
    density: DensitySection = Field(default_factory=DensitySection, description="Where the density comes from.")
    microscope: MicroscopeSection = Field(default_factory=MicroscopeSection, description="The instrument.")
    recording: RecordingSection = Field(default_factory=RecordingSection, description="What is recorded.")
    computing: ComputingSection = Field(default_factory=ComputingSection, description="How it is computed.")
    series: Annotated[dict[str, Steps | tuple[Any, ...]], AfterValidator(_not_empty)] = Field(
        default_factory=dict,
        description="Keys of the sections, each with a list of values or {from, to, steps}: one run for every "
        "combination.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse keys that contradict each other, and values of a series that cannot be."""
        for where, check in CHECKS:
            try:
                check(self)
            except RhoTEMError as error:
                raise At(where, str(error)) from None
        seen: dict[str, str] = {}
        for name, values in self.series.items():
            try:
                place = ".".join(place_of(name))
                if place in seen:  # one of the two would win without a word
                    raise InputError(f"the same key as {seen[place]}; give its values once")
                seen[place] = name
                for value in values_of(values):
                    self.changed({place: value}, series={})
            except RhoTEMError as error:
                raise At(("series", name), str(error)) from None
        return self

    def changed(self, changes: dict[str, Any] | None = None, /, **more: Any) -> "Plan":
        """Another plan with some keys replaced: ``plan.changed(thickness_nm=5.0, zone=(1, 1, 0))``.

        Parameters
        ----------
        changes : dict, optional
            By place, "specimen.zone", or by key; None: the default.
        **more
            By key; sections as a whole, ``series=...``, too. A zone given here replaces a plane, and the other way
            round.

        Raises
        ------
        InputError
            If a key is not known, or a value cannot be.
        """
        data = self.model_dump(by_alias=True)
        given = {".".join(place_of(name)): value for name, value in {**(changes or {}), **more}.items()}
        for place, value in given.items():
            if value is not None and place in EITHER and EITHER[place] not in given:
                data["specimen"][EITHER[place].partition(".")[2]] = None
            section, _, key = place.partition(".")
            inner, name = (data[section], key) if key else (data, section)
            if value is None:
                inner.pop(name, None)
            else:
                inner[name] = value
        return Plan(**data)

    def preset(self) -> Preset:
        """Microscope and detectors."""
        return adjusted_preset(self.microscope.preset, **self.optics())

    def optics(self) -> Optics:
        """What differs from the preset, as `rhotem.analysis.optics.adjusted_preset` takes it."""
        m, r = self.microscope, self.recording
        return {
            "instrument": m.instrument,
            "alignment": m.alignment,
            "without": m.without,
            "scan_step": r.scan_step_A,
            "energy": m.energy_keV,
            "convergence": m.convergence_mrad,
            "defocus": None if isinstance(m.defocus_nm, str) else m.defocus_nm,
            "cs": m.cs_mm,
            "aberrations": m.aberrations,
            "tilt": m.tilt_mrad,
            "source_size": m.source_size_A,
            "focal_spread": m.focal_spread_A,
            "objective": m.objective_mrad,
            "precession": m.precession_mrad,
            "detectors": m.detectors,
            "dose": r.dose_e_per_A2,
            "camera_step": r.camera_step_mrad,
        }

    @property
    def best(self) -> str | None:
        """Image whose contrast the focus makes largest, "" for the first one; None: the focus is given."""
        return self.microscope.defocus_nm.partition(":")[2] if isinstance(self.microscope.defocus_nm, str) else None

    @property
    def memory(self) -> int | None:
        """Bytes allowed, or None."""
        return None if self.computing.memory is None else parse_memory(self.computing.memory)

    @property
    def precision(self) -> float | None:
        """Error by thermal motion asked for instead of a number of configurations, as a fraction of the range."""
        read = None if self.motion.phonons is None else parse_phonons(str(self.motion.phonons))
        return read if isinstance(read, float) else None

    def data(self, *, full: bool = False) -> dict[str, Any]:
        """The plan as nested dicts, JSON-ready; without ``full`` only what differs from the defaults."""
        data = self.model_dump(mode="json", by_alias=True, exclude_defaults=not full)
        return {"rhotem": self.rhotem, **{key: value for key, value in data.items() if value or full}}

    def runs(self) -> Iterator[tuple[str, "Plan"]]:
        """The single plans of a series, each with a name for its folder; one without a name where there is none."""
        if not self.series:
            yield "", self
            return
        rows = combinations(self.series)
        names = [",".join(f"{place_of(key)[-1]}={_short(value)}" for key, value in row.items()) for row in rows]
        for number, (name, row) in enumerate(zip(names, rows, strict=True), start=1):
            unique = name if names.count(name) == 1 and len(name) <= LONGEST else f"{name[:LONGEST]}-{number}"
            yield unique, self.changed({".".join(place_of(key)): value for key, value in row.items()}, series={})

    def at(self, change: Callable[[str], str]) -> "Plan":
        """The same plan with every path replaced."""
        changes = {
            f"{section}.{key}": change(getattr(getattr(self, section), key))
            for section, key in PATHS
            if getattr(getattr(self, section), key) is not None
        }
        new = self.changed(changes) if changes else self
        paths = [key for key in self.series if place_of(key) in PATHS]
        folders = {key: tuple(change(v) for v in values_of(self.series[key])) for key in paths}
        return new.changed(series={**new.model_dump(by_alias=True)["series"], **folders}) if folders else new

    def save(self, path: str | Path, *, full: bool = False) -> None:
        """Write the plan as YAML, or as JSON if the name ends so; its relative paths refer to the file's folder."""
        from rhotem.analysis.plan.load import save_plan

        save_plan(self, Path(path), full=full)


#: Keys that hold a path, or a name that may be one.
PATHS = (
    ("specimen", "structure"),
    ("motion", "frames"),
    ("density", "source"),
    ("density", "gpaw_cache"),
    ("microscope", "instrument"),
)


def place_of(name: str) -> tuple[str, ...]:
    """Section and key of "thickness_nm" or "specimen.thickness_nm"; a section alone stays one.

    Raises
    ------
    InputError
        If there is no such key; with the one that was meant.
    """
    sections, (section, _, key) = sections_of(Plan), name.partition(".")
    if not key and (name in sections or name in Plan.model_fields):
        return (name,)
    if key and section in sections:
        if key in keys_of(sections[section]):
            return section, key
        meant = close(key, keys_of(sections[section]))
        raise InputError(f"unknown key {name}" + (f"; did you mean {section}.{meant}?" if meant else ""))
    places = [(s, name) for s, model in sections.items() if name in keys_of(model)]
    if places:
        return places[0]
    meant = next((f"{s}.{k}" for s, model in sections.items() if (k := close(key or name, keys_of(model)))), None)
    raise InputError(f"unknown key {name}" + (f"; did you mean {meant}?" if meant else ""))


def _short(value: Any) -> str:
    """A value as part of a folder's name."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return "_".join(_short(v) for v in value)
    return "".join(c if c.isalnum() or c in "._-+" else "_" for c in Path(str(value)).name)
