"""Files that are whole or not there: what long series keep as they go on."""

import json
import os
from pathlib import Path
from typing import Any

from rhotem.core.output import to_json


def write_whole(path: Path, values: Any) -> None:
    """Write JSON so that a killed run leaves the old file or the new one."""
    write_text_whole(path, to_json(values) + "\n")


def write_text_whole(path: Path, text: str) -> None:
    """The same of a text."""
    new = path.with_name(path.name + ".new")
    new.write_text(text, "utf-8")
    os.replace(new, path)


def read_whole(path: Path) -> Any:
    """What a file holds; None where it is not there, or torn."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
