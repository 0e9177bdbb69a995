"""The schema of plans, for editors and for the documentation: ``python -m rhotem.analysis.plan.schema docs``."""

import json
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from rhotem.analysis.plan.model import Plan
from rhotem.analysis.plan.problems import sections_of
from rhotem.analysis.plan.section import option_of
from rhotem.analysis.plan.series import Steps

#: Files of the documentation.
SCHEMA, REFERENCE = "plan-schema.json", "plan-keys.md"

HEAD = """\
# Keys of a plan

Made by `python -m rhotem.analysis.plan.schema docs`; a test compares it with the program. The
[JSON schema](plan-schema.json) says the same to editors. Keys that are left out have the default.
"""


def schema() -> dict[str, Any]:
    """JSON schema of a plan's file."""
    made = Plan.model_json_schema(by_alias=True)
    made["required"] = ["rhotem", *made["required"]]  # in Python it need not be said
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def reference() -> str:
    """All keys with their option, kind, default and meaning, as Markdown."""
    parts = [HEAD]
    for name, section in sections_of(Plan).items():
        if section is Steps:
            continue
        parts += [f"\n## {name}\n\n{section.__doc__}\n\n| key | option | kind | default | |\n|---|---|---|---|---|\n"]
        for key, field in section.model_fields.items():
            option = option_of(section, key)
            named = "STRUCTURE" if option is None else f"`{option.name}`"
            default = "" if field.is_required() or field.default in (None, ()) else f"`{json.dumps(field.default)}`"
            cells = [f"`{key}`", named, _kind(field.annotation), default, str(field.description)]
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    return "".join(parts)


def _kind(annotation: Any) -> str:
    """A type in words."""
    words: dict[Any, str] = {str: "text", float: "number", int: "whole number", bool: "true or false"}
    words |= {tuple[str, ...]: "list of texts", tuple[int, ...]: "3 or 4 whole numbers"}
    words |= {tuple[float, float]: "two numbers", dict[str, float]: "numbers by element"}
    if annotation in words:
        return words[annotation]
    if get_origin(annotation) is Literal:
        return ", ".join(get_args(annotation))
    return " or ".join(_kind(kind) for kind in get_args(annotation) if kind is not type(None))


def write(folder: Path) -> None:
    """Both files of the documentation."""
    (folder / SCHEMA).write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / REFERENCE).write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
