"""Search by similar structure: nearest fingerprints, from a table in memory that follows the catalogue."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import func, select

from rhotem.core import InputError
from rhotem.library.catalogue.tables import entries, fingerprints
from rhotem.library.fingerprint import LENGTH, fingerprint
from rhotem.library.layout import INDEX

if TYPE_CHECKING:
    from rhotem.library.entry import Entry
    from rhotem.library.store import Library
    from rhotem.structure.model import Structure

#: File of the table, kept beside the catalogue so that it is not read from there every time.
TABLE = "structures.npz"


def similar(
    library: "Library", structure: "Structure", limit: int = 50, where: Any = ()
) -> list[tuple["Entry", float]]:
    """Entries whose structure is nearest to a crystal, with the distance of their fingerprints: 0 of
    equal ones, 1.4 at most.

    Raises
    ------
    InputError
        If the library holds no fingerprint.
    """
    names, vectors = _table(library)
    if not len(names):
        raise InputError(f"{library.folder}: no entry yet, so that none is similar")
    distance = np.linalg.norm(vectors - fingerprint(structure), axis=1)
    order = np.argsort(distance, kind="stable")
    if where:
        with library.catalogue.begin() as connection:
            met = set(connection.execute(select(entries.c.id).where(*where)).scalars())
        order = np.array([i for i in order.tolist() if str(names[i]) in met], dtype=int)
    top = order[:limit]
    chosen = [str(names[i]) for i in top]
    known = {entry.id: entry for entry in library.entries([entries.c.id.in_(chosen)])}
    return [(known[name], float(distance[i])) for name, i in zip(chosen, top, strict=True) if name in known]


def _table(library: "Library") -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float32]]:
    """Identifiers and unit vectors of all entries; the file is made again when the catalogue has others."""
    path = library.folder / INDEX / TABLE
    with library.catalogue.begin() as connection:
        asked = select(func.count(), func.min(fingerprints.c.entry), func.max(fingerprints.c.entry))
        said = [str(value) for value in connection.execute(asked).one()]
        newest = connection.execute(select(func.max(entries.c.created))).scalar()
        stamp = " ".join([*said, str(newest)])
        try:
            with np.load(path, allow_pickle=False) as held:
                if str(held["stamp"]) == stamp:
                    return held["names"], held["vectors"]
        except (OSError, ValueError, KeyError):
            pass
        rows = list(connection.execute(select(fingerprints.c.entry, fingerprints.c.vector)))
    names = np.array([row.entry for row in rows], dtype="U20")
    vectors = np.frombuffer(b"".join(row.vector for row in rows), dtype=np.float32).reshape(-1, LENGTH)
    _keep(path, stamp, names, vectors)
    return names, vectors


def _keep(path: Any, stamp: str, names: npt.NDArray[np.str_], vectors: npt.NDArray[np.float32]) -> None:
    """Write the table where that is allowed."""
    part = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(exist_ok=True)
        with open(part, "wb") as stream:
            np.savez(stream, stamp=np.array(stamp), names=names, vectors=vectors)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
