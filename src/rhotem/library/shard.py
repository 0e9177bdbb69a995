"""Folders of entries: whole or not there, with a checksum of every file."""

import hashlib
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any
from uuid import uuid4

from rhotem.core import InputError
from rhotem.core.provenance import file_sha256
from rhotem.library.layout import CHECKSUMS, DESCRIPTION, INCOMING, entry_folder, write_json

#: What a damaged JSON file may raise, wherever its content is used: no key, another type, brackets without end.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class ShardError(InputError):
    """A folder that is no whole entry."""


def new_shard(library: Path, identifier: str) -> Path:
    """An empty folder for an entry that this process writes."""
    name = f"{identifier}-{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
    folder = library / INCOMING / name
    folder.mkdir(parents=True)
    return folder


def seal(folder: Path) -> int:
    """Write the checksums of all files, last of all; returns the bytes."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != CHECKSUMS)
    sizes = sum(path.stat().st_size for path in paths)
    sums = {path.relative_to(folder).as_posix(): file_sha256(path) for path in paths}
    write_json(folder / CHECKSUMS, {"bytes": sizes, "sha256": sums})
    return sizes


def is_sealed(folder: Path) -> bool:
    """Whether its last file is there."""
    return (folder / CHECKSUMS).is_file()


def read_shard(folder: Path) -> dict[str, Any]:
    """The description of a whole entry, with the size and checksum that the catalogue keeps.

    Raises
    ------
    ShardError
        If a file is missing or differs from what was written; the message names it.
    InputError
        If it may not be read.
    """
    try:
        text = (folder / CHECKSUMS).read_bytes()
        sums = json.loads(text)
        for name, expected in sums["sha256"].items():
            if file_sha256(folder / name) != expected:
                raise ShardError(f"{folder.name}: {name} differs from what was written")
        said = json.loads((folder / DESCRIPTION).read_text("utf-8"))
        identifier = str(said["entry"]["id"])
        entry = {**said["entry"], "bytes": int(sums["bytes"]), "checksum": hashlib.sha256(text).hexdigest()}
    except FileNotFoundError as error:
        raise ShardError(f"{folder.name}: {Path(str(error.filename)).name} is missing") from None
    except PermissionError as error:  # another user's: neither damaged nor lost
        raise InputError(f"{error.filename}: cannot be read; have its permissions changed") from None
    except UNREADABLE as error:
        raise ShardError(f"{folder.name}: not readable ({type(error).__name__})") from None
    if folder.name.partition("-")[0] != identifier:
        raise ShardError(f"{folder.name}: holds the entry {identifier}")
    return {**said, "entry": {**entry, "state": "good"}}


def settle(library: Path, shard: Path, identifier: str) -> Path:
    """Move a whole shard to its place, instead of what may lie there."""
    target = library / entry_folder(identifier)
    target.parent.mkdir(parents=True, exist_ok=True)
    _share(library, [target.parent, shard, *shard.rglob("*")])
    if target.exists():
        shutil.rmtree(target)
    os.replace(shard, target)
    return target


def _share(library: Path, paths: list[Path]) -> None:
    """Let whoever may read or write the library do so with what this process wrote, whatever its umask."""
    shared = library.stat().st_mode & 0o077
    for path in paths:
        here = path.stat()
        wanted = here.st_mode | (shared if path.is_dir() else shared & 0o066)
        if wanted != here.st_mode and here.st_uid == os.geteuid():
            path.chmod(wanted)
