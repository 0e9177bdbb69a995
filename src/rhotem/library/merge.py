"""Entries of one library copied into another."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

from rhotem.core import InputError, Progress, silent
from rhotem.library.catalogue.catalogue import NoEntryError
from rhotem.library.hold import hold
from rhotem.library.layout import entry_folder
from rhotem.library.repair import folders, recover
from rhotem.library.shard import ShardError, new_shard, read_shard, settle
from rhotem.library.store import Library


def merge(into: Library, other: Library, progress: Progress = silent) -> tuple[int, dict[str, str]]:
    """Copy what another library has and this one has not; what both have is the same, by its identifier.

    Returns
    -------
    (int, dict)
        How many were copied; by identifier, why some were not: they are damaged.

    Raises
    ------
    InputError
        If they are one library, or somebody else writes into this one.
    """
    if into.folder.resolve() == other.folder.resolve():
        raise InputError(f"{into.folder}: a library cannot be merged into itself; give another one")
    copied, refused = 0, {}
    with hold(into.folder):
        recover(into.catalogue)
        there = set(into.catalogue.checksums()) & set(folders(into.folder))  # a lost folder is copied again
        missing = sorted(set(other.catalogue.checksums()) - there)
        for number, name in enumerate(missing):
            shard = new_shard(into.folder, name)
            try:
                shutil.copytree(other.folder / entry_folder(name), shard, dirs_exist_ok=True)
                described = read_shard(shard)
                _take(into, shard, described)
                copied += 1
            except (NoEntryError, ShardError, FileNotFoundError) as error:
                refused[name] = str(error)
            except shutil.Error as error:
                reason = _reason(error)
                if reason == os.strerror(errno.ENOSPC):
                    raise InputError(f"{into.folder}: {reason}; make room, the same command goes on") from None
                refused[name] = f"{name}: {reason}"
            finally:
                shutil.rmtree(shard, ignore_errors=True)
            progress("entries", number + 1, len(missing))
    return copied, refused


def _take(into: Library, shard: Path, described: dict[str, Any]) -> None:
    """Move a whole copy to its place and catalogue it: both or neither."""
    name = described["entry"]["id"]
    target = settle(into.folder, shard, name)
    try:
        into.catalogue.add(described)
    except NoEntryError:
        shutil.rmtree(target, ignore_errors=True)
        raise


def _reason(error: shutil.Error) -> str:
    """Why the first file was not copied: "No space left on device"."""
    said = str(error.args[0][0][2]) if isinstance(error.args[0], list) else str(error)
    return said.partition("] ")[2].partition(":")[0] or said
