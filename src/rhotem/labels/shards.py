"""Shards: many labels in one file that never changes again.

A shard is a zip archive with one member per label (`rhotem.labels.members`); `rhotem.labels.read` reads it.
"""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from rhotem.labels.members import FINE, encode, encode_few
from rhotem.labels.quality import judge_file
from rhotem.labels.read import names, with_parent
from rhotem.labels.splits import read_split, wanted_whole


def add_shard(
    source: Path, folder: Path, known: Sequence[Path] = (), split: Path | None = None
) -> tuple[Path | None, dict[str, str]]:
    """Write the accepted labels of ``source`` that no shard of ``folder`` has to a new one, ``0001.zip`` and so on.

    Labels that may be tested on keep their grids, all others some 300 voxels per atom. Labels whose names are in the
    folders or shards ``known`` are left out, too; with the file of a ``split`` also those that it does not name, and
    what its part "test" names is kept whole. Returns the shard (None if nothing is new) and what happened to each
    label: "added", "kept", or why it was not taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = sorted(folder.glob("[0-9]*.zip"))
    there = {name for place in (*shards, *known) for name in names(place)}
    parts = None if split is None else read_split(split)
    used = None if parts is None else {name for part, ids in parts.items() if part != "excluded" for name in ids}
    outcome: dict[str, str] = {}
    members: dict[str, bytes] = {}
    for path in sorted(source.glob("[!.]*.npz")):
        if path.stem in there:
            outcome[path.stem] = "kept"
            continue
        if used is not None and path.stem not in used:
            continue
        label, verdict = judge_file(path)
        if label is None or verdict.state != "accepted" or not label.complete:
            outcome[path.stem] = "; ".join(verdict.reasons) or "chosen voxels only"
            continue
        label = with_parent(label)
        symbols = label.structure.atoms.get_chemical_symbols()
        tested = wanted_whole(label.meta, symbols) if parts is None else path.stem in parts.get("test", ())
        members[path.stem] = encode(label, FINE) if tested else encode_few(label, path.stem)
        outcome[path.stem] = "added"
    if not members:
        return None, outcome
    target = folder / f"{1 + max((int(s.stem) for s in shards), default=0):04d}.zip"
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            for name, content in members.items():
                archive.writestr(zipfile.ZipInfo(name), content)  # no date: the same labels, the same file
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target, outcome
