"""Layouts of other programs. One file each, whose ``LAYOUT`` is its row."""

from functools import cache

from rhotem.core import InputError
from rhotem.library.dataset.layouts.base import Layout


@cache
def layouts() -> dict[str, Layout]:
    """All layouts by name."""
    from rhotem.library.dataset.layouts import coco, temimagenet, webdataset

    return {module.LAYOUT.name: module.LAYOUT for module in (webdataset, temimagenet, coco)}


def layout_of(name: str, recipe: str) -> Layout:
    """A layout by name, for pictures of a recipe.

    Raises
    ------
    InputError
        If there is none, or it has no place for such pictures.
    """
    from rhotem.library.dataset.recipes import recipes

    if name not in layouts():
        raise InputError(f"--to {name}: no such layout; choose one of {', '.join(layouts())}")
    chosen, arrays = layouts()[name], recipes()[recipe].arrays
    if not set(chosen.needs) <= set(arrays):
        others = ", ".join(other.name for other in layouts().values() if set(other.needs) <= set(arrays))
        raise InputError(
            f"--to {name}: {chosen.about}, which the recipe {recipe} does not make; choose one of {others}"
        )
    return chosen
