"""Shards: many labels with full grids in one file that never changes again.

A shard is a zip archive with one member per label: LZMA over a JSON header (structure, forces, meta) and the fields.
A field is rounded to multiples of a step, a small share of its mean |value|, and kept as the differences of neighbours
along all three axes (the Lorenzo predictor: Ibarria et al., Computer Graphics Forum 22, 343 (2003)), of which most
are small integers.
"""

import json
import lzma
import os
import struct
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.labels.quality import judge_file
from rhotem.labels.record import SCHEMA, LabelRecord
from rhotem.structure.model import Structure

#: Step of rounding as a share of the mean |value|, of labels that are tested against and of those that are only trained
#: on. Rounding is then 0.25 and 1 % of Σ|Δn|, without a sign, at every voxel alike: far below the noise of the grid.
FINE, COARSE = 0.01, 0.04
#: Mean |value| in e/Å³ that steps are taken from at least: a molecule in its box has 0.001, a crystal 0.005 to 0.05.
LEAST_MEAN = 2e-3
_FIELDS = ("deformation", "magnetization")


def add_shard(source: Path, folder: Path, known: Sequence[Path] = ()) -> tuple[Path | None, dict[str, str]]:
    """Write the accepted labels of ``source`` that no shard of ``folder`` has to a new one, ``0001.zip`` and so on.

    Labels whose names are in the directories or shards ``known`` are left out, too. Returns the shard (None if nothing
    is new) and what happened to each label: "added", "kept", or why it was not taken.
    """
    from rhotem.labels.pack import wanted_whole

    folder.mkdir(parents=True, exist_ok=True)
    shards = sorted(folder.glob("[0-9]*.zip"))
    there = {name for place in (*shards, *known) for name in names(place)}
    found: dict[str, str] = {}
    parts: dict[str, bytes] = {}
    for path in sorted(source.glob("[!.]*.npz")):
        if path.stem in there:
            found[path.stem] = "kept"
            continue
        record, verdict = judge_file(path)
        if record is None or verdict.state != "accepted" or record.voxels is not None:
            found[path.stem] = "; ".join(verdict.reasons) or "chosen voxels only"
            continue
        tested = wanted_whole(record.meta, record.structure.atoms.get_chemical_symbols())
        parts[path.stem] = encode(record, FINE if tested else COARSE)
        found[path.stem] = "added"
    if not parts:
        return None, found
    target = folder / f"{1 + max((int(s.stem) for s in shards), default=0):04d}.zip"
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            for name, content in parts.items():
                archive.writestr(zipfile.ZipInfo(name), content)  # no date: the same labels, the same file
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target, found


def names(place: Path) -> list[str]:
    """Names of the labels in a shard or a directory of label files."""
    if place.is_dir():
        return [path.stem for path in sorted(place.glob("[!.]*.npz"))]
    with _open(place) as archive:
        return archive.namelist()


def read_shard(path: Path, wanted: Iterable[str] | None = None) -> Iterator[tuple[str, LabelRecord]]:
    """Names and records of a shard, all or those ``wanted``.

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
                    yield name, decode(archive.read(name))
                except (zipfile.BadZipFile, lzma.LZMAError, ValueError, KeyError, struct.error, EOFError) as error:
                    raise InputError(f"{path}: label {name} is damaged ({error}); take the file again") from error


def encode(record: LabelRecord, share: float) -> bytes:
    """A record as bytes, its fields rounded to ``share`` of their mean |value| or of `LEAST_MEAN`."""
    s = record.structure
    header: dict[str, Any] = {
        "numbers": s.numbers.tolist(),
        "positions": s.positions.tolist(),
        "cell": s.cell.tolist(),
        "charge": s.charge,
        "forces": np.round(record.forces.astype(float), 5).tolist(),
        "magmoms": np.round(record.magmoms.astype(float), 5).tolist(),
        "meta": {"schema": SCHEMA, **record.meta},
        "shape": record.deformation.shape,
        "fields": [],
    }
    blocks = []
    for name in _FIELDS:
        field = getattr(record, name)
        if field is None:
            continue
        values = field.astype(float)
        step = share * max(float(np.abs(values).mean()), LEAST_MEAN)
        whole = np.rint(values / step).astype(np.int64)
        for axis in range(3):
            whole = np.diff(whole, axis=axis, prepend=0)
        folded = ((whole << 1) ^ (whole >> 63)).astype("<u4")  # sign into the lowest bit
        planes = max(1, (int(folded.max()).bit_length() + 7) // 8)
        blocks.append(folded.ravel().view(np.uint8).reshape(-1, 4).T[:planes].tobytes())
        header["fields"].append([name, step, planes])
    text = json.dumps(header).encode()
    return lzma.compress(struct.pack("<I", len(text)) + text + b"".join(blocks), preset=6)


def decode(content: bytes) -> LabelRecord:
    """Inverse of `encode`; fields come as float32."""
    raw = lzma.decompress(content)
    start = 4 + struct.unpack("<I", raw[:4])[0]
    header = json.loads(raw[4:start])
    if header["meta"].get("schema", 1) > SCHEMA:
        raise ValueError(f"label schema {header['meta']['schema']}, this RhoTEM reads up to {SCHEMA}")
    shape = tuple(header["shape"])
    fields: dict[str, npt.NDArray | None] = dict.fromkeys(_FIELDS)
    for name, step, planes in header["fields"]:
        size = int(np.prod(shape))
        folded = np.zeros((size, 4), dtype=np.uint8)
        folded[:, :planes] = np.frombuffer(raw, np.uint8, planes * size, start).reshape(planes, size).T
        start += planes * size
        whole = folded.view("<u4").reshape(shape).astype(np.int64)
        whole = (whole >> 1) ^ -(whole & 1)
        for axis in range(3):
            whole = np.cumsum(whole, axis=axis)
        fields[name] = (whole * step).astype(np.float32)
    atoms = ase.Atoms(numbers=header["numbers"], positions=header["positions"], cell=header["cell"], pbc=True)
    deformation = fields["deformation"]
    if deformation is None:
        raise ValueError("no deformation density in it")
    return LabelRecord(
        structure=Structure(atoms, charge=header["charge"]),
        deformation=deformation,
        magnetization=fields["magnetization"],
        forces=np.array(header["forces"], dtype=np.float32),
        magmoms=np.array(header["magmoms"], dtype=np.float32),
        meta=header["meta"],
    )


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a shard of labels ({error}); it may be truncated: take it again") from error
