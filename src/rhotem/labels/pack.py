"""Which labels are kept whole and which as chosen voxels: what goes into the repository."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from rhotem.density.metrics import treat_near_nuclei
from rhotem.labels.label import Label
from rhotem.labels.npz import write_npz
from rhotem.labels.quality import judge_file, suspect_spin
from rhotem.labels.read import read_label, with_parent
from rhotem.labels.splits import parent_of, wanted_whole
from rhotem.labels.states import State, why_not
from rhotem.labels.voxels import choose

#: Folders of labels that are tested against, and of labels that are only trained on.
PARTS = ("whole", "voxels")
#: Voxels kept of a label that is only trained on: per atom, at least, at most. The grid has about 10,000 per atom.
PER_ATOM, LEAST, MOST = 1500, 4000, 12000


def pack(source: Path, target: Path, whole: bool | None = None, known: Iterable[Path] = ()) -> dict[str, str]:
    """Write accepted and quarantined labels of ``source`` to ``target/whole`` and ``target/voxels``.

    Those that are there are left as they are. ``whole`` keeps all (True) or none (False) of the full grids; by default
    those of test parents are kept. Of accepted labels that differ only in the start of their self-consistency the
    lowest in energy is kept: a higher one is not written, or taken away if it is there, and the kept one says how far
    the others are above (``higher_states_eV`` in its meta, eV per cell). Labels in the directories ``known`` are
    compared with, too, and left as they are. Returns what happened to each label: "kept",
    "whole", "voxels", "higher: …" or "same: …" with the label that is kept, or the reason why it was rejected.
    """
    for part in PARTS:
        (target / part).mkdir(parents=True, exist_ok=True)
    packed = {path.stem: path for part in PARTS for path in sorted((target / part).glob("[!.]*.npz"))}
    files = sorted(source.glob("[!.]*.npz"))
    found = {path.stem: "kept" for path in files if path.stem in packed}
    fresh = [path for path in files if path.stem not in packed]
    places = {path.stem: path for folder in known for path in sorted(folder.glob("[!.]*.npz"))} | packed
    states = {name: State.of(read_label(path), name) for name, path in places.items()} if fresh else {}
    for path in fresh:
        record, verdict = judge_file(path)
        if record is None or verdict.state == "rejected":
            found[path.stem] = "; ".join(verdict.reasons)
            continue
        mine = State.of(record, path.stem)
        rivals = (s for s in states.values() if s.rivals(mine) and judge_file(places[s.name])[1].state == "accepted")
        rival = next(rivals, None) if verdict.state == "accepted" else None
        if rival and not mine.below(rival):
            found[path.stem] = why_not(mine, rival)
            if rival.below(mine) and rival.name in packed:
                _note(packed[rival.name], rival.higher(mine))
            continue
        if rival:
            record.meta["higher_states_eV"] = mine.higher(rival)
        keep = wanted_whole(record.meta, record.structure.atoms.get_chemical_symbols()) if whole is None else whole
        found[path.stem] = "whole" if keep else "voxels"
        record.meta["suspect_spin"] = bool(suspect_spin(record))
        packed[path.stem] = places[path.stem] = target / found[path.stem] / path.name
        states[path.stem] = mine
        _write(record if keep else sampled(record), packed[path.stem])
        if rival:
            del states[rival.name]
            found[rival.name] = why_not(rival, mine)
            if rival.name in packed:
                packed.pop(rival.name).unlink()
    return found


def _note(path: Path, higher: dict[str, float]) -> None:
    """Write into a packed label which states are above it, unless it says so."""
    record = read_label(path)
    if not set(higher) <= set(record.meta.get("higher_states_eV", {})):
        record.meta["higher_states_eV"] = higher
        _write(record, path)


def _write(record: Label, path: Path) -> None:
    """Whole grids in the plain form that anything can read; voxels compactly."""
    write_npz(record, path, compact=record.voxels is not None)


def sampled(record: Label, count: int | None = None) -> Label:
    """The record with chosen voxels only, treated near nuclei; the choice follows from the job, not from the hour."""
    treated, moved = treat_near_nuclei(record.deformation, record.structure, record.grid)
    if count is None:
        count = int(np.clip(PER_ATOM * len(record.structure), LEAST, MOST))
    seed = hashlib.sha256(str(record.meta.get("job", parent_of(record.meta))).encode()).digest()[:8]
    selection = choose(treated, count, np.random.default_rng(int.from_bytes(seed)))
    spin = record.magnetization
    return Label(
        record.structure,
        treated.ravel()[selection.index],
        None if spin is None else spin.ravel()[selection.index],
        record.forces,
        record.magmoms,
        {**record.meta, "treatment": moved},
        selection,
        record.grid.shape,
    )


def small_selection(sources: Iterable[Path], target: Path, limit: int = 3_000_000) -> list[str]:
    """The smallest accepted labels, one per parent, whole and without magnetization, up to ``limit`` bytes.

    For tests and demonstrations of training that must run anywhere. Returns their names.
    """
    target.mkdir(parents=True, exist_ok=True)
    files = sorted((f for s in sources for f in s.glob("[!.]*.npz")), key=lambda f: f.stat().st_size)
    parents: set[str] = set()
    kept: list[str] = []
    used = 0
    for path in files:
        record, verdict = judge_file(path)
        if record is None or verdict.state != "accepted" or record.voxels is not None:
            continue
        record = with_parent(record)
        if parent_of(record.meta) in parents:
            continue
        write_npz(replace(record, magnetization=None), target / path.name)
        used += (target / path.name).stat().st_size
        if used > limit:
            (target / path.name).unlink()
            break
        parents.add(parent_of(record.meta))
        kept.append(path.stem)
    return kept
