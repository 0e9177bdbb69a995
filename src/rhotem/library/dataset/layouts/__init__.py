"""Layouts of other programs. One file each, whose ``LAYOUT`` is its row."""

from functools import cache

from rhotem.core import InputError
from rhotem.library.dataset.layouts.base import Layout


@cache
def layouts() -> dict[str, Layout]:
    """All layouts by name."""
    from rhotem.library.dataset.layouts import coco, temimagenet, webdataset

    return {module.LAYOUT.name: module.LAYOUT for module in (webdataset, temimagenet, coco)}


def layout_of(name: str) -> Layout:
    """A layout by name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in layouts():
        raise InputError(f"--to {name}: no such layout; choose one of {', '.join(layouts())}")
    return layouts()[name]
