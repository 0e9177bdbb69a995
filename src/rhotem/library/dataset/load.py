"""Plans of data sets read from files."""

from pathlib import Path
from typing import Any

from rhotem.analysis.plan.paths import from_folder
from rhotem.library.dataset.model import FORMAT, DatasetPlan
from rhotem.library.plans import load


def load_dataset_plan(path: str | Path) -> DatasetPlan:
    """The plan in a YAML or JSON file; campaigns are named as its folder sees them.

    Raises
    ------
    InputError
        In one line with file, line, column and key.
    """
    return load(Path(path), DatasetPlan, ("rhotem-dataset", FORMAT, "plan of a data set"), _with_paths)


def _with_paths(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    named = data.get("campaigns")
    if not isinstance(named, str | list):
        return data
    each = [named] if isinstance(named, str) else named
    return {**data, "campaigns": [from_folder(n, folder) if isinstance(n, str) else n for n in each]}
