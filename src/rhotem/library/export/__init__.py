"""Entries for other programs: one file a format, listed in one table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rhotem.library.entry import Entry
from rhotem.library.export import crate, emdatabase, parquet
from rhotem.library.export.stacks import writer
from rhotem.library.store import Library

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True)
class Format:
    """A format: what it is in a line, and what writes entries into an empty folder; returns the names of files."""

    help: str
    write: Callable[[Library, list[Entry], Path], list[str]]


FORMATS = {
    "hyperspy": Format("images of every thickness and focus as HyperSpy stacks (.hspy)", writer("hspy")),
    "nxem": Format("the same stacks as NeXus files with the NXem layout (.nxs)", writer("nexus")),
    "emdatabase": Format("HyperSpy stacks, each with the YAML that emdatabase's index takes", emdatabase.write),
    "parquet": Format("the catalogue's rows of the entries, for DuckDB, pandas and Polars", parquet.write),
    "ro-crate": Format("the entries as they are, with an RO-Crate 1.1 description", crate.write),
}
