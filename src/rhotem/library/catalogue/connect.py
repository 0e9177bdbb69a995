"""The way to a catalogue: SQLite whose journal suits the disk, or a server."""

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rhotem.core import InputError, MissingDependencyError

#: File systems on which processes of one machine share memory, as SQLite's write-ahead log needs.
LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "overlay", "apfs", "jfs", "reiserfs"}
#: Bytes of a path that SQLite opens, with the ending of its journal.
LONGEST = 500
#: Seconds to wait for another writer.
PATIENCE = 30.0


def engine_of(folder: Path, address: str | None, name: str) -> Any:
    """A SQLAlchemy engine of the catalogue ``name`` in a folder, or of the server's database at ``address``.

    Raises
    ------
    MissingDependencyError
        If SQLAlchemy, or for a server psycopg, is not installed.
    InputError
        If the address cannot be used.
    """
    try:
        from sqlalchemy import URL, create_engine, event
    except ImportError:
        raise MissingDependencyError("libraries need SQLAlchemy: pip install 'rhotem[library]'") from None
    if address is not None:
        return _server(address)
    path = folder / name
    if len(os.fsencode(path)) > LONGEST:
        raise InputError(
            f"{folder}: SQLite takes paths of {LONGEST} bytes; put the library into a folder nearer the root"
        )
    if not path.exists() and not os.access(folder, os.W_OK):
        raise InputError(f"{folder}: holds no catalogue, and none can be written there")
    if os.access(folder, os.W_OK) and os.access(path, os.W_OK) | (not path.exists()):
        # as an object: in a text "?" and "%" of the folder's name would mean something
        engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": PATIENCE})
        journal = "WAL" if file_system(folder) in LOCAL else "DELETE"
        event.listen(engine, "connect", lambda connection, _: _prepare(connection, journal))
        return engine
    # without the log's files SQLite reads nothing there unless told that nobody writes
    logged = path.with_name(f"{path.name}-wal").exists()
    place = f"file:{quote(str(path))}?mode=ro{'' if logged else '&immutable=1'}"
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(place, uri=True, timeout=PATIENCE))


def _prepare(connection: Any, journal: str) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA journal_mode={journal}")
    cursor.close()


def _server(address: str) -> Any:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError

    kind, mark, rest = str(address).partition("://")
    if not mark or kind not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise InputError(f"catalogue {kind}{mark}...: expected postgresql://USER@HOST/DATABASE")
    try:
        return create_engine(f"postgresql+psycopg://{rest}", pool_pre_ping=True)
    except ImportError:
        raise MissingDependencyError(
            "a catalogue on a PostgreSQL server needs psycopg: pip install 'rhotem[postgres]'"
        ) from None
    except ArgumentError:
        raise InputError(f"catalogue {kind}://...: expected postgresql://USER@HOST/DATABASE") from None


def file_system(folder: Path) -> str:
    """Kind of the file system that holds a folder, "ext4"; "" where the system does not tell."""
    place = os.path.realpath(folder)
    best, kind = "", ""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        _, at, what, *_ = line.split()
        at = at.replace("\\040", " ")
        inside = place == at or place.startswith(at.rstrip("/") + "/")
        if inside and len(at) >= len(best):
            best, kind = at, what
    return kind
