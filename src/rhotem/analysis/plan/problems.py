"""What is wrong with a plan, in words that name the key, the nearest right one, and the line of the file."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from rhotem.analysis.plan.file import Mark

#: Line of every key by its place: ("specimen", "zone", 0).
Lines = Mapping[tuple[str | int, ...], Mark]


#: What pydantic calls the branches of a union.
TYPES = ("int", "str", "float", "bool", "Steps")


class At(ValueError):
    """A value that does not fit to others of a plan; ``where`` is the key to look at."""

    def __init__(self, where: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.where = where


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong; ``where`` is its place in the plan."""

    where: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        name = ".".join(str(part) for part in self.where)
        return f"{name}: {self.message}" if name else self.message

    def line(self, lines: Lines) -> Mark:
        """Line of the innermost key of ``where`` that stands in the file."""
        for length in range(len(self.where), 0, -1):
            if self.where[:length] in lines:
                return lines[self.where[:length]]
        return Mark(1)


def problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """All that pydantic found in a plan or a section, unknown keys with the one that was meant."""
    listed = []
    for item in error.errors():
        where = tuple(item["loc"])
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, At):
            where = cause.where
        if item["type"] == "extra_forbidden":
            message = unknown(where, model)
        elif item["type"] == "missing":
            message = "is missing; give it"
        elif where[:1] == ("series",) and item["type"] in ("model_type", "tuple_type"):
            message = f"{item['input']!r}: give a list of values, [2, 4, 8], or {{from: 2, to: 8, steps: 4}}"
        elif item["type"] == "value_error":
            message = re.sub(r"^Value error, ", "", item["msg"])
        else:
            message = f"{item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}"
        listed.append(Problem(_cut(where, model), message))
    return list(dict.fromkeys(listed))  # every branch of a union says the same


def unknown(where: tuple[str | int, ...], model: type[BaseModel]) -> str:
    """What to say of a key that is not known, at its place in a model."""
    *outer, name = where
    section = _section(tuple(outer), model)
    keys = keys_of(section) if section is not None else []
    nearest = close(str(name), keys)
    if nearest:
        return f"unknown key; did you mean {nearest}?"
    for other, inner in sections_of(model).items():
        if str(name) in keys_of(inner) or close(str(name), keys_of(inner)):
            return f"unknown key here; did you mean {other}.{close(str(name), keys_of(inner))}?"
    return f"unknown key; expected one of {', '.join(keys)}"


def close(name: str, keys: list[str]) -> str | None:
    """The key that a name stands for: the same without its unit, or written nearly so."""
    bare = name.lower()
    for key in keys:
        if key.lower() == bare or key.lower().startswith(f"{bare}_"):
            return key
    trunks = {key.rpartition("_")[0].lower() or key.lower(): key for key in reversed(keys)}
    stem = bare.rpartition("_")[0]
    if stem in trunks:
        return trunks[stem]
    if not bare:
        return None
    match = difflib.get_close_matches(bare, [key.lower() for key in keys], 1, 0.6)
    match = match or difflib.get_close_matches(bare, list(trunks), 1, 0.7)
    return next((key for key in keys if match and match[0] in (key.lower(), key.rpartition("_")[0].lower())), None)


def keys_of(model: type[BaseModel]) -> list[str]:
    """Keys of a section as they are written."""
    return [field.alias or name for name, field in model.model_fields.items()]


def sections_of(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The models that are fields of a model."""
    inner = {}
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                inner[name] = kind
    return inner


def _section(where: tuple[str | int, ...], model: type[BaseModel]) -> type[BaseModel] | None:
    """The model at a place, if one stands there."""
    for part in where:
        inner: Any = sections_of(model).get(str(part))
        if inner is None:
            return None
        model = inner
    return model


def _cut(where: tuple[str | int, ...], model: type[BaseModel]) -> tuple[str | int, ...]:
    """A place without the branches of unions that pydantic tried ("int", "list[...]")."""
    kept: list[str | int] = []
    inner: type[BaseModel] | None = model
    for part in where:
        if kept[:1] == ["series"]:
            if part not in TYPES and "[" not in str(part):
                kept.append(part)  # a key of the series, or of its steps
        elif isinstance(part, int) or inner is None or str(part) in keys_of(inner):
            kept.append(part)
            inner = sections_of(inner).get(str(part)) if inner is not None and not isinstance(part, int) else inner
        elif len(where) == len(kept) + 1 and str(part) not in TYPES and "[" not in str(part):
            kept.append(part)  # an unknown key
    return tuple(kept)
