"""The one reader of labels: files, shards, and folders of either, whole grids and chosen voxels alike."""

import csv
import lzma
import struct
import zipfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from rhotem.core import InputError
from rhotem.labels.label import Label
from rhotem.labels.members import decode
from rhotem.labels.npz import read_npz


def names(place: str | Path) -> list[str]:
    """Names of the labels in a file, a shard or a folder of them.

    Raises
    ------
    InputError
        If a shard cannot be read.
    """
    place = Path(place)
    if place.is_dir():
        return [name for file in _files(place) for name in names(file)]
    if place.suffix != ".zip":
        return [place.stem]
    with _open(place) as archive:
        return archive.namelist()


def places(sources: Iterable[str | Path]) -> dict[str, Path]:
    """The file or shard of every label of files, shards and folders; of two of one name the first.

    Raises
    ------
    InputError
        If a source is not there or a folder holds no labels.
    """
    known: dict[str, Path] = {}
    for source in map(Path, sources):
        if not source.exists():
            raise InputError(f"labels {source}: not there; name a folder, a file or a shard of `rhotem labels`")
        files = _files(source) if source.is_dir() else [source]
        if not files:
            raise InputError(f"labels {source}: no npz files or shards there; name a folder of `rhotem labels`")
        for file in files:
            for name in names(file):
                known.setdefault(name, file)
    return known


def read_labels(sources: Iterable[str | Path], wanted: Collection[str] | None = None) -> Iterator[Label]:
    """Labels of files, shards and folders, all or those ``wanted``; of two of one name the first.

    Raises
    ------
    InputError
        As `places` and `read_label`: what is broken raises, nothing is skipped.
    """
    chosen: dict[Path, list[str]] = {}
    for name, file in places(sources).items():
        if wanted is None or name in wanted:
            chosen.setdefault(file, []).append(name)
    for file, members in chosen.items():
        if file.suffix == ".zip":
            yield from read_shard(file, members)
        else:
            yield read_label(file)


def read_label(path: str | Path) -> Label:
    """One label: an npz file, or ``SHARD.zip/NAME``.

    A ``manifest.csv`` beside files of the first set says of which family they are and which spin states are suspect.

    Raises
    ------
    InputError
        If it is not there, truncated, damaged or of a newer schema.
    """
    path = Path(path)
    if path.parent.suffix == ".zip":
        for label in read_shard(path.parent, [path.name]):
            return label
        raise InputError(f"{path.parent}: no label {path.name} in this shard")
    if path.suffix == ".zip":
        raise InputError(f"{path}: a shard of many labels; name one as {path}/NAME")
    label = read_npz(path)
    known = _manifest(path.parent).get(path.name)
    if known is None:
        return label
    meta = {"family": known["family"], "suspect_spin": known.get("suspect_spin") == "1", **label.meta}
    return replace(label, meta=meta)


def read_shard(path: Path, wanted: Iterable[str] | None = None) -> Iterator[Label]:
    """Labels of a shard, all or those ``wanted``.

    Raises
    ------
    InputError
        If the file is not a shard or is damaged.
    """
    chosen = None if wanted is None else set(wanted)
    with _open(path) as archive:
        for name in archive.namelist():
            if chosen is None or name in chosen:
                try:
                    yield replace(decode(archive.read(name)), name=name)
                except (zipfile.BadZipFile, lzma.LZMAError, ValueError, KeyError, struct.error, EOFError) as error:
                    raise InputError(f"{path}: label {name} is damaged ({error}); take the file again") from error


def with_parent(label: Label) -> Label:
    """The label with a prototype and composition: labels of the first set have only a family, which is then prototype.

    Their ordering is not known, so that all of one family and composition share a parent.
    """
    if "prototype" in label.meta:
        return label
    family = label.meta.get("family", "")
    known = {"prototype": family, "composition": label.formula, "ordering": "", "family": family}
    return replace(label, meta={**label.meta, **known})


def _files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.glob("[!.]*") if f.suffix in (".npz", ".zip"))


@lru_cache(maxsize=8)
def _manifest(folder: Path) -> dict[str, dict[str, str]]:
    """Rows of a ``manifest.csv`` beside labels by file name; empty without one."""
    path = folder / "manifest.csv"
    if not path.is_file():
        return {}
    with path.open(newline="") as stream:
        return {row["file"]: row for row in csv.DictReader(stream)}


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a shard of labels ({error}); it may be truncated: take it again") from error
