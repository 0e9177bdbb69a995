"""Options of the commands that simulate. Those of a run are the keys of its plan: help, unit and limits stand there."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rhotem.analysis import PHONONS
from rhotem.analysis.plan.model import Plan
from rhotem.analysis.plan.problems import sections_of
from rhotem.analysis.plan.section import Option, option_of
from rhotem.analysis.plan.sections import COMPUTING, DENSITY, OPTICS, PANEL_OF, PANELS, RECORDING, RESULTS, SPECIMEN
from rhotem.core.words import parse_indices, parse_memory, parse_msd, parse_valence

__all__ = ["COMPUTING", "DENSITY", "OPTICS", "PANELS", "RECORDING", "RESULTS", "SPECIMEN"]


def options() -> dict[str, Option]:
    """The options of a plan's keys by place, "specimen.thickness_nm", in the order of the groups of `--help`."""
    listed = {
        f"{name}.{key}": option
        for name, section in sections_of(Plan).items()
        for key in section.model_fields
        if (option := option_of(section, key)) is not None
    }
    return dict(sorted(listed.items(), key=lambda item: PANELS.index(_panel(item[0], item[1]))))


def annotated(place: str, parser: Callable[[str], Any] | None = None, **changes: Any) -> Any:
    """The annotation of a parameter that is the option of a key; ``parser`` reads its text, ``changes`` go to typer."""
    name, _, key = place.partition(".")
    section = sections_of(Plan)[name]
    option = option_of(section, key)
    assert option is not None, place
    settings: dict[str, Any] = {
        "help": section.model_fields[key].description,
        "metavar": option.metavar,
        "show_default": option.shown,
        "rich_help_panel": _panel(place, option),
        "min": option.least,
        "parser": parser,
    }
    names = [option.name, *([option.short] if option.short else [])]
    reads = Any if parser is not None else option.reads | None
    return Annotated[reads, typer.Option(*names, **settings | changes)]


def _panel(place: str, option: Option) -> str:
    return option.panel or PANEL_OF[place.partition(".")[0]]


def with_plan_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command with every option of a plan in place of its parameter ``given``, which gets those used, by place."""
    parameters = {parameter_name(option): place for place, option in options().items()}
    shown = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name != "given":
            shown.append(parameter)
            continue
        for name, place in parameters.items():
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            shown.append(inspect.Parameter(name, kind, default=None, annotation=annotated(place)))

    @wraps(command)
    def filled(**values: Any) -> None:
        given = {place: values.pop(name) for name, place in parameters.items()}
        command(given={place: value for place, value in given.items() if value not in (None, [])}, **values)

    filled.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]  # typer reads it
    filled.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return filled


def parameter_name(option: Option) -> str:
    """Name of the parameter of an option."""
    return option.name.partition("/")[0].strip("-").replace("-", "_")


if TYPE_CHECKING:  # what commands get; at run time the option of the plan's key
    ZoneOption = Any
    PlaneOption = Any
    MsdOption = Any
    ValenceOption = Any
    MemoryOption = int | None
    OrderOption = bool
    AllowOverlapsOption = bool
    KeepCellOption = bool
    AllowPolarOption = bool
    CorrectCountOption = bool
    VacuumOption = float | None
    ThicknessOption = float | None
    TemperatureOption = float | None
    DensityChargeOption = float | None
    SliceOption = float | None
    FramesOption = str | None
    GpawCacheOption = str | None
    SchedulerOption = str | None
    SourceOption = str
    PresetOption = str
    SimulationSeedOption = int
    ZoneBasisOption = Literal["conventional", "input"]
    FileKindOption = Literal["deformation", "valence", "pseudo-valence", "total"] | None
    AlgorithmOption = Literal["auto", "bloch", "prism", "multislice"]
else:
    ZoneOption = annotated("specimen.zone", parse_indices)
    PlaneOption = annotated("specimen.plane", parse_indices)
    MsdOption = annotated("motion.msd_A2", parse_msd)
    ValenceOption = annotated("density.valence_e", parse_valence)
    MemoryOption = annotated("computing.memory", parse_memory)
    OrderOption = annotated("specimen.order")
    AllowOverlapsOption = annotated("specimen.allow_overlaps")
    KeepCellOption = annotated("specimen.keep_cell")
    AllowPolarOption = annotated("density.allow_polar")
    CorrectCountOption = annotated("density.correct_count")
    VacuumOption = annotated("specimen.vacuum_A")
    ThicknessOption = annotated("specimen.thickness_nm")
    TemperatureOption = annotated("motion.temperature_K")
    DensityChargeOption = annotated("density.charge_e")
    SliceOption = annotated("computing.slice_thickness_A")
    FramesOption = annotated("motion.frames")
    GpawCacheOption = annotated("density.gpaw_cache")
    SchedulerOption = annotated("computing.scheduler")
    PresetOption = annotated("microscope.preset")
    SimulationSeedOption = annotated("computing.seed")
    ZoneBasisOption = annotated("specimen.zone_basis")
    FileKindOption = annotated("density.file_kind")
    AlgorithmOption = annotated("computing.algorithm")
    SourceOption = annotated("density.source", callback=lambda given: _source(given))

PhononsOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Frozen-phonon configurations; 0: atoms at rest, no TDS.",
        show_default=f"{PHONONS}; with --frames all of them",
        rich_help_panel=SPECIMEN,
    ),
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder for the results.", rich_help_panel=RESULTS)
]
SavePlanOption = Annotated[
    Path | None,
    typer.Option(
        "--save-plan",
        metavar="FILE",
        help="Also write the plan, .yaml or .json: `rhotem image FILE` does the same again.",
        rich_help_panel=RESULTS,
    ),
]
SimulationQuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No plan and no progress.", rich_help_panel=RESULTS)
]


def _source(given: str | None) -> str:
    """The source asked for, or the best there is without asking for hours of DFT."""
    from rhotem.density.source import default_source

    return given or default_source()


def ordering(order: bool) -> Literal["auto"] | None:
    """What --order means for `rhotem.structure.read.read_structure`."""
    return "auto" if order else None
