"""A table of all pictures, as Parquet: a row each, sorted, so that equal data sets have equal bytes."""

from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core.output import output_file
from rhotem.core.packages import require
from rhotem.library.dataset.store import TABLE, Dataset


def check_manifest() -> None:
    """Refuse to begin where the manifest could not be written.

    Raises
    ------
    MissingDependencyError
    """
    require("pyarrow", extra="dataset", what="data sets")


def rows_of(dataset: Dataset) -> list[dict[str, Any]]:
    """A row for every picture: where it lies, what it shows, how it was recorded, how many columns and defects."""
    vacant, exchanged = TABLE.index("vacant"), TABLE.index("exchanged")
    rows = []
    for shard in sorted(dataset.shards(), key=lambda shard: shard.about["id"]):
        arrays, pictures = shard.read()
        for number, said in enumerate(pictures):
            table = arrays["table"][arrays["starts"][number] : arrays["starts"][number + 1]]
            about = {key: shard.about[key] for key in ("title", "formula", "zone", "defect", "split")}
            rows.append(
                {
                    "shard": shard.about["id"],
                    "picture": number,
                    **about,
                    "elements": " ".join(shard.about["elements"]),
                    **said,
                    "columns": len(table),
                    "with_vacancies": int(np.count_nonzero(table[:, vacant])),
                    "with_antisites": int(np.count_nonzero(table[:, exchanged])),
                }
            )
    return rows


def write_manifest(dataset: Dataset, path: Path) -> list[dict[str, Any]]:
    """Write the table; returns its rows."""
    import pyarrow
    from pyarrow import parquet

    rows = rows_of(dataset)
    with output_file(path) as target:
        parquet.write_table(pyarrow.Table.from_pylist(rows), target, compression="zstd")
    return rows
