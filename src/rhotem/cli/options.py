"""Options of the commands that simulate. Those of a run are the keys of its plan: help, unit and limits stand there."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rhotem.analysis.plan.model import Plan
from rhotem.analysis.plan.problems import sections_of
from rhotem.analysis.plan.section import Option, option_of
from rhotem.analysis.plan.sections import COMPUTING, DENSITY, OPTICS, PANEL_OF, PANELS, RECORDING, RESULTS, SPECIMEN
from rhotem.cli.common import amount, with_options
from rhotem.core.output import RECORD

if TYPE_CHECKING:
    from rhotem.analysis.plan.load import Recorded

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


def annotated(place: str) -> Any:
    """The annotation of a parameter that is the option of a key."""
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
    }
    if option.reads is float and option.metavar:
        settings["parser"] = partial(amount, unit=option.metavar)
    names = [option.name, *([option.short] if option.short else [])]
    return Annotated[option.reads | None, typer.Option(*names, **settings)]


def _panel(place: str, option: Option) -> str:
    return option.panel or PANEL_OF[place.partition(".")[0]]


def with_plan_options(
    only: Collection[str] | None = None, without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command options of a plan in place of its parameter ``given``, which gets those used, by place.

    Parameters
    ----------
    only : collection of str, optional
        Places, or sections as a whole. None: all.
    without : collection of str
        Places, or sections as a whole, that mean nothing to the command.
    """
    places = {
        parameter_name(option): place
        for place, option in options().items()
        if (only is None or _among(place, only)) and not _among(place, without)
    }

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shown = [inspect.Parameter(name, kind, default=None, annotation=annotated(place)) for name, place in places.items()]

    def used(values: dict[str, Any]) -> dict[str, Any]:
        by_place = {place: values[name] for name, place in places.items()}
        return {place: value for place, value in by_place.items() if value not in (None, [])}

    return with_options("given", shown, used)


def _among(place: str, places: Collection[str]) -> bool:
    return place in places or place.partition(".")[0] in places


def parameter_name(option: Option) -> str:
    """Name of the parameter of an option."""
    return option.name.partition("/")[0].strip("-").replace("-", "_")


if TYPE_CHECKING:  # what `rhotem structure` gets; at run time the options of the plan's keys
    OrderOption = bool
    AllowOverlapsOption = bool
    VacuumOption = float | None
else:
    OrderOption = annotated("specimen.order")
    AllowOverlapsOption = annotated("specimen.allow_overlaps")
    VacuumOption = annotated("specimen.vacuum_A")

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


def plan_of(structure: str, given: dict[str, Any]) -> Plan:
    """The plan of a structure and options, its source named."""
    from rhotem.density.source import default_source

    # the options together: of two that belong together neither is wrong alone
    plan = Plan(**_sections(given | {"specimen.structure": structure}))
    return plan.changed({"density.source": plan.density.source or default_source()})


def planned(structure: str, given: dict[str, Any]) -> "Recorded":
    """The plan of a structure and options, or that of a file with the options put in; of a record all that it tells."""
    from rhotem.analysis.plan.file import is_document
    from rhotem.analysis.plan.load import Recorded, load_run

    path = Path(structure)
    if path.is_dir() and (path / RECORD).is_file():  # the folder of a result
        path = path / RECORD
    if not is_document(path):
        return Recorded(plan_of(structure, given), path)
    asked = load_run(path)
    if not given:
        return asked
    # a run that is changed is another one: of the old one it keeps the threads
    inputs = {key: value for key, value in asked.inputs.items() if key not in given}
    if "density.source" in given:
        inputs.pop("density.weights", None)
    return replace(asked, plan=asked.plan.changed(given), place="", memory=None, inputs=inputs)


def _sections(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Values by place as sections."""
    sections: dict[str, dict[str, Any]] = {}
    for place, value in given.items():
        name, _, key = place.partition(".")
        sections.setdefault(name, {})[key] = value
    return sections


def ordering(order: bool) -> Literal["auto"] | None:
    """What --order means for `rhotem.structure.read.read_structure`."""
    return "auto" if order else None
