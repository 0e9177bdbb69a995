"""Paths in plans: relative to the working directory in memory, to the folder of the file in a file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rhotem.density.source import source_names

#: Keys that hold a path, or a name that may be one.
PATHS = (
    ("specimen", "structure"),
    ("motion", "frames"),
    ("density", "source"),
    ("density", "gpaw_cache"),
    ("microscope", "instrument"),
)


def with_paths(data: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Keys and values of a plan, right or not, with every path replaced; others as they are."""
    result = dict(data)
    for section, key in PATHS:
        inside = result.get(section)
        if isinstance(inside, dict) and isinstance(inside.get(key), str):
            result[section] = {**inside, key: change(inside[key])}
    series = result.get("series")
    if isinstance(series, dict):
        held = {name: name.rpartition(".")[2] in {key for _, key in PATHS} for name in map(str, series)}
        result["series"] = {
            name: [change(value) if isinstance(value, str) else value for value in values]
            if held.get(str(name)) and isinstance(values, list | tuple)
            else values
            for name, values in series.items()
        }
    return result


def from_folder(name: str, folder: Path) -> str:
    """A path of a plan's file, seen from the working directory; names of phases and sources stay."""
    kind, colon, weights = name.partition(":")
    if colon and kind in source_names():
        return f"{kind}:{from_folder(weights, folder)}" if _there(weights, folder) else name
    if Path(name).is_absolute() or name in source_names():
        return name
    looks_like_one = "/" in name or os.sep in name or bool(Path(name).suffix)
    return os.path.normpath(folder / name) if _there(name, folder) or looks_like_one else name


def to_folder(name: str, folder: Path) -> str:
    """A path of the working directory as a file in ``folder`` has it; absolute where they share nothing."""
    kind, colon, weights = name.partition(":")
    if colon and kind in source_names():
        return f"{kind}:{to_folder(weights, folder)}" if Path(weights).exists() else name
    if name in source_names() or not (Path(name).exists() or "/" in name or os.sep in name or Path(name).suffix):
        return name
    here, there = os.path.abspath(name), os.path.abspath(folder)
    try:
        shared = os.path.commonpath([here, there])
    except ValueError:  # on different disks
        return here
    return os.path.relpath(here, there) if shared != os.path.abspath(os.sep) else here


def _there(name: str, folder: Path) -> bool:
    return bool(name) and (folder / name).exists()
