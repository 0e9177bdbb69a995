"""The seam: whatever makes a density is a `DensitySource`, found by name in a registry."""

import json
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

from rhotem.core import InputError, MissingDependencyError, PeriodicGrid
from rhotem.core.folders import models_folder
from rhotem.density.field import DensityField
from rhotem.structure.model import Structure

#: Entry-point group under which sources register (pyproject.toml); other packages may add theirs.
GROUP = "rhotem.density_sources"


class DensitySource(Protocol):
    """Structure and grid in, deformation density out."""

    def __call__(self, structure: Structure, grid: PeriodicGrid) -> DensityField:
        """Deformation density of ``structure``, smooth part sampled on ``grid`` (same cell).

        A source whose grid is fixed by its data (a file, a DFT run) returns its own finer grid instead.
        """
        ...


def source_names() -> list[str]:
    """Names of the registered sources."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def default_source() -> str:
    """What is taken where no source is named: the learned density."""
    return "model"


def get_source(name: str, /, **options: Any) -> DensitySource:
    """The density source called ``name``: registered, an imported model, or one reading the file ``name``.

    "model:NAME" is the learned density with the weights NAME: shipped ones, a run folder or a file.

    Raises
    ------
    InputError
        If it is none of these.
    """
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return _loaded(entry)(**options)
    kind, _, own = name.partition(":")
    if kind == "model" and own:
        return get_source(kind, **_told_once(name, options, name=own))
    for weights in (Path(name), models_folder() / f"{name}.safetensors"):
        if weights.suffix == ".safetensors" and weights.is_file():
            return get_source(_model_kind(weights), **_told_once(name, options, name=str(weights)))
    if Path(name).exists():
        return get_source("gpaw" if Path(name).suffix == ".gpw" else "file", **_told_once(name, options, path=name))
    raise InputError(
        f"--source {name}: no such source or file; choose one of {', '.join(source_names())}, an imported "
        "model, or a density file"
    )


def _loaded(entry: EntryPoint) -> Any:
    """What is registered; says what to install where a package is missing."""
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        hint = "pip install 'rhotem[training]'" if error.name == "torch" else "install it"
        raise MissingDependencyError(f"--source {entry.name}: needs {error.name}, not installed; {hint}") from error


def is_peer(name: str) -> bool:
    """Whether ``name`` is a published network: imported under that name, or its file."""
    found = [path for path in (Path(name), models_folder() / f"{name}.safetensors") if path.suffix == ".safetensors"]
    return name not in source_names() and any(path.is_file() and _model_kind(path) == "peer" for path in found)


def _told_once(source: str, options: dict[str, Any], **found: str) -> dict[str, Any]:
    """Options together with what the source's name stands for."""
    for option, value in found.items():
        if option in options:
            raise InputError(f"{option}={options[option]!r}: source {source!r} already is {value}; leave {option} out")
    return {**options, **found}


def _model_kind(weights: Path) -> str:
    """The source for weights: "peer" if the JSON beside them names a published architecture, else "model"."""
    try:
        settings = json.loads(weights.with_suffix(".json").read_text()).get("settings", {})
    except (OSError, ValueError, AttributeError):
        return "model"  # which says what is wrong with the files
    return "peer" if "architecture" in settings else "model"
