"""Rows as CSV files."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], digits: int | None = None) -> None:
    """A table with a header; columns that only some rows have are empty in the others.

    ``digits``: significant digits of numbers with a fraction; None: all.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _written(value, digits) for name, value in row.items()})


def _written(value: Any, digits: int | None) -> Any:
    return f"{value:.{digits}g}" if digits is not None and isinstance(value, float | np.floating) else value
