"""Entries of one library copied into another."""

import shutil

from rhotem.core import InputError, Progress, silent
from rhotem.library.hold import hold
from rhotem.library.layout import entry_folder
from rhotem.library.repair import recover
from rhotem.library.shard import new_shard, read_shard, settle
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
        missing = sorted(set(other.catalogue.checksums()) - set(into.catalogue.checksums()))
        for number, name in enumerate(missing):
            shard = new_shard(into.folder, name)
            try:
                shutil.copytree(other.folder / entry_folder(name), shard, dirs_exist_ok=True)
                described = read_shard(shard)
                settle(into.folder, shard, name)
                into.catalogue.add(described)
                copied += 1
            except (InputError, FileNotFoundError, shutil.Error) as error:
                refused[name] = str(error)
            finally:
                shutil.rmtree(shard, ignore_errors=True)
            progress("entries", number + 1, len(missing))
    return copied, refused
