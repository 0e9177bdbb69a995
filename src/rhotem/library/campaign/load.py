"""Campaigns read from files: what is wrong is said with line, column and key."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rhotem.analysis.plan.file import read_document
from rhotem.analysis.plan.paths import from_folder
from rhotem.analysis.plan.problems import Problem, problems
from rhotem.core import InputError
from rhotem.library.campaign.model import FORMAT, Campaign


def load_campaign(path: str | Path) -> Campaign:
    """The campaign in a YAML or JSON file; relative paths in it refer to the file's folder.

    Raises
    ------
    InputError
        In one line with file, line, column and key.
    """
    path = Path(path)
    data, marks = read_document(path)
    if not isinstance(data, dict) or "rhotem-campaign" not in data:
        raise InputError(
            f"{path}, line 1: no campaign: it has no key rhotem-campaign; it starts with `rhotem-campaign: {FORMAT}`"
        )
    try:
        return Campaign.model_validate(_with_paths(data, path.parent))
    except ValidationError as error:
        listed = sorted(problems(error, Campaign), key=lambda problem: problem.line(marks).line)
        first = _inside(listed[0], error)
        mark = first.line(marks)
        more = f" (and {len(listed) - 1} more)" if len(listed) > 1 else ""
        raise InputError(f"{path}, line {mark.line}, column {mark.column}: {first}{more}") from None


def _inside(problem: Problem, error: ValidationError) -> Problem:
    """The problem with the whole way to its key: what a structure says of itself begins at the structure."""
    for item in error.errors():
        where = tuple(item["loc"])
        if where[:1] == ("structures",) and problem.where[:1] != ("structures",):
            return Problem((*where[:2], *problem.where), problem.message)
    return problem


def _with_paths(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths of the file as the working directory sees them."""

    def seen(name: Any) -> Any:
        return from_folder(name, folder) if isinstance(name, str) and not name.startswith("phase:") else name

    def each(value: Any) -> Any:
        return [each(item) for item in value] if isinstance(value, list) else seen(value)

    made = dict(data)
    if isinstance(made.get("structures"), list):
        made["structures"] = [
            {key: each(value) if key in ("names", "crystals") else value for key, value in item.items()}
            if isinstance(item, dict)
            else seen(item)
            for item in made["structures"]
        ]
    for section, key in (("density", "source"), ("microscope", "instrument")):
        inside = made.get(section)
        if isinstance(inside, dict) and key in inside:
            made[section] = {**inside, key: seen(inside[key])}
    if isinstance(made.get("vary"), dict):
        paths = ("source", "instrument")
        made["vary"] = {
            name: each(value) if str(name).rpartition(".")[2] in paths else value
            for name, value in made["vary"].items()
        }
    return made
