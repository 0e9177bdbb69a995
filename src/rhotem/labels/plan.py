"""Plans: which labels are wanted, with which settings and limits. YAML, TOML or JSON, checked before anything runs."""

import json
from collections.abc import Callable, Iterator
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
    """Seconds per run (all attempts together) and number of self-consistency attempts."""

    model_config = ConfigDict(extra="forbid")
    time: float = Field(1800.0, gt=0)
    attempts: int = Field(4, ge=1, le=4)


class Sampler(BaseModel):
    """Random recipes of battery chemistry, `rhotem.labels.sampler`."""

    model_config = ConfigDict(extra="forbid")
    count: int = Field(gt=0)
    seed: int = 0
    families: list[str] = []
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


class Plan(BaseModel):
    """What `rhotem labels run` does.

    ``output`` is the directory of records; relative paths are relative to the plan. Recipes come first, then files,
    then the sampler; jobs run in that order.
    """

    model_config = ConfigDict(extra="forbid")
    output: Path
    settings: dict[str, Any] = {}
    limits: Limits = Limits()
    recipes: list[Recipe] = []
    files: list[FileEntry] = []
    sampler: Sampler | None = None

    def dft(self) -> DftSettings:
        """The DFT settings, defaults filled in."""
        try:
            return DftSettings(**self.settings)
        except TypeError as error:
            raise InputError(f"plan: settings: {error}") from error

    def structures(self, root: Path, select: Callable | None = None) -> Iterator[Structure]:
        """All structures of the plan in order; ``select`` picks among the sampler's candidates."""
        for recipe in self.recipes:
            yield recipe.build()
        for entry in self.files:
            yield from _from_file(entry, root)
        if self.sampler:
            from rhotem.labels.sampler import sample

            yield from sample(**self.sampler.model_dump(), select=select)


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


def jobs_of(plan: Plan, root: Path, select: Callable | None = None) -> list[Job]:
    """Jobs of the plan; kept in ``output/jobs.jsonl``, so that a plan means the same calculations for ever.

    A plan that has grown appends to the file; jobs once listed stay listed.
    """
    settings = plan.dft()
    listed = plan.output / "jobs.jsonl"
    known = read_jobs(listed) if listed.exists() else []
    jobs = list(unique(Job.of(s, settings) for s in plan.structures(root, select)))
    seen = {job.id for job in known}
    new = [job for job in jobs if job.id not in seen]
    if new:
        plan.output.mkdir(parents=True, exist_ok=True)
        with open(listed, "a") as stream:
            stream.writelines(job.to_json() + "\n" for job in new)
    return jobs


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
