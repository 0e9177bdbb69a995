"""The catalogue of entries as Parquet files, which DuckDB, pandas and Polars read."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, select

from rhotem.core.packages import require
from rhotem.library.catalogue.tables import contrasts, elements, entries
from rhotem.library.entry import Entry
from rhotem.library.store import Library

if TYPE_CHECKING:
    import pyarrow

#: Rows that are held at a time.
BATCH = 50_000


def write(library: Library, chosen: list[Entry], folder: Path) -> list[str]:
    """One file for each of the tables ``entries``, ``elements`` and ``contrasts``; they share the entry's identifier.

    Raises
    ------
    MissingDependencyError
        Without pyarrow.
    """
    require("pyarrow", extra="dataset", what="Parquet files")
    names = {entry.id for entry in chosen}
    return [_written(library, table, names, folder) for table in (entries, elements, contrasts)]


def _written(library: Library, table: Table, names: set[str], folder: Path) -> str:
    from pyarrow.parquet import ParquetWriter

    key = table.c.id if table is entries else table.c.entry
    path = folder / f"{table.name}.parquet"
    form = _schema(table)
    with library.catalogue.begin() as connection, ParquetWriter(path, form) as writer:
        for part in connection.execute(select(table).order_by(key)).mappings().partitions(BATCH):
            writer.write_batch(_batch([dict(row) for row in part if row[key.name] in names], form))
    return path.name


def _batch(rows: list[dict[str, Any]], form: "pyarrow.Schema") -> Any:
    import pyarrow

    return pyarrow.RecordBatch.from_pylist(rows, schema=form)


def _schema(table: Table) -> "pyarrow.Schema":
    """Types of the columns, as the catalogue has them."""
    import pyarrow

    kinds = {float: pyarrow.float64(), int: pyarrow.int64(), str: pyarrow.string()}
    fields = [pyarrow.field(c.name, kinds[c.type.python_type], c.nullable or False) for c in table.columns]
    return pyarrow.schema(fields)
