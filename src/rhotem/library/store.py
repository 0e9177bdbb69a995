"""`Library`: one folder of responses with their catalogue."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rhotem.core import InputError, MissingDependencyError
from rhotem.library.layout import ABOUT, DESCRIPTION, FORM, is_left_over, read_about, said_in, write_about

if TYPE_CHECKING:
    from rhotem.library.catalogue.catalogue import Catalogue
    from rhotem.library.entry import Entry
    from rhotem.scattering.response import Response


@dataclass(frozen=True, eq=False)
class Library:
    """Responses of many specimens, each answering for every lens, and the catalogue that finds them.

    Parameters
    ----------
    folder : Path
    catalogue : Catalogue
    """

    folder: Path
    catalogue: "Catalogue"

    @classmethod
    def open(cls, path: str | Path, *, write: bool = False) -> "Library":
        """The library in a folder.

        Raises
        ------
        InputError
            If there is none, it is of a newer version, or is to be written and cannot be.
        """
        folder = Path(os.path.abspath(path))
        said = read_about(folder)
        if write and not os.access(folder, os.W_OK):
            raise InputError(f"{path}: nothing can be written there; open a copy, or have its permissions changed")
        return cls(folder, _catalogue(folder, said.get("catalogue"), write=write))

    @classmethod
    def create(cls, path: str | Path, catalogue: str | None = None) -> "Library":
        """The library in a folder, made if there is none; ``catalogue``: address of a PostgreSQL database instead of
        SQLite.

        Raises
        ------
        InputError
            If the folder holds something else, or nothing can be written there.
        """
        folder = Path(os.path.abspath(path))
        left = is_left_over(folder) and said_in(folder / ABOUT, FORM) is None
        if (folder / ABOUT).exists() and not left:
            made = cls.open(folder, write=True)
            if catalogue is not None and read_about(folder).get("catalogue") != catalogue:
                raise InputError(f"{path}: this library has another catalogue; leave --catalogue out")
            return made
        if folder.exists() and not left and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{path}: holds something else than a library; give an empty or a new folder")
        if catalogue is not None:
            _reach(folder, catalogue)
        try:
            write_about(folder, catalogue)
        except OSError as error:
            raise InputError(f"{path}: no library can be made there ({error.strerror})") from None
        return cls.open(folder, write=True)

    def close(self) -> None:
        """Let go of the catalogue."""
        self.catalogue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def entries(self, where: Sequence[Any] = ()) -> "list[Entry]":
        """Entries by title and zone: all, or those that meet conditions (`rhotem.library.search`)."""
        return self.catalogue.entries(where)

    def entry(self, identifier: str) -> "Entry":
        """One entry by its identifier, or by so many of its first digits that no other begins so.

        Raises
        ------
        InputError
            If there is none, or more than one.
        """
        from rhotem.library.catalogue.tables import entries

        if not identifier or not all(c in "0123456789abcdef" for c in identifier):
            raise InputError(f"entry {identifier!r}: expected hexadecimal digits, as `rhotem library list` shows them")
        after = f"{identifier}g"  # behind all that begin so; unlike LIKE it asks an index
        met = self.catalogue.entries([entries.c.id >= identifier, entries.c.id < after], limit=2)
        if len(met) != 1:
            how = "several entries begin so" if met else "no such entry"
            raise InputError(f"entry {identifier}: {how}; `rhotem library list {self.folder}` shows them")
        return met[0]

    def response(self, identifier: str) -> "Response":
        """The response of an entry; checksums are checked.

        Raises
        ------
        InputError
            If there is no such entry, or it is damaged.
        """
        from rhotem.scattering.response import open_response

        return open_response(self.entry(identifier).path)

    def described(self, identifier: str) -> dict[str, Any]:
        """All that is known of an entry: rows of the catalogue, the atoms of its picture, its contrasts.

        Raises
        ------
        InputError
            If there is no such entry, or its description is damaged.
        """
        entry = self.entry(identifier)
        try:
            return dict(json.loads((entry.path.parent / DESCRIPTION).read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(
                f"entry {entry.id}: its description cannot be read ({error}); `rhotem library repair {self.folder}` "
                "takes it out"
            ) from None


def _reach(folder: Path, address: str) -> None:
    """Refuse a server that cannot be reached before the folder says that its catalogue is there."""
    _catalogue(folder, address, write=True).close()


def _catalogue(folder: Path, address: str | None, *, write: bool) -> "Catalogue":
    try:
        from rhotem.library.catalogue.catalogue import Catalogue
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
        raise MissingDependencyError("libraries need SQLAlchemy: pip install 'rhotem[library]'") from None
    return Catalogue.open(folder, address, write=write)
