"""Version of the tables of a catalogue, and the steps from older ones."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import insert, inspect, select, update

from rhotem.core import InputError
from rhotem.library.catalogue.tables import METADATA, about, appearances, entries


def _appearances(connection: Any) -> None:
    """Older entries have no rows in it until `rhotem library repair` fills it."""
    appearances.create(connection, checkfirst=True)


#: What to do with a catalogue that is damaged.
LOST = "move catalogue.sqlite away, and `rhotem library repair {where}` makes it again from the entries"
#: Steps from version n + 1 to n + 2; each takes a connection. The version is their number and one.
MIGRATIONS: list[Callable[[Any], None]] = [_appearances]


def version() -> int:
    """Version of the tables of this RhoTEM."""
    return 1 + len(MIGRATIONS)


def _is_unmade(connection: Any) -> bool:
    """Whether there are no tables, or those that a killed process was making: SQLite keeps each at once."""
    known = inspect(connection)
    if not known.has_table("about"):
        return True
    if connection.execute(select(about.c.value)).first() is not None:
        return False
    return not known.has_table("entries") or connection.execute(select(entries.c.id)).first() is None


def prepare(engine: Any, where: str, *, write: bool) -> None:
    """Make the tables, or bring those of an older version up to date.

    Raises
    ------
    InputError
        If they are of a newer version; or of an older one, or not there, and nothing may be written.
    """
    with engine.begin() as connection:
        if _is_unmade(connection):
            if not write:
                raise InputError(f"{where}: its catalogue is empty; `rhotem library repair {where}` makes it again")
            METADATA.create_all(connection)
            connection.execute(insert(about).values(key="schema", value=str(version())))
            return
        said = str(connection.execute(select(about.c.value).where(about.c.key == "schema")).scalar_one_or_none())
        if not said.isdecimal():
            raise InputError(f"{where}: its catalogue says no version; {LOST.format(where=where)}")
        there = int(said)
        if there > version():
            raise InputError(
                f"{where}: catalogue of version {there}, this RhoTEM knows version {version()}; update RhoTEM"
            )
        if there == version():
            return
        if not write:
            raise InputError(
                f"{where}: catalogue of version {there}; `rhotem library repair {where}` brings it to date"
            )
        for step in MIGRATIONS[there - 1 :]:
            step(connection)
        connection.execute(update(about).where(about.c.key == "schema").values(value=str(version())))
