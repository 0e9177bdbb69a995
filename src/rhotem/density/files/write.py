"""`write_density`: a field to any supported file, whole or not at all."""

import bz2
import dataclasses
import gzip
import io
import lzma
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from rhotem.core import InputError
from rhotem.core.folders import scratch
from rhotem.density.field import DensityField, Kind
from rhotem.density.files.format import Writer
from rhotem.density.files.formats import format_of


def write_density(field: DensityField, path: str | Path, kind: Kind | None = None) -> Path:
    """Write a density; the format follows from the name (CHGCAR*, .cube, .xsf, .npz, .npy, .zarr; text also .gz ...).

    The file appears whole or not at all: it is written beside its place and renamed. npz and zarr keep one-centre
    terms, spin, charge and provenance; the other formats hold the grid with one-centre terms sampled on it.

    Parameters
    ----------
    field : DensityField
    path : str or Path
    kind : "total", "valence", "deformation" or "spin", optional
        What to write; default is the field's own kind.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    InputError
        Unknown format, folder that does not exist or cannot be written, spin density of a field that has none.
    """
    path = Path(path)
    check_writable(path)
    form = format_of(path)
    assert form.write is not None
    field = _as_written(field, kind, form.whole)
    try:
        if form.medium == "folder":
            _write_folder(field, form.write, path)
        else:
            with _replacing(path) as stream:
                (form.write if form.medium == "binary" else _as_text(form.write))(field, stream)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    return path


def check_writable(path: str | Path) -> str:
    """Name of the format that ``path`` stands for; refuses what cannot be written before a density is calculated.

    Raises
    ------
    InputError
        If the name stands for no format, or for one that is only read.
    """
    form = format_of(Path(path))
    if form.write is None:
        raise InputError(f"{path}: {form.name} files cannot be written; choose .cube, CHGCAR, .xsf, .npz or .zarr")
    return form.name


def _as_written(field: DensityField, kind: Kind | None, keep_one_centre: bool) -> DensityField:
    if kind == "spin":
        if field.spin is None:
            raise InputError(
                f"--kind spin: {field.source or 'this density'} has no spin density; calculate it with spin"
            )
        return dataclasses.replace(field, kind="spin", values=field.spin, spin=None, one_centre=())
    wanted = kind or field.kind
    if wanted == field.kind and (keep_one_centre or not field.one_centre):
        return field
    from rhotem.density.convert import as_kind

    return as_kind(field, wanted)


def _as_text(write: Writer) -> Writer:
    """A writer of texts as one that takes a binary stream."""

    def written(field: DensityField, stream: BinaryIO) -> None:
        text = io.TextIOWrapper(stream, encoding="ascii", errors="replace", newline="\n", write_through=True)
        write(field, text)
        text.flush()
        text.detach()

    return written


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary stream that becomes ``path`` when the block ends without an error; compressed by suffix."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as raw:
            with _compressed(path, raw) as stream:
                yield stream
            raw.flush()
            os.fsync(raw.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def _compressed(path: Path, raw: BinaryIO) -> Iterator[BinaryIO]:
    if path.suffix == ".gz":
        with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as stream:
            yield cast(BinaryIO, stream)
    elif path.suffix == ".bz2":
        with bz2.open(raw, "wb") as stream:
            yield cast(BinaryIO, stream)
    elif path.suffix == ".xz":
        with lzma.open(raw, "wb") as stream:
            yield cast(BinaryIO, stream)
    else:
        yield raw


def _write_folder(field: DensityField, write: Writer, path: Path) -> None:
    """A folder, moved into place when complete; one that was there before is replaced."""
    with scratch(path) as beside:
        write(field, beside / "new")
        if path.is_dir():
            os.replace(path, beside / "old")
        elif path.exists():
            path.unlink()
        os.replace(beside / "new", path)
