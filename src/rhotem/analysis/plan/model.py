"""`Plan`: one run as data, from the structure to the recorded images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from rhotem.analysis.plan.checks import CHECKS
from rhotem.analysis.plan.contents import Contents
from rhotem.analysis.plan.file import write_document
from rhotem.analysis.plan.paths import to_folder, with_paths
from rhotem.analysis.plan.problems import At, close, keys_of, sections_of
from rhotem.analysis.plan.series import combinations, values_of
from rhotem.core import InputError, RhoTEMError

#: Letters of the longest folder's name.
LONGEST = 120
#: Keys of which one stands for the other.
EITHER = {"specimen.zone": "specimen.plane", "specimen.plane": "specimen.zone"}


class Plan(Contents):
    """One run as data: what `rhotem image` does, and `rhotem.run` in Python.

    Frozen; `changed` makes another one. Keys that are not given have the values of the command line's defaults.
    Relative paths of a `Plan` refer to the working directory, those of a file to the folder that it lies in.
    """

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

    def written(self, folder: Path, *, full: bool = False) -> dict[str, Any]:
        """The plan's `data` as it stands in a file in ``folder``: its paths refer to that."""
        return with_paths(self.data(full=full), lambda name: to_folder(name, folder))

    def save(self, path: str | Path, *, full: bool = False) -> None:
        """Write the plan as YAML, or as JSON if the name ends so; its relative paths refer to the file's folder."""
        path = Path(path)
        write_document(self.written(path.parent, full=full), path)


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
