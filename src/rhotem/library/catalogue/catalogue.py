"""`Catalogue`: what is known of all entries, as rows."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import CompileError, DataError, DBAPIError, IntegrityError, StatementError

from rhotem.core import InputError
from rhotem.library.catalogue import tables
from rhotem.library.catalogue.connect import engine_of
from rhotem.library.catalogue.schema import LOST, prepare
from rhotem.library.entry import Entry
from rhotem.library.fingerprint import LENGTH
from rhotem.library.layout import CATALOGUE, RESPONSE, entry_folder

#: Columns of `tables.entries` that are fields of an entry as they are.
PLAIN = (
    "id",
    "title",
    "formula",
    "zone",
    "preset",
    "source",
    "energy",
    "convergence",
    "temperature",
    "spacegroup",
    "prototype",
    "defect",
    "atoms",
    "seconds",
    "bytes",
    "state",
)
#: Words of SQLite for a file that is no catalogue any more.
DAMAGE = ("malformed", "not a database", "no such table", "no such column")


class NoEntryError(InputError):
    """A description that is no entry's: the fault of the entry, not of the catalogue."""


def _of_values(error: DBAPIError) -> bool:
    """Whether a database refuses what it was given, rather than to work; SQLite says "binding" of types."""
    return isinstance(error, IntegrityError | DataError) or "binding" in str(error.orig)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The tables of one library.

    Parameters
    ----------
    engine : sqlalchemy.Engine
    folder : Path
        Of the library.
    """

    engine: Any
    folder: Path

    @classmethod
    def open(cls, folder: Path, address: str | None, *, write: bool) -> "Catalogue":
        """The catalogue of a library; made, or brought up to date, if it may be written.

        Raises
        ------
        InputError
            If it is of a newer version or cannot be reached.
        """
        catalogue = cls(engine_of(folder, address, CATALOGUE), folder)
        with catalogue._explained():
            prepare(catalogue.engine, str(folder), write=write)
        return catalogue

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[Any]:
        """A connection whose changes are all made at the end of the block, or none.

        Raises
        ------
        InputError
            If the database refuses: locked, disk full, server gone.
        """
        with self._explained(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            reason = str(error.orig).strip().splitlines()[0]
            damaged = any(word in reason for word in DAMAGE) and self.engine.dialect.name == "sqlite"
            advice = "; " + LOST.format(where=self.folder) if damaged else ""
            raise InputError(f"{self.folder}: the catalogue refuses ({reason}){advice}") from None

    def entries(self, where: Sequence[Any] = (), *, order: Any = None, limit: int | None = None) -> list[Entry]:
        """Entries that meet all conditions, by title and zone unless ordered otherwise."""
        t = tables.entries
        ordered = (t.c.title, t.c.zone, t.c.id) if order is None else (order,)
        asked = select(t).where(*where).order_by(*ordered).limit(limit)
        with self.begin() as connection:
            return [self._entry(row) for row in connection.execute(asked)]

    def _entry(self, row: Any) -> Entry:
        values: dict[str, Any] = {name: getattr(row, name) for name in PLAIN}
        place = self.folder / entry_folder(row.id) / RESPONSE
        return Entry(
            **values,
            elements=tuple(row.elements.split()),
            thicknesses=self._thicknesses(row),
            path=place,
        )

    def _thicknesses(self, row: Any) -> tuple[float, ...]:
        try:
            return tuple(json.loads(row.thicknesses))
        except (ValueError, TypeError):
            raise InputError(
                f"{self.folder}: the catalogue's row of {row.id} is damaged; {LOST.format(where=self.folder)}"
            ) from None

    def complaints(self) -> list[str]:
        """What SQLite says of a damaged file; a server looks after its own."""
        if self.engine.dialect.name != "sqlite":
            return []
        try:
            with self.begin() as connection:
                said = [str(line) for line in connection.execute(text("PRAGMA integrity_check(3)")).scalars()]
        except InputError as error:
            return [str(error)]
        return [] if said == ["ok"] else [*said, LOST.format(where=self.folder)]

    def checksums(self) -> dict[str, str]:
        """Checksum of the list of files of every entry."""
        t = tables.entries
        with self.begin() as connection:
            return {row.id: row.checksum for row in connection.execute(select(t.c.id, t.c.checksum))}

    def add(self, described: dict[str, Any]) -> None:
        """Rows of an entry from its description (`rhotem.library.describe`), instead of those that were there.

        Raises
        ------
        NoEntryError
            If the description is no entry's.
        InputError
            If the database refuses.
        """
        with self.begin() as connection:
            self.add_within(connection, described)

    def add_within(self, connection: Any, described: dict[str, Any]) -> None:
        """As `add`, as a part of other changes."""
        try:
            self._add(connection, described)
        except (KeyError, TypeError, ValueError, AttributeError, CompileError, StatementError) as error:
            if isinstance(error, DBAPIError) and not _of_values(error):
                raise  # disk full, database locked: no fault of the description
            orig = getattr(error, "orig", None)
            why = f"the catalogue refuses: {orig}" if isinstance(error, DBAPIError) else type(error).__name__
            raise NoEntryError(f"{described['entry']['id']}: its description is no entry's ({why})") from None

    def _add(self, connection: Any, described: dict[str, Any]) -> None:
        row = dict(described["entry"])
        identifier = row["id"]
        self._remove(connection, identifier)
        deep = row["thicknesses"]
        symbols = sorted(row["elements"])
        row |= {"thicknesses": json.dumps(deep), "thinnest": min(deep), "thickest": max(deep)}
        row |= {"elements": " ".join(symbols)}
        connection.execute(insert(tables.entries).values(**row))
        connection.execute(insert(tables.elements), [{"symbol": s, "entry": identifier} for s in symbols])
        if described["contrasts"]:
            rows = [{"entry": identifier, **contrast} for contrast in described["contrasts"]]
            connection.execute(insert(tables.contrasts), rows)
        if described["fingerprint"] is not None:
            vector = bytes.fromhex(described["fingerprint"])
            if len(vector) != 4 * LENGTH:
                raise ValueError(f"fingerprint of {len(vector)} bytes")
            connection.execute(insert(tables.fingerprints).values(entry=identifier, vector=vector))
        # entries of the first version have none
        looks = {image: bytes.fromhex(said) for image, said in described.get("appearances", {}).items()}
        self._add_appearances(connection, identifier, looks)

    def without_appearance(self) -> list[Entry]:
        """Good entries of which it is not known how they look."""
        seen = select(tables.appearances.c.entry)
        return self.entries([tables.entries.c.id.not_in(seen), tables.entries.c.state == "good"])

    def add_appearances(self, identifier: str, looks: dict[str, bytes]) -> None:
        """How the images of an entry look (`rhotem.library.appearance.to_bytes`)."""
        with self.begin() as connection:
            self._add_appearances(connection, identifier, looks)

    def _add_appearances(self, connection: Any, identifier: str, looks: dict[str, bytes]) -> None:
        if looks:
            rows = [{"entry": identifier, "image": image, "harmonics": said} for image, said in looks.items()]
            connection.execute(insert(tables.appearances), rows)

    def remove(self, identifier: str) -> None:
        """Forget an entry."""
        with self.begin() as connection:
            self._remove(connection, identifier)

    def _remove(self, connection: Any, identifier: str) -> None:
        connection.execute(delete(tables.entries).where(tables.entries.c.id == identifier))
        for table in (tables.elements, tables.contrasts, tables.fingerprints, tables.appearances):
            connection.execute(delete(table).where(table.c.entry == identifier))

    def judge(self, identifier: str, state: str) -> None:
        """Say that an entry is good or damaged."""
        t = tables.entries
        with self.begin() as connection:
            connection.execute(update(t).where(t.c.id == identifier).values(state=state))
