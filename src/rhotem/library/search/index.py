"""Vectors of a table of the catalogue in one file beside it, made again when the catalogue has others."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Table, func, select

from rhotem.library.catalogue.tables import entries
from rhotem.library.layout import INDEX

if TYPE_CHECKING:
    from rhotem.library.store import Library

#: What a row of the catalogue is called, and its vector.
Row = Callable[[Any], tuple[str, npt.NDArray[Any]]]


def vectors_of(library: "Library", table: Table, row: Row) -> tuple[npt.NDArray[np.str_], npt.NDArray[Any]]:
    """Names and vectors of all rows of a table; in an empty one, none of either.

    The file spares the catalogue to be read as a whole every time; where it cannot be written, that is done.
    """
    path = library.folder / INDEX / f"{table.name}.npz"
    with library.catalogue.begin() as connection:
        asked = select(func.count(), func.min(table.c.entry), func.max(table.c.entry))
        said = [str(value) for value in connection.execute(asked).one()]
        newest = connection.execute(select(func.max(entries.c.created))).scalar()
        stamp = " ".join([*said, str(newest)])
        try:
            with np.load(path, allow_pickle=False) as held:
                if str(held["stamp"]) == stamp:
                    return held["names"], held["vectors"]
        except (OSError, ValueError, KeyError):
            pass
        rows = [row(found) for found in connection.execute(select(table))]
    names = np.array([name for name, _ in rows], dtype=np.str_)
    vectors = np.array([vector for _, vector in rows])
    _keep(path, stamp, names, vectors)
    return names, vectors


def _keep(path: Path, stamp: str, names: npt.NDArray[np.str_], vectors: npt.NDArray[Any]) -> None:
    """Write the table where that is allowed."""
    part = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(exist_ok=True)
        with open(part, "wb") as stream:
            np.savez(stream, stamp=np.array(stamp), names=names, vectors=vectors)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
