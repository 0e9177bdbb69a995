"""Plans of data sets read from files: what is wrong is said with line, column and key."""

from pathlib import Path

from pydantic import ValidationError

from rhotem.analysis.plan.file import read_document
from rhotem.analysis.plan.paths import from_folder
from rhotem.analysis.plan.problems import problems
from rhotem.core import InputError
from rhotem.library.dataset.model import FORMAT, DatasetPlan


def load_dataset_plan(path: str | Path) -> DatasetPlan:
    """The plan in a YAML or JSON file; campaigns are named as its folder sees them.

    Raises
    ------
    InputError
        In one line with file, line, column and key.
    """
    path = Path(path)
    data, marks = read_document(path)
    if not isinstance(data, dict) or "rhotem-dataset" not in data:
        raise InputError(
            f"{path}, line 1: no plan of a data set: it has no key rhotem-dataset; it starts with "
            f"`rhotem-dataset: {FORMAT}`"
        )
    named = data.get("campaigns")
    if isinstance(named, str | list):
        each = [named] if isinstance(named, str) else named
        data = {**data, "campaigns": [from_folder(n, path.parent) if isinstance(n, str) else n for n in each]}
    try:
        return DatasetPlan.model_validate(data)
    except ValidationError as error:
        listed = sorted(problems(error, DatasetPlan), key=lambda problem: problem.line(marks).line)
        mark = listed[0].line(marks)
        more = f" (and {len(listed) - 1} more)" if len(listed) > 1 else ""
        raise InputError(f"{path}, line {mark.line}, column {mark.column}: {listed[0]}{more}") from None
