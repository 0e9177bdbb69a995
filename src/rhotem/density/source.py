"""The seam: whatever makes a density is a `DensitySource`, found by name in a registry."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rhotem.core import InputError, MissingDependencyError, PeriodicGrid
from rhotem.core.folders import models_folder
from rhotem.core.registry import registered
from rhotem.density.field import DensityField
from rhotem.density.stream import StreamedDensity
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


@runtime_checkable
class PlaneSource(Protocol):
    """A source that can also give its density plane by plane."""

    def planes(self, structure: Structure, spacing: float) -> StreamedDensity:
        """Deformation density of ``structure`` on a grid with steps of at most ``spacing`` (Å)."""
        ...


def source_names() -> list[str]:
    """Names of the registered sources."""
    return list(registered(GROUP))


def default_source() -> str:
    """What is taken where no source is named: the learned density."""
    return "model"


def source_kind(name: str) -> str:
    """The registered name that stands behind a source: "model" for other weights, "peer", "file", "gpaw"; "" if none.

    "model:NAME" is the learned density with the weights NAME: shipped ones, a run folder or a file.
    """
    return _behind(name)[0]


def _behind(name: str) -> tuple[str, dict[str, str]]:
    """The registered name behind a source, and the option that the rest of the name stands for."""
    if name in source_names():
        return name, {}
    kind, _, rest = name.partition(":")
    if kind == "model" and rest:
        return kind, {"name": rest}
    for weights in (Path(name), models_folder() / f"{name}.safetensors"):
        if weights.suffix == ".safetensors" and weights.is_file():
            return _model_kind(weights), {"name": str(weights)}
    if name and Path(name).exists():
        return ("gpaw" if Path(name).suffix == ".gpw" else "file"), {"path": name}
    return "", {}


def source_class(name: str) -> Any:
    """The class, or factory, of the source called ``name``: it shows what the source can and which options it takes.

    Raises
    ------
    InputError
        If there is no such source.
    """
    kind = source_kind(name)
    if kind in registered(GROUP):
        return _loaded(registered(GROUP)[kind])
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


def get_source(name: str, /, **options: Any) -> DensitySource:
    """The density source called ``name``: registered, an imported model, or one reading the file ``name``.

    "model:NAME" is the learned density with the weights NAME: shipped ones, a run folder or a file.

    Raises
    ------
    InputError
        If it is none of these.
    """
    source: DensitySource = source_class(name)(**_told_once(name, options, **_behind(name)[1]))
    return source


def is_density_file(name: str) -> bool:
    """Whether a source is a file, or folder, that holds one density, of one cell."""
    return name not in source_names() and source_kind(name) in ("file", "gpaw")


def is_peer(name: str) -> bool:
    """Whether ``name`` is a published network: imported under that name, or its file."""
    return name not in source_names() and source_kind(name) == "peer"


def has_planes(name: str) -> bool:
    """Whether a source may give a density plane by plane (`PlaneSource`), for what is larger than memory."""
    return hasattr(source_class(name), "planes")


def by_planes(source: DensitySource, structure: Structure, spacing: float) -> StreamedDensity:
    """Density of a structure plane by plane, on a grid with steps of at most ``spacing`` (Å).

    Raises
    ------
    InputError
        If the source gives none.
    """
    if not isinstance(source, PlaneSource):
        raise InputError(f"density source {type(source).__name__}: gives no density plane by plane")
    return source.planes(structure, spacing)


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
