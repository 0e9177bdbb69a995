"""What commands share: every option, defined once; output that is complete or not there; progress; records."""

import inspect
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.core import Progress, output, silent
from rhotem.core.errors import RhoTEMError
from rhotem.core.output import output_file, output_folder, to_json
from rhotem.core.words import parse_amount, parse_indices, parse_memory, parse_valence

if TYPE_CHECKING:
    from rhotem.analysis.voice import Voice

__all__ = [
    "JsonOption",
    "OutFileOption",
    "ProgressBar",
    "QuietOption",
    "StructureArgument",
    "amount",
    "command_line",
    "output_file",
    "output_folder",
    "parse_indices",
    "parse_memory",
    "parse_valence",
    "to_json",
    "voice",
    "with_options",
    "write_record",
]

# -- options --------------------------------------------------------------------------------------------------------


StructureArgument = Annotated[
    str, typer.Argument(metavar="STRUCTURE", help="CIF, POSCAR, xyz, ... or the name of a ready phase.")
]
ChargeOption = Annotated[
    float, typer.Option(metavar="e", help="Total charge of the cell in e; +1: one electron missing.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of everything random; stored in the record.")]
OutFileOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="File to write; its ending says the format.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No plan and no progress.")]


def amount(text: str | float, unit: str) -> float:
    """`parse_amount` as typer calls it: a number that is none is wrong usage."""
    try:
        return parse_amount(str(text), unit)
    except RhoTEMError as error:
        raise typer.BadParameter(str(error)) from None


def write_record(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """`rhotem.core.output.write_record` with the command line."""
    return output.write_record(folder, {"command": command_line(), **record})


def command_line() -> list[str]:
    """How this process was called."""
    return ["rhotem", *sys.argv[1:]]


# -- progress -------------------------------------------------------------------------------------------------------


def voice(quiet: bool, progress: Progress = silent, err: bool = False) -> "Voice":
    """A `rhotem.analysis.voice.Voice` on the console: plans and notes unless quiet, warnings always on stderr."""
    from rhotem.analysis.voice import Voice

    def tell(text: str) -> None:
        if not quiet:
            typer.echo(text, err=err)

    return Voice(tell, lambda text: typer.echo(f"warning: {text}", err=True), progress)


class ProgressBar:
    """A `rhotem.core.Progress` drawn on stderr, one bar per stage; nothing where stderr is no terminal.

    ``with ProgressBar() as progress: work(..., progress=progress)``
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet or not sys.stderr.isatty()
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Progress:
        if self._quiet:
            return silent
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._bar = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        return self._update

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _update(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=total)
        self._bar.update(self._tasks[stage], completed=done, total=total)


def with_options(
    name: str, options: Sequence[inspect.Parameter], made: Callable[[dict[str, Any]], Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command ``options`` in place of its parameter ``name``, which gets what is ``made`` of their values."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        shown: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            shown += options if parameter.name == name else [parameter]

        @wraps(command)
        def filled(**values: Any) -> None:
            said = {option.name: values.pop(option.name) for option in options}
            command(**{name: made(said)}, **values)

        filled.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]  # typer reads it
        filled.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
        return filled

    return decorate
