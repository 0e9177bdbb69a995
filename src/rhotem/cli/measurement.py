"""Options of the commands that take a measured file: what the file lacks (rhotem.experiment.read.stated)."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from rhotem.cli.common import amount, with_options
from rhotem.core import InputError
from rhotem.experiment.read.stated import OPTIONS, Option, Stated

#: Heading of these options in `--help`.
PANEL = "What the file does not say"

MeasurementArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="dm3, dm4, emd, ser, emi, mib, EMPAD xml or raw, mrc, hspy, tif, png, jpg, npy."
    ),
]


#: Kinds as they are typed.
KINDS = {"image": "image", "stack": "image stack", "image stack": "image stack", "pattern": "pattern", "4D": "4D"}
#: What an option of a field is on the command line; text for those that are read below, a number else.
_TYPES: dict[str, Any] = {"kind": str, "dataset": str, "scan": str, "counts": bool, "flip": bool}


def with_measurement_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for every field of `Stated` in place of its parameter ``stated``."""

    def stated(said: dict[str, Any]) -> Stated:
        return Stated(**said | {"kind": _kind(said["kind"]), "scan": _scan(said["scan"])})

    return with_options("stated", [_parameter(key, option) for key, option in OPTIONS.items()], stated)(command)


def _parameter(key: str, option: Option) -> inspect.Parameter:
    kind = _TYPES.get(key, float)
    settings: dict[str, Any] = {"help": option.about, "rich_help_panel": PANEL, "show_default": False}
    if option.metavar:
        settings["metavar"] = option.metavar
        if kind is float:
            settings["parser"] = partial(amount, unit=option.metavar)
    default = False if key == "flip" else None
    wanted: Any = kind | None if default is None else kind
    annotation = Annotated[wanted, typer.Option(option.name, **settings)]
    return inspect.Parameter(key, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)


def _kind(text: str | None) -> str | None:
    if text is None:
        return None
    names = {name.lower(): kind for name, kind in KINDS.items()}
    if text.lower() not in names:
        raise InputError(f"--kind {text}: expected image, stack, pattern or 4D")
    return names[text.lower()]


def _scan(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        rows, columns = (int(part) for part in text.split(","))
        if min(rows, columns) < 1:
            raise ValueError
    except ValueError:
        raise InputError(f"--scan {text}: expected rows and columns of the scan, as 256,256") from None
    return rows, columns
