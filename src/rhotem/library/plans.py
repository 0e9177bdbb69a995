"""Plans of libraries read from files: what is wrong is said with line, column and key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from rhotem.analysis.plan.file import read_document
from rhotem.analysis.plan.problems import Problem, problems
from rhotem.core import InputError

Read = TypeVar("Read", bound=BaseModel)


def as_it_is(problem: Problem, error: ValidationError) -> Problem:
    """A problem where it says it is."""
    return problem


def load(
    path: Path,
    model: type[Read],
    begins: tuple[str, int, str],
    with_paths: Callable[[dict[str, Any], Path], dict[str, Any]],
    inside: Callable[[Problem, ValidationError], Problem] = as_it_is,
) -> Read:
    """The plan in a YAML or JSON file.

    Parameters
    ----------
    path : Path
    model : pydantic model
    begins : (str, int, str)
        Key and number that such a file starts with, and what it is called.
    with_paths : callable
        Gives the content with paths as its folder sees them.
    inside : callable
        Gives a problem the whole way to its key.

    Raises
    ------
    InputError
        In one line with file, line, column and key.
    """
    key, number, name = begins
    data, marks = read_document(path)
    if not isinstance(data, dict) or key not in data:
        raise InputError(f"{path}, line 1: no {name}: it has no key {key}; it starts with `{key}: {number}`")
    try:
        return model.model_validate(with_paths(data, path.parent))
    except ValidationError as error:
        listed = sorted(problems(error, model), key=lambda problem: problem.line(marks).line)
        first = inside(listed[0], error)
        mark = first.line(marks)
        more = f" (and {len(listed) - 1} more)" if len(listed) > 1 else ""
        raise InputError(f"{path}, line {mark.line}, column {mark.column}: {first}{more}") from None
