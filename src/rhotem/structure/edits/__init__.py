"""Edits of structures: one file each, listed in one table that the command and the recipes of labels share."""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from rhotem.core import InputError
from rhotem.structure.edits.table import Chance, Edit
from rhotem.structure.model import Structure

__all__ = ["Chance", "Edit", "apply", "edits"]


def edits() -> dict[str, Edit]:
    """All edits by name, in the order in which they are made: ``EDIT`` of every file of this folder that has it."""
    listed = []
    for module in pkgutil.iter_modules(__path__):
        edit = getattr(importlib.import_module(f"{__name__}.{module.name}"), "EDIT", None)
        if edit is not None:
            listed.append(edit)
    return {edit.name: edit for edit in sorted(listed, key=lambda edit: edit.order)}


def apply(structure: Structure, wanted: Mapping[str, Any], chance: Chance) -> Structure:
    """The structure after all edits ``wanted`` (name -> values), in the order of the table.

    Raises
    ------
    InputError
        If there is no such edit, or one cannot be made.
    """
    table = edits()
    unknown = sorted(set(wanted) - set(table))
    if unknown:
        raise InputError(f"edit {unknown[0]}: there is none of this name; choose of {', '.join(table)}")
    for name, edit in table.items():
        if name in wanted:
            structure = edit.apply(structure, _text(wanted[name]), chance)
    return structure


def _text(value: Any) -> str:
    """Values of a plan as they are written on a command line: [2, 2, 1] is 2,2,1."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
