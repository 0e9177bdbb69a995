"""Shards: many labels in one file that never changes again.

A shard is a zip archive with one member per label (`rhotem.labels.members`); `rhotem.labels.read` reads it.
"""

import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from rhotem.labels.label import Label
from rhotem.labels.members import FINE, encode, encode_few
from rhotem.labels.quality import judge_file
from rhotem.labels.read import names, read_labels, with_parent
from rhotem.labels.splits import read_split, wanted_whole
from rhotem.labels.states import State, why_not


def add_shard(
    source: Path, folder: Path, known: Sequence[Path] = (), split: Path | None = None
) -> tuple[Path | None, dict[str, str]]:
    """Write the accepted labels of ``source`` that no shard of ``folder`` has to a new one, ``0001.zip`` and so on.

    Labels that may be tested on keep their grids, all others some 300 voxels per atom. Labels whose names are in the
    folders or shards ``known`` are left out, too. Of labels that differ only in the start of their self-consistency,
    here and in those places, a higher one is not taken; one that a shard has already stays there, and
    `rhotem.labels.listing` does not hand it out. With the file of a ``split`` that file decides: labels that it does
    not name are left out, and what its part "test" names is kept whole.

    Returns
    -------
    shard : Path or None
        None if nothing is new.
    outcome : dict
        What happened to each label: "added", "kept", or why it was not taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = sorted(folder.glob("[0-9]*.zip"))
    elsewhere = [*shards, *known]
    there = {name for place in elsewhere for name in names(place)}
    parts = None if split is None else read_split(split)
    used = None if parts is None else {name for part, ids in parts.items() if part != "excluded" for name in ids}
    paths = [p for p in sorted(source.glob("[!.]*.npz")) if used is None or p.stem in used]
    outcome = {path.stem: "kept" for path in paths if path.stem in there}
    fresh: dict[str, Label] = {}
    for path in (p for p in paths if p.stem not in there):
        label, verdict = judge_file(path)
        if label is None or verdict.state != "accepted" or not label.complete:
            outcome[path.stem] = "; ".join(verdict.reasons) or "chosen voxels only"
        else:
            fresh[path.stem] = with_parent(label)
    if parts is None:
        for name, reason in _higher(fresh, elsewhere).items():
            outcome[name] = reason
            del fresh[name]
    if not fresh:
        return None, outcome
    tested = parts.get("test", []) if parts is not None else [n for n, label in fresh.items() if _is_tested(label)]
    members = {n: encode(label, FINE) if n in tested else encode_few(label, n) for n, label in fresh.items()}
    target = folder / f"{1 + max((int(s.stem) for s in shards), default=0):04d}.zip"
    _write(target, members)
    return target, {**outcome, **dict.fromkeys(members, "added")}


def _is_tested(label: Label) -> bool:
    return wanted_whole(label.meta, label.structure.atoms.get_chemical_symbols())


def _higher(fresh: dict[str, Label], elsewhere: Iterable[Path]) -> dict[str, str]:
    """Those of ``fresh`` that are not below another label of their structure, and why they are not taken."""
    if not fresh:
        return {}
    formulas = {tuple(sorted(label.structure.numbers)) for label in fresh.values()}
    states = [State.of(x, x.name) for x in read_labels(elsewhere) if tuple(sorted(x.structure.numbers)) in formulas]
    left: dict[str, str] = {}
    mine = sorted(
        (State.of(label, name) for name, label in fresh.items()), key=lambda s: s.meta.get("energy_eV") or 0.0
    )
    for state in mine:
        rival = next((s for s in states if s.rivals(state) and not state.below(s)), None)
        if rival is None:
            states.append(state)
        else:
            left[state.name] = why_not(state, rival)
    return left


def _write(target: Path, members: dict[str, bytes]) -> None:
    """The archive; it appears under its name only when it is complete."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            for name, content in members.items():
                archive.writestr(zipfile.ZipInfo(name), content)  # no date: the same labels, the same file
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
