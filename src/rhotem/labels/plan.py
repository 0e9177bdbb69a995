"""Plans: which labels are wanted, with which settings and limits. YAML, TOML or JSON, checked before anything runs."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ase
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rhotem.core import InputError
from rhotem.labels.gpaw_settings import DftSettings
from rhotem.labels.job import Job, read_jobs, unique
from rhotem.labels.recipes import Recipe
from rhotem.structure.model import Structure


class Limits(BaseModel):
    """Seconds of processor time per run (all attempts together) and number of self-consistency attempts."""

    model_config = ConfigDict(extra="forbid")
    time: float = Field(1800.0, gt=0)
    attempts: int = Field(4, ge=1, le=4)


class Sampler(BaseModel):
    """Random recipes of battery chemistry (`rhotem.labels.sampler`), unlike what the output directory lists."""

    model_config = ConfigDict(extra="forbid")
    count: int = Field(gt=0)
    seed: int = 0
    families: list[str] = []
    min_atoms: int = Field(1, gt=0)
    max_atoms: int = Field(28, gt=0)
    max_electrons: int = Field(200, gt=0)
    candidates: int = Field(10, ge=1)


class FileEntry(BaseModel):
    """A structure file that ASE reads; ``index`` as in ASE (``-1``, ``:``, ``0:100:10``)."""

    model_config = ConfigDict(extra="forbid")
    path: Path
    index: str = "-1"
    charge: float = 0.0
    prototype: str | None = None
    family: str = "file"


class Trajectory(BaseModel):
    """Molecular dynamics from a recipe: ``frames`` snapshots every ``interval`` fs at ``temperature`` K."""

    model_config = ConfigDict(extra="forbid")
    start: Recipe
    temperature: float = Field(600.0, gt=0)
    frames: int = Field(1, ge=1)
    interval: float = Field(200.0, gt=0)
    potential: str = "sevennet"
    seed: int = 0


class Plan(BaseModel):
    """What `rhotem labels run` does.

    ``output`` is the directory of records; relative paths are relative to the plan. Recipes come first, then files,
    then ``records`` (label files or directories, calculated again), then trajectories, then the sampler; jobs run in
    that order.
    """

    model_config = ConfigDict(extra="forbid")
    output: Path
    settings: dict[str, Any] = {}
    limits: Limits = Limits()
    recipes: list[Recipe] = []
    files: list[FileEntry] = []
    records: list[Path] = []
    trajectories: list[Trajectory] = []
    sampler: Sampler | None = None

    def dft(self) -> DftSettings:
        """The DFT settings, defaults filled in."""
        try:
            return DftSettings(**self.settings)
        except TypeError as error:
            raise InputError(f"plan: settings: {error}") from error

    def structures(
        self,
        root: Path,
        select: Callable | None = None,
        known: Sequence[Structure] = (),
        calculators: Callable[[str], Any] | None = None,
    ) -> Iterator[Structure]:
        """All structures in order; the sampler stays away from ``known``, ``select`` picks among its candidates."""
        for recipe in self.recipes:
            yield recipe.build()
        for entry in self.files:
            yield from _from_file(entry, root)
        for folder in self.records:
            yield from _structures_in(root / folder)
        for trajectory in self.trajectories:
            yield from _trajectory(trajectory, calculators)
        if self.sampler:
            from rhotem.labels.sampler import sample

            yield from sample(**self.sampler.model_dump(), known=known, select=select)


def load_plan(path: str | Path) -> Plan:
    """Read and check a plan.

    Raises
    ------
    InputError
        With the first thing that is wrong and where.
    """
    path = Path(path)
    try:
        text = path.read_text()
        content = _parse(path, text)
        plan = Plan.model_validate(content)
    except OSError as error:
        raise InputError(f"plan {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise InputError(f"plan {path}: {where}: {first['msg']}, got {str(first['input'])[:60]!r}") from error
    plan.dft()
    return plan.model_copy(update={"output": (path.parent / plan.output).resolve()})


def jobs_of(
    plan: Plan,
    root: Path,
    select: Callable | None = None,
    known: Sequence[Path] = (),
    calculators: Callable[[str], Any] | None = None,
) -> list[Job]:
    """Jobs of the plan, decided once: ``output/plans/HASH.jsonl`` keeps them: the same plan, the same runs.

    ``output/jobs.jsonl`` lists the jobs of all plans that write there. The sampler stays away from those and from the
    labels in the directories ``known``. ``calculators`` makes an ASE calculator from the name of a potential.
    """
    key = hashlib.sha256(plan.model_dump_json(exclude={"output", "limits"}).encode()).hexdigest()[:16]
    decided = plan.output / "plans" / f"{key}.jsonl"
    if decided.exists():
        return read_jobs(decided)
    settings = plan.dft()
    listed = _listed(plan.output)
    seen = {job.id for job in listed}
    near = [job.structure for job in listed] + [s for folder in known for s in _structures_in(folder)]
    jobs = list(unique(Job.of(s, settings) for s in plan.structures(root, select, near, calculators)))
    decided.parent.mkdir(parents=True, exist_ok=True)
    with open(plan.output / "jobs.jsonl", "a") as stream:
        stream.writelines(job.to_json() + "\n" for job in jobs if job.id not in seen)
    unfinished = decided.with_suffix(".tmp")
    unfinished.write_text("".join(job.to_json() + "\n" for job in jobs))
    os.replace(unfinished, decided)
    return jobs


def _trajectory(entry: Trajectory, calculators: Callable[[str], Any] | None) -> Iterator[Structure]:
    import numpy as np

    from rhotem.labels.trajectories import md_frames

    if calculators is None:
        raise InputError(f"plan: trajectories need the potential {entry.potential!r}, none was given")
    start = entry.start.build()
    rng = np.random.default_rng(entry.seed)
    yield from md_frames(start, calculators(entry.potential), entry.temperature, rng, entry.frames, entry.interval)


def _listed(output: Path) -> list[Job]:
    path = output / "jobs.jsonl"
    return read_jobs(path) if path.exists() else []


def _structures_in(folder: Path) -> Iterator[Structure]:
    """Structures of labels in a file, a shard or a folder, named as they were."""
    from rhotem.labels.read import read_labels, with_parent

    names = ("name", "prototype", "composition", "ordering", "family", "recipe", "phases")
    for record in map(with_parent, read_labels([folder])):
        info = {key: record.meta[key] for key in names if key in record.meta}
        yield Structure(record.structure.atoms, charge=record.structure.charge, info=info)


def _parse(path: Path, text: str) -> Any:
    try:
        if path.suffix in (".yaml", ".yml"):
            import yaml

            return yaml.safe_load(text)
        if path.suffix == ".toml":
            import tomllib

            return tomllib.loads(text)
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"plan {path}: not valid {path.suffix or 'JSON'} ({error})") from error
    except Exception as error:
        if type(error).__module__.startswith("yaml"):
            raise InputError(f"plan {path}: not valid YAML ({' '.join(str(error).split())})") from error
        raise


def _from_file(entry: FileEntry, root: Path) -> Iterator[Structure]:
    from ase.io import read

    from rhotem.labels.recipes import ordering_key

    path = entry.path if entry.path.is_absolute() else root / entry.path
    try:
        frames = read(path, index=entry.index)
    except Exception as error:
        raise InputError(f"plan: structure file {path}: {type(error).__name__}: {error}") from error
    for number, atoms in enumerate(frames if isinstance(frames, list) else [frames]):
        plain = ase.Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell.array, pbc=True)
        info = {
            "prototype": entry.prototype or path.stem,
            "composition": plain.get_chemical_formula(mode="hill", empirical=True),
            "ordering": ordering_key(plain),
            "family": entry.family,
            "name": f"{path.name}:{number}",
        }
        yield Structure(plain, charge=entry.charge, info=info)
