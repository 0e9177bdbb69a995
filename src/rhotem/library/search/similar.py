"""Search by similar structure: nearest fingerprints, from a table in memory that follows the catalogue."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from rhotem.core import InputError
from rhotem.library.catalogue.tables import entries, fingerprints
from rhotem.library.fingerprint import fingerprint
from rhotem.library.search.index import vectors_of

if TYPE_CHECKING:
    from rhotem.library.entry import Entry
    from rhotem.library.store import Library
    from rhotem.structure.model import Structure


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
    names, vectors = vectors_of(library, fingerprints, _named)
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


def _named(row: Any) -> tuple[str, npt.NDArray[np.float32]]:
    return row.entry, np.frombuffer(row.vector, dtype=np.float32)
