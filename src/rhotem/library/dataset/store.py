"""A data set at rest: shards of pictures, each written once, and the file that says what they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.library.layout import said_in
from rhotem.microscope.stored import read_group, write_group

#: File that makes a folder a data set, and what it says.
ABOUT, FORM, VERSION = "dataset.json", "rhotem-dataset", 2
#: Folder of shards and the form of each; table of all pictures; data-set card.
SHARDS, SHARD_FORM, MANIFEST, CARD = "shards", ("rhotem-pictures", 1), "manifest.parquet", "README.md"
#: Columns of the table of a shard, a row for every column of atoms in a picture.
TABLE = ("x_px", "y_px", "species", "sites", "vacant", "exchanged", "column", "above")
#: Splits, in the order of cards.
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Shard:
    """The pictures of one response.

    Parameters
    ----------
    path : Path
    about : mapping
        ``id``, ``title``, ``formula``, ``elements``, ``zone``, ``defect``, ``split``.
    """

    path: Path
    about: Mapping[str, Any]

    @property
    def there(self) -> bool:
        """Whether it was made."""
        return self.path.is_dir()

    def read(self) -> tuple[dict[str, npt.NDArray[Any]], list[dict[str, Any]]]:
        """Arrays (pictures, rows, columns) by name with ``table`` and ``starts``, and the settings of every picture.

        Rows ``starts[i]`` to ``starts[i + 1]`` of ``table`` are the columns (`TABLE`) of picture i.

        Raises
        ------
        InputError
            If it is missing or damaged.
        """
        if not self.there:
            raise InputError(f"{self.path}: not made yet; `rhotem dataset make` goes on")
        arrays, said = read_group(self.path, SHARD_FORM, "shard of pictures")
        return arrays, list(said["pictures"])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled pictures in a folder.

    Parameters
    ----------
    folder : Path
    about : mapping
        What ``dataset.json`` says: name, recipe, plan, shards.
    """

    folder: Path
    about: Mapping[str, Any]

    @cached_property
    def every(self) -> list[Shard]:
        """All shards of the plan, made or not."""
        return [Shard(self.folder / SHARDS / f"{row['id']}.zarr", row) for row in self.about["shards"]]

    def shards(self, split: str | None = None) -> list[Shard]:
        """Those that were made, of one split or all.

        Raises
        ------
        InputError
            If there is no such split, or nothing in it.
        """
        if split is not None and split not in SPLITS:
            raise InputError(f"split {split!r}: choose one of {', '.join(SPLITS)}")
        chosen = [s for s in self.every if s.there and split in (None, s.about["split"])]
        if not chosen:
            raise InputError(f"{self.folder}: no pictures{f' of split {split}' if split else ''} yet")
        return chosen

    def pictures(self, split: str | None = None) -> Iterator[tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]]:
        """Picture by picture: arrays (rows, columns) with its ``table``, and its settings."""
        for shard in self.shards(split):
            arrays, settings = shard.read()
            starts = arrays.pop("starts")
            table = arrays.pop("table")
            for i, said in enumerate(settings):
                one = {name: values[i] for name, values in arrays.items()}
                yield {**one, "table": table[starts[i] : starts[i + 1]]}, {**shard.about, **said}


def open_dataset(folder: str | Path) -> Dataset:
    """The data set in a folder.

    Raises
    ------
    InputError
        If there is none, or it is of another version.
    """
    folder = Path(folder)
    said = said_in(folder / ABOUT, FORM)
    if said is None:
        raise InputError(f"{folder}: no data set of RhoTEM; `rhotem dataset make PLAN --out {folder}` makes one")
    if said["version"] != VERSION:
        raise InputError(f"{folder}: data set of version {said['version']}, this RhoTEM reads {VERSION}; make it again")
    return Dataset(folder, said)


def write_shard(
    path: Path,
    pictures: list[tuple[dict[str, npt.NDArray[Any]], npt.NDArray[Any], dict[str, Any]]],
    attributes: Mapping[str, Any],
    single: Sequence[str] = (),
) -> None:
    """Write pictures, (arrays, table, settings) each; the shard appears when it is complete.

    Floating-point arrays are kept in half precision, those named in ``single`` in single precision.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, first in pictures[0][0].items():
        kind = first.dtype
        if kind.kind == "f":
            kind = np.dtype(np.float32 if name in single else np.float16)
        arrays[name] = np.stack([one[name] for one, _, _ in pictures]).astype(kind)
    arrays["table"] = np.concatenate([table for _, table, _ in pictures]).astype(np.float32)
    arrays["starts"] = np.cumsum([0, *(len(table) for _, table, _ in pictures)]).astype(np.int64)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_group(path, SHARD_FORM, arrays, {**attributes, "pictures": [said for _, _, said in pictures]}, whole=True)
