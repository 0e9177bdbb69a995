"""Plans and records of runs read from files."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rhotem.analysis.plan.contents import FORMAT
from rhotem.analysis.plan.file import Marks, parse_document, read_document
from rhotem.analysis.plan.model import Plan
from rhotem.analysis.plan.paths import from_folder, with_paths
from rhotem.analysis.plan.problems import problems
from rhotem.core import InputError
from rhotem.core.output import RECORD, RECORD_FORMAT
from rhotem.core.physics import PHYSICS


@dataclass(frozen=True)
class Recorded:
    """A run as its record tells it.

    Parameters
    ----------
    plan : Plan
    path : Path
        Of the record.
    physics : int
        Version of the physics that made it.
    inputs : dict
        SHA-256 of what was read, by key of the plan ("specimen.structure").
    machine : dict
        Threads, processor, and how transforms were planned.
    place : str
        Where potentials lay: "memory", "disk" or "cluster".
    memory : float or None
        Bytes that the simulation was allowed.
    versions : dict
        Of Python and of packages.
    """

    plan: Plan
    path: Path
    physics: int = PHYSICS
    inputs: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    place: str = ""
    memory: float | None = None
    versions: dict[str, str] = field(default_factory=dict)


def load_plan(path: str | Path) -> Plan:
    """The plan in a YAML or JSON file, or in the record of a run; its relative paths refer to the file's folder.

    Raises
    ------
    InputError
        In one line with file, line and key, if it cannot be read, a key is unknown or a value cannot be.
    """
    return load_run(path).plan


def load_run(path: str | Path) -> Recorded:
    """A plan, or the run that a record tells of; see `load_plan`."""
    path = Path(path)
    if path.is_dir() and (path / RECORD).is_file():
        path = path / RECORD
    data, lines = read_document(path)
    if isinstance(data, dict) and data.get("format") == RECORD_FORMAT["format"]:
        return _recorded(data, path)
    if not isinstance(data, dict) or "rhotem" not in data:
        raise InputError(f"{path}, line 1: no plan: it has no key rhotem; a plan starts with `rhotem: {FORMAT}`")
    return Recorded(_plan(data, lines, path), path)


def parse_plan(text: str, folder: str | Path = ".") -> Plan:
    """The plan in a text of YAML or JSON, as if it stood in a file in ``folder``."""
    path = Path(folder) / "plan.yaml"
    data, lines = parse_document(text, path)
    if not isinstance(data, dict):
        raise InputError(f"plan: expected keys and values, starting with `rhotem: {FORMAT}`")
    return _plan(data, lines, path)


def _plan(data: dict[str, Any], lines: Marks, path: Path) -> Plan:
    given = {key: {} if value is None else value for key, value in data.items()}
    try:
        return Plan.model_validate(with_paths(given, lambda name: from_folder(name, path.parent)))
    except ValidationError as error:
        listed = sorted(problems(error, Plan), key=lambda problem: problem.line(lines).line)
        more = f" (and {len(listed) - 1} more)" if len(listed) > 1 else ""
        raise InputError(f"{path}, line {listed[0].line(lines)}: {listed[0]}{more}") from None


def _recorded(data: dict[str, Any], path: Path) -> Recorded:
    """What a record holds.

    Raises
    ------
    InputError
        If it is of an older format or another command, whose records hold no plan.
    """
    if not isinstance(data.get("plan"), dict):
        by = data.get("versions", {}).get("rhotem", "an older version")
        command = " ".join(str(word) for word in data.get("command", ())) or "its command"
        raise InputError(
            f"{path}: record of format {data.get('format_version')} by RhoTEM {by} without a plan; repeat {command}"
        )
    run = data.get("run", {})
    limit = data.get("simulation", {}).get("plan", {}).get("limit")
    return Recorded(
        _plan(data["plan"], {}, path),
        path,
        int(run.get("physics", PHYSICS)),
        dict(run.get("inputs", {})),
        dict(run.get("machine", {})),
        str(run.get("place", "")),
        limit,
        dict(data.get("versions", {})),
    )
