"""What commands share: every option, defined once; output that is complete or not there; progress; records."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer

from rhotem.core import InputError, Progress, RhoTEMError, silent
from rhotem.core.folders import scratch
from rhotem.core.provenance import versions

#: Name of the record in every output folder, and of its format.
RECORD = "record.json"
RECORD_FORMAT = {"format": "rhotem-record", "format_version": 1}

# -- options --------------------------------------------------------------------------------------------------------


def parse_indices(text: str) -> tuple[int, ...]:
    """Three or four Miller indices from ``1,1,0``, ``1 1 0``, ``[1-10]``, ``110`` or ``[2-1-10]``.

    Without separators every digit is one index. What they mean, and whether they are all zero, is for
    `rhotem.structure` to say: it knows the cell.

    Raises
    ------
    InputError
        If the text is not three or four whole numbers.
    """
    bare = text.strip().strip("[](){}<>⟨⟩").strip()
    pieces = re.split(r"[,;\s]+", bare) if re.search(r"[,;\s]", bare) else re.findall(r"[-+−]?\d", bare)
    together = "".join(pieces)
    whole = all(re.fullmatch(r"[-+−]?\d+", piece) for piece in pieces)
    if not whole or len(pieces) not in (3, 4) or len(together) != len(re.sub(r"[,;\s]", "", bare)):
        raise InputError(f"indices {text!r}: expected three or four whole numbers, such as 1,1,0 or [1-10]")
    return tuple(int(piece.replace("−", "-")) for piece in pieces)


def parse_memory(text: str) -> int:
    """Bytes from ``4GB``, ``500 MB``, ``1.5GiB``.

    Raises
    ------
    InputError
        If there is no unit or the amount is not positive.
    """
    units = {"K": 1, "M": 2, "G": 3, "T": 4}
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT])(I?)B?\s*", text.upper())
    size = int(float(match[1]) * (1024 if match[3] else 1000) ** units[match[2]]) if match else 0
    if size <= 0:
        raise InputError(f"--memory {text}: expected an amount with its unit, such as 4GB or 500MB")
    return size


def parse_valence(text: str) -> dict[str, float]:
    """Electrons by element from ``Li=1,O=6``.

    Raises
    ------
    InputError
        If it is not written so.
    """
    found = re.findall(r"\s*([A-Z][a-z]?)\s*=\s*([0-9]+(?:\.[0-9]*)?)\s*(?:,|$)", text)
    whole = "".join(re.sub(r"\s", "", text)).rstrip(",") == ",".join("=".join(pair) for pair in found)
    if not found or not whole or len(dict(found)) < len(found):
        raise InputError(f"--valence {text}: expected elements and their valence electrons, such as Li=1,O=6")
    return {element: float(number) for element, number in found}


#: Group of options of a density in `--help`.
DENSITY = "Density"

StructureArgument = Annotated[
    str, typer.Argument(metavar="STRUCTURE", help="CIF, POSCAR, xyz, ... or the name of a ready phase.")
]
ChargeOption = Annotated[
    float, typer.Option(metavar="e", help="Total charge of the cell in e; +1: one electron missing.")
]
ValenceOption = Annotated[
    Any,
    typer.Option(
        parser=parse_valence,
        metavar="Li=1,O=6",
        help="Of a density file: valence electrons of its elements.",
        rich_help_panel=DENSITY,
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of everything random; stored in the record.")]
OutFileOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="File to write; its ending says the format.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No plan and no progress.")]
# -- output: complete, or not there ---------------------------------------------------------------------------------


@contextmanager
def output_folder(target: Path) -> Iterator[Path]:
    """A folder to write into that becomes ``target`` when the block ends well, and vanishes when it does not.

    An older result of RhoTEM in ``target`` is replaced; files that it did not write stay where they are.

    Raises
    ------
    InputError
        If ``target`` is a file, or nothing can be written there.
    """
    asked, target = Path(target), Path(os.path.abspath(target))
    if target.exists() and not target.is_dir():
        raise InputError(f"--out {target}: is a file; give a folder")
    with _workplace(target, "--out") as work:
        inside = work / "folder"
        inside.mkdir()
        with _named_as_asked({inside: asked, work: asked.parent}):
            yield inside
        if not target.exists():
            inside.rename(target)
            return
        for name in _recorded_files(target):
            _remove(target / name)
        # The record last: it vouches for the rest.
        for path in sorted(inside.iterdir(), key=lambda path: path.name == RECORD):
            _replace(path, target / path.name)


@contextmanager
def output_file(target: Path) -> Iterator[Path]:
    """A path of the same name to write to that becomes ``target`` when the block ends well; see `output_folder`.

    Whatever else was written beside it moves along: formats of several files.
    """
    asked, target = Path(target), Path(os.path.abspath(target))
    with _workplace(target, "-o") as work:
        with _named_as_asked({work / target.name: asked, work: asked.parent}):
            yield work / target.name
        for path in sorted(work.iterdir()):
            _replace(path, target.parent / path.name)


@contextmanager
def _named_as_asked(names: dict[Path, Path]) -> Iterator[None]:
    """Errors name the places that the user knows, not the temporary ones behind them."""
    try:
        yield
    except (RhoTEMError, OSError) as error:
        error.args = tuple(_replaced(part, names) if isinstance(part, str) else part for part in error.args)
        if isinstance(error, OSError) and isinstance(error.filename, str | Path):
            error.filename = _replaced(str(error.filename), names)
        raise


def _replaced(text: str, names: dict[Path, Path]) -> str:
    for place, asked in names.items():
        text = text.replace(str(place), str(asked))
    return text


@contextmanager
def _workplace(target: Path, option: str) -> Iterator[Path]:
    """A temporary folder on the same disk as ``target``, so that moving is renaming."""
    made = [folder for folder in target.parents if not folder.exists()]
    held = ExitStack()
    try:
        for place in (target, target.parent):
            if place.is_dir() and not os.access(place, os.W_OK):
                raise PermissionError(13, "Permission denied")
        work = held.enter_context(scratch(target))
    except OSError as error:
        raise InputError(
            f"{option} {target}: cannot write there ({error.strerror}); choose a place you can write to"
        ) from error
    try:
        with held:
            yield work
    finally:
        if not target.exists():
            for folder in made:  # innermost first; those that hold anything stay
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()


def _recorded_files(folder: Path) -> list[str]:
    """Names that the record of an older result lists, only those directly in ``folder``."""
    try:
        record = json.loads((folder / RECORD).read_text())
        names = record["files"] if record["format"] == RECORD_FORMAT["format"] else []
        return [n for n in names if isinstance(n, str) and n not in ("", ".", "..") and not {"/", "\\"} & set(n)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _replace(path: Path, target: Path) -> None:
    if path.is_dir() or target.is_dir():
        _remove(target)
    path.replace(target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# -- records --------------------------------------------------------------------------------------------------------


def write_record(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Write ``record.json``: what was done, with what, from what; returns it complete.

    ``record`` is joined with the format, versions, the command line, the time (UTC) and the names of the files in
    ``folder``.
    """
    complete = {
        **RECORD_FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["rhotem", *sys.argv[1:]],
        "versions": versions(),
        **record,
        "files": sorted({path.name for path in folder.iterdir()} | {RECORD}),
    }
    (folder / RECORD).write_text(to_json(complete) + "\n")
    return complete


def to_json(value: Any) -> str:
    """JSON of nested dicts and lists that may hold numpy values and paths; NaN and infinity become null."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        value = value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


# -- progress -------------------------------------------------------------------------------------------------------


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
