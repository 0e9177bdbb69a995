"""A library looked through: what is wrong, and put right as far as the files tell."""

import os
import shutil
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rhotem.core import InputError, Progress, silent
from rhotem.library.catalogue.catalogue import Catalogue, NoEntryError
from rhotem.library.layout import ENTRIES, INCOMING, entry_folder
from rhotem.library.shard import ShardError, is_sealed, read_shard, settle

#: Where damaged entries go.
DAMAGED = "damaged"


@dataclass
class Findings:
    """What was found.

    Parameters
    ----------
    whole : int
        Entries whose files are as they were written.
    damaged : dict
        By identifier, what is wrong.
    lost : list
        Identifiers of the catalogue whose folder is gone.
    unknown : list
        Identifiers of folders that the catalogue does not know.
    unfinished : int
        Folders that workers were writing and will not end.
    looked_at : int
        Entries of older versions whose looks were tabulated for searches by picture.
    catalogue : list
        What is wrong with the catalogue's file.
    """

    whole: int = 0
    damaged: dict[str, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unfinished: int = 0
    looked_at: int = 0
    catalogue: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong; what a killed worker left is not."""
        return not (self.damaged or self.lost or self.unknown or self.catalogue)

    def lines(self) -> list[str]:
        """In words."""
        said = [f"damaged catalogue: {reason}" for reason in self.catalogue]
        said += [f"damaged: {reason}" for reason in self.damaged.values()]
        said += [f"in the catalogue, but not on disk: {name}" for name in self.lost]
        said += [f"on disk, but not in the catalogue: {name}" for name in self.unknown]
        if self.unfinished:
            said.append(f"{self.unfinished} unfinished folders of workers that are gone")
        if self.looked_at:
            said.append(f"{self.looked_at} entries of an older version can be found by picture now")
        return [f"{self.whole} entries whole", *said]


def look(catalogue: Catalogue, only: Iterable[str] | None = None, progress: Progress = silent) -> Findings:
    """Compare every file of the entries, or of some, with its checksum, and the folders with the catalogue."""
    known, there = catalogue.checksums(), folders(catalogue.folder)
    found = Findings(catalogue=catalogue.complaints() if only is None else [])
    chosen = sorted(known if only is None else only)
    for number, name in enumerate(chosen):
        if name not in there:
            found.lost.append(name)
            continue
        try:
            said = read_shard(there[name])["entry"]
            if said["checksum"] != known[name]:
                raise ShardError(f"{name}: other files than the catalogue knows")
            found.whole += 1
        except ShardError as error:
            found.damaged[name] = str(error)
        progress("files", number + 1, len(chosen))
    if only is None:
        found.unknown = sorted(set(there) - set(known))
        found.unfinished = len(abandoned(catalogue.folder))
    return found


def repair(catalogue: Catalogue, progress: Progress = silent) -> Findings:
    """Put right what `look` finds: forget what is lost, catalogue what is unknown, lay damaged entries apart.

    Tasks of entries that are gone wait again when their campaign is resumed.
    """
    found = look(catalogue, progress=progress)
    for name in found.lost:
        catalogue.remove(name)
    for name in found.damaged:
        _lay_apart(catalogue.folder, name)
        catalogue.remove(name)
    recover(catalogue)
    found.looked_at = add_appearances(catalogue, progress)
    return found


def recover(catalogue: Catalogue) -> list[str]:
    """After a driver was killed: catalogue whole folders that it did not, and delete what workers left unfinished.

    Returns the identifiers that were added. Only the one that holds the library (`rhotem.library.hold`) may do this.
    """
    library, known, added = catalogue.folder, catalogue.checksums(), []
    for shard in abandoned(library):
        name = shard.name.partition("-")[0]
        if is_sealed(shard) and name not in known and not (library / entry_folder(name)).exists():
            try:
                read_shard(shard)
                settle(library, shard, name)
            except InputError:
                pass  # half-written, as others
        shutil.rmtree(shard, ignore_errors=True)
    for name, folder in folders(library).items():
        if name in known:
            continue
        try:
            described = read_shard(folder)
        except ShardError:
            _lay_apart(library, name)
            continue
        try:
            catalogue.add(described)
            added.append(name)
        except NoEntryError:  # a catalogue that refuses (disk full, locked) says nothing against the entry
            _lay_apart(library, name)
    return added


def add_appearances(catalogue: Catalogue, progress: Progress = silent) -> int:
    """Tabulate how entries look that were written before this was done; how many."""
    from rhotem.library.appearance import appearances, to_bytes
    from rhotem.library.tabulated import Tabulated
    from rhotem.scattering.response import open_response

    missing = catalogue.without_appearance()
    for number, entry in enumerate(missing):
        held = open_response(entry.path)
        looks = appearances(Tabulated.of(held, [0.1 * f for f in sorted({*held.range.defocus, 0.0})]))
        catalogue.add_appearances(entry.id, {name: to_bytes(one) for name, one in looks.items()})
        progress("looks", number + 1, len(missing))
    return len(missing)


def folders(library: Path) -> dict[str, Path]:
    """Folders of entries by identifier; what lies elsewhere is found by nothing."""
    found: dict[str, Path] = {}
    try:
        for shelf in (library / ENTRIES).glob("??"):  # of "??/*" it would leave out what cannot be read
            found |= {path.name: path for path in shelf.iterdir() if path.is_dir()} if shelf.is_dir() else {}
    except PermissionError as error:
        raise InputError(f"{error.filename}: cannot be read; have its permissions changed") from None
    return {name: path for name, path in found.items() if path == library / entry_folder(name)}


def abandoned(library: Path) -> list[Path]:
    """Folders of workers of this machine that are gone, and sealed ones of any."""
    incoming = library / INCOMING
    return (
        [path for path in incoming.iterdir() if path.is_dir() and (is_sealed(path) or not _is_written(path))]
        if incoming.exists()
        else []
    )


def _is_written(shard: Path) -> bool:
    """Whether the worker that began a folder may still be at it: ``ID-HOST-PID-RANDOM``."""
    parts = shard.name.split("-")
    host, process = "-".join(parts[1:-2]), parts[-2] if len(parts) > 3 else ""
    if host != socket.gethostname():
        return len(parts) > 3
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True


def _lay_apart(library: Path, name: str) -> None:
    """Move a damaged entry out of the way; nothing is deleted."""
    folder = library / entry_folder(name)
    target = library / DAMAGED / name
    target.parent.mkdir(exist_ok=True)
    number = 1
    while target.exists():  # damaged before, and made again since
        number += 1
        target = library / DAMAGED / f"{name}-{number}"
    if folder.exists():
        os.replace(folder, target)
