"""Campaigns read from files."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rhotem.analysis.plan.paths import from_folder
from rhotem.analysis.plan.problems import At, Problem
from rhotem.library.campaign.model import FORMAT, Campaign
from rhotem.library.plans import load


def load_campaign(path: str | Path) -> Campaign:
    """The campaign in a YAML or JSON file; relative paths in it refer to the file's folder.

    Raises
    ------
    InputError
        In one line with file, line, column and key.
    """
    return load(Path(path), Campaign, ("rhotem-campaign", FORMAT, "campaign"), _with_paths, _inside)


def _inside(problem: Problem, error: ValidationError) -> Problem:
    """The problem with the whole way to its key: what a structure says of itself begins at the structure."""
    for item in error.errors():
        where = tuple(item["loc"])
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, At) and str(cause) == problem.message:
            return Problem((*where[: 2 if where[:1] == ("structures",) else 1], *cause.where), problem.message)
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
