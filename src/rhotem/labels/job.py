"""A DFT run to be done: one structure with settings, known by a hash of both."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ase
import numpy as np

from rhotem.core import InputError
from rhotem.labels.gpaw_settings import DftSettings, unusual
from rhotem.structure.model import Structure


@dataclass(frozen=True)
class Job:
    """A structure, DFT settings and what the structure is called.

    ``info`` carries ``name``, ``prototype``, ``composition``, ``ordering`` and whatever else is to be found again in
    the record; it takes no part in the identifier, so the same calculation under two names is done once.
    """

    numbers: tuple[int, ...]
    positions: tuple[tuple[float, ...], ...]
    cell: tuple[tuple[float, ...], ...]
    charge: float = 0.0
    moments: tuple[float, ...] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, structure: Structure, settings: DftSettings | None = None) -> "Job":
        """The job for ``structure``; positions and cell are rounded to 1e-8 Å."""
        moments = structure.moments
        return cls(
            numbers=tuple(int(z) for z in structure.numbers),
            positions=_rounded(structure.positions),
            cell=_rounded(structure.cell),
            charge=float(structure.charge),
            moments=None if moments is None else tuple(float(m) for m in moments),
            settings=_plain((settings or DftSettings()).as_dict()),
            info=dict(structure.info),
        )

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits: SHA-256 of structure and settings.

        Settings at their defaults for the elements there are take no part, so that neither a new setting nor U for a
        new element renames old runs.
        """
        content = {k: v for k, v in asdict(self).items() if k != "info"}
        content["settings"] = unusual(_plain(self.settings), ase.Atoms(self.numbers).get_chemical_symbols())
        return hashlib.sha256(json.dumps(_plain(content), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def structure(self) -> Structure:
        """The structure as an object."""
        atoms = ase.Atoms(numbers=self.numbers, positions=self.positions, cell=self.cell, pbc=True)
        moments = None if self.moments is None else np.array(self.moments)
        return Structure(atoms, charge=self.charge, moments=moments, info=dict(self.info))

    @property
    def dft(self) -> DftSettings:
        """The settings as an object."""
        values = dict(self.settings)
        if values.get("kpts") is not None:
            values["kpts"] = tuple(values["kpts"])
        return DftSettings(**values)

    def to_json(self) -> str:
        """One line."""
        return json.dumps({"id": self.id, **_plain(asdict(self))}, sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> "Job":
        """Inverse of `to_json`."""
        values = json.loads(line)
        name = values.pop("id")
        for key in ("numbers", "moments"):
            values[key] = None if values[key] is None else tuple(values[key])
        for key in ("positions", "cell"):
            values[key] = tuple(tuple(row) for row in values[key])
        job = cls(**values)
        if job.id != name:
            raise InputError(
                f"job {name}: its content hashes to {job.id}; the job file was edited, delete it to redo it"
            )
        return job


def unique(jobs: Iterable[Job]) -> Iterator[Job]:
    """Jobs in order, the same calculation once."""
    seen = set()
    for job in jobs:
        if job.id not in seen:
            seen.add(job.id)
            yield job


def read_jobs(path: Path) -> list[Job]:
    """Jobs of a JSON-lines file."""
    return [Job.from_json(line) for line in path.read_text().splitlines() if line.strip()]


def _rounded(array: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) + 0.0 for x in row) for row in np.round(array, 8))


def _plain(value: Any) -> Any:
    """The value as JSON would give it back, so that hashes do not depend on tuples or numpy types."""
    return json.loads(json.dumps(value, default=float))
