"""Output that is complete or not there, and the record that says what it was made from."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rhotem.core.errors import InputError, RhoTEMError
from rhotem.core.folders import LOCK, alone
from rhotem.core.provenance import versions

#: Name of the record in every output folder, and of its format. Version 2 holds the plan of a run.
RECORD = "record.json"
RECORD_FORMAT = {"format": "rhotem-record", "format_version": 2}


@contextmanager
def output_folder(target: Path) -> Iterator[Path]:
    """A folder to write into that becomes ``target`` when the block ends well, and vanishes when it does not.

    An older result of RhoTEM in ``target`` is replaced; files that it did not write stay where they are.

    Raises
    ------
    InputError
        If ``target`` is a file, nothing can be written there, or another run is at it.
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
        for path in sorted(path for path in work.iterdir() if path.name != LOCK):
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
        work = held.enter_context(alone(target))
    except BlockingIOError:
        raise InputError(f"{option} {target}: another run is writing there; wait for it or give another name") from None
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


def write_record(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Write ``record.json``: what was done, with what, from what; returns it complete.

    ``record`` is joined with the format, versions, the time (UTC) and the names of the files in ``folder``.
    """
    complete = {
        **RECORD_FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        **record,
        "files": sorted({path.name for path in folder.iterdir()} | {RECORD}),
    }
    (folder / RECORD).write_text(to_json(complete) + "\n")
    return complete


def to_json(value: Any) -> str:
    """JSON of nested dicts and lists that may hold numpy values and paths; NaN and infinity become null."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Nested dicts and lists of plain Python values: numpy's become lists and numbers, NaN and infinity None."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        value = value.tolist()
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
