"""The label store: treated deformation densities of many structures, memory-mapped, to be sampled at random.

A directory: ``store.json`` (schema), ``index.jsonl`` (one line per record: structure, provenance, checksum) and
``data/ID.npy`` (one structured array per record). Records are only ever added.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.provenance import array_sha256
from rhotem.density.metrics import treat_near_nuclei
from rhotem.labels.label import Label
from rhotem.labels.quality import judge
from rhotem.labels.read import names, read_labels, with_parent
from rhotem.labels.splits import Candidate, parent_of, wanted_whole
from rhotem.labels.states import State, superseded
from rhotem.structure.model import Structure

SCHEMA = 1
#: One voxel: flat index on the grid, Δn and n↑ − n↓ in e/Å³, number of voxels it stands for.
VOXEL = np.dtype([("index", "<i4"), ("deformation", "<f4"), ("magnetization", "<f4"), ("weight", "<f4")])


@dataclass(frozen=True, eq=False)
class Voxels:
    """Random voxels of one structure.

    Parameters
    ----------
    positions : (n, 3) array
        Cartesian, Å.
    deformation, magnetization : (n,) float32 arrays
        e/Å³, treated near nuclei (`rhotem.density.metrics.treat_near_nuclei`); zero magnetization without spin.
    weight : (n,) float32 array
        Importance weights; uniform sampling of the grid has 1 everywhere.
    """

    positions: npt.NDArray[np.float64]
    deformation: npt.NDArray[np.float32]
    magnetization: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Entry:
    """What the index knows of one record."""

    id: str
    shape: tuple[int, int, int]
    complete: bool
    sha256: str
    state: str
    reasons: tuple[str, ...]
    structure: dict[str, Any]
    meta: dict[str, Any]

    @property
    def parent(self) -> str:
        """Prototype, composition and ordering; all strained, displaced and charged copies share it."""
        return parent_of(self.meta)

    @property
    def electronic_state(self) -> State:
        """What was calculated, to be compared with other states of the structure."""
        s = self.structure
        numbers, positions, cell = (np.array(s[key]) for key in ("numbers", "positions", "cell"))
        return State(self.id, numbers, positions, cell, s["charge"], self.meta)


class LabelStore:
    """Open store; build one with `LabelStore.create` and `add`.

    Parameters
    ----------
    path : Path
        Its directory.

    Raises
    ------
    InputError
        If it is not a store, or one of a newer schema.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            header = json.loads((self.path / "store.json").read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: not a label store ({error}); make one with  rhotem labels store") from error
        if header["schema"] > SCHEMA:
            raise InputError(
                f"{path}: store schema {header['schema']}, this RhoTEM reads up to {SCHEMA}; update RhoTEM"
            )

    @classmethod
    def create(cls, path: str | Path) -> "LabelStore":
        """A new, empty store (or the one that is there)."""
        path = Path(path)
        (path / "data").mkdir(parents=True, exist_ok=True)
        if not (path / "store.json").exists():
            (path / "store.json").write_text(json.dumps({"schema": SCHEMA, "units": "e/Å³, Å", "voxel": VOXEL.descr}))
        return cls(path)

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """All records by identifier, also those that may not be used."""
        listed = self.path / "index.jsonl"
        found: dict[str, Entry] = {}
        for line in listed.read_text().splitlines() if listed.exists() else []:
            try:
                values = json.loads(line)
            except ValueError:
                continue  # cut off by a kill while it was added: added again next time
            values["shape"], values["reasons"] = tuple(values["shape"]), tuple(values["reasons"])
            found[values["id"]] = Entry(**values)
        return found

    @property
    def ids(self) -> list[str]:
        """Identifiers of the records that may be trained on or tested against: accepted, and no lower state known."""
        higher = self.superseded()
        return [key for key, entry in self.entries.items() if entry.state == "accepted" and key not in higher]

    def superseded(self) -> dict[str, tuple[str, float]]:
        """Accepted records of which a lower state is in the store: its identifier, and how far it is below in eV."""
        accepted = [e.electronic_state for e in self.entries.values() if e.state == "accepted"]
        return {name: (lowest.name, gap) for name, (lowest, gap) in superseded(accepted).items()}

    def labels(self) -> list[Candidate]:
        """What `rhotem.labels.splits` needs to know of every record that may be used."""
        from ase.data import chemical_symbols

        higher: dict[str, list[str]] = {}
        for name, (lowest, _) in self.superseded().items():
            higher.setdefault(lowest, []).append(name)
        return [
            Candidate(
                e.id,
                e.meta,
                tuple(chemical_symbols[z] for z in e.structure["numbers"]),
                e.complete,
                self.structure(e.id).atoms,
                tuple(sorted({*higher.get(e.id, ()), *e.meta.get("higher_states_eV", ())})),
            )
            for e in (self.entries[name] for name in self.ids)
        ]

    def add(self, record: Label, name: str) -> Entry:
        """Judge, treat and append a record; one already there is left as it is."""
        if name in self.entries:
            return self.entries[name]
        verdict = judge(record)
        data = _voxel_table(record) if verdict.state != "rejected" else np.empty(0, VOXEL)
        target = self.path / "data" / f"{name}.npy"
        unfinished = target.with_name(f".{name}.{os.getpid()}.npy")
        np.save(unfinished, data)
        os.replace(unfinished, target)
        s = record.structure
        entry = Entry(
            id=name,
            shape=record.grid.shape,
            complete=len(data) == record.grid.size,
            sha256=array_sha256(data),
            state=verdict.state,
            reasons=verdict.reasons,
            structure={
                "numbers": s.numbers.tolist(),
                "positions": s.positions.tolist(),
                "cell": s.cell.tolist(),
                "charge": s.charge,
                "magmoms": np.asarray(record.magmoms, dtype=float).tolist(),
            },
            meta=record.meta,
        )
        append_line(self.path / "index.jsonl", json.dumps(entry.__dict__))
        self.entries[name] = entry
        return entry

    def structure(self, name: str) -> Structure:
        """The structure of a record."""
        s = self.entries[name].structure
        atoms = ase.Atoms(numbers=s["numbers"], positions=s["positions"], cell=s["cell"], pbc=True)
        return Structure(atoms, charge=s["charge"], info={"name": name, "parent": self.entries[name].parent})

    def grid(self, name: str) -> PeriodicGrid:
        """The grid on which the record was calculated."""
        return PeriodicGrid(np.array(self.entries[name].structure["cell"]), self.entries[name].shape)

    def table(self, name: str) -> npt.NDArray:
        """All voxels of a record as they lie on disk (memory-mapped, dtype `VOXEL`)."""
        return _mapped(str(self.path / "data" / f"{name}.npy"))

    def deformation(self, name: str) -> npt.NDArray[np.float32]:
        """The whole treated field in e/Å³.

        Raises
        ------
        InputError
            If only chosen voxels of it are stored.
        """
        entry = self.entries[name]
        if not entry.complete:
            raise InputError(f"label {name}: only chosen voxels are stored; metrics need a label with its full grid")
        return np.asarray(self.table(name)["deformation"]).reshape(entry.shape)

    def sample(self, name: str, count: int, rng: np.random.Generator) -> Voxels:
        """``count`` random voxels (with repetition) of one record."""
        table = self.table(name)
        rows = table[rng.integers(len(table), size=count)]
        n1, n2, n3 = self.entries[name].shape
        plane, k = np.divmod(rows["index"], n3)
        i, j = np.divmod(plane, n2)
        steps = np.array(self.entries[name].structure["cell"]) / np.array([[n1], [n2], [n3]])
        positions = np.stack([i, j, k], axis=1) @ steps
        return Voxels(positions, rows["deformation"], rows["magnetization"], rows["weight"])

    def batches(
        self, names: list[str], structures: int, voxels: int, rng: np.random.Generator
    ) -> Iterator[list[tuple[str, Voxels]]]:
        """One pass over ``names`` in random order: batches of ``structures`` records with ``voxels`` voxels each."""
        order = rng.permutation(len(names))
        for start in range(0, len(order), structures):
            yield [(names[i], self.sample(names[i], voxels, rng)) for i in order[start : start + structures]]

    def damaged(self) -> dict[str, str]:
        """Records whose data are missing or do not have their checksum."""
        found = {}
        for name, entry in self.entries.items():
            try:
                if array_sha256(np.load(self.path / "data" / f"{name}.npy")) != entry.sha256:
                    found[name] = "checksum does not match"
            except (OSError, ValueError, EOFError) as error:
                found[name] = f"not readable ({error})"
        return found


def build(path: str | Path, sources: Iterable[str | Path]) -> tuple[LabelStore, dict[str, str]]:
    """A store from label files, shards and folders of either; also the files that could not be read, and why.

    Whole labels of shards that nothing is tested against are sampled as `rhotem.labels.pack.sampled` does.
    """
    from rhotem.labels.pack import sampled

    store = LabelStore.create(path)
    unread: dict[str, str] = {}
    for source in map(Path, sources):
        files = sorted(f for f in source.glob("[!.]*") if f.suffix in (".npz", ".zip")) if source.is_dir() else [source]
        for file in files:
            try:
                fresh = set(names(file)) - set(store.entries)
                for label in map(with_parent, read_labels([file], fresh) if fresh else ()):
                    known = label.meta, label.structure.atoms.get_chemical_symbols()
                    small = file.suffix == ".npz" or not label.complete or wanted_whole(*known)
                    store.add(label if small else sampled(label), label.name)
            except InputError as error:
                unread[str(file)] = str(error)
    return store, unread


def _voxel_table(record: Label) -> npt.NDArray:
    """All voxels, treated, or the chosen ones of a record that has only those (treated when they were chosen)."""
    if record.voxels is not None:
        index, weight = record.voxels.index, record.voxels.weight
        deformation, magnetization = record.deformation, record.magnetization
    else:
        deformation = treat_near_nuclei(record.deformation, record.structure, record.grid)[0].ravel()
        magnetization = None if record.magnetization is None else record.magnetization.ravel()
        index = np.arange(len(deformation), dtype=np.int32)
        weight = np.ones(len(index), dtype=np.float32)
    table = np.zeros(len(index), VOXEL)
    table["index"], table["deformation"], table["weight"] = index, deformation, weight
    if magnetization is not None:
        table["magnetization"] = magnetization
    return table


def append_line(path: Path, line: str) -> None:
    """Append a line; one that a kill has cut off before it is closed first."""
    with open(path, "ab+") as stream:
        if stream.seek(0, os.SEEK_END) > 0:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        stream.write(line.encode() + b"\n")


@lru_cache(maxsize=1024)
def _mapped(path: str) -> npt.NDArray:
    return np.load(path, mmap_mode="r")
