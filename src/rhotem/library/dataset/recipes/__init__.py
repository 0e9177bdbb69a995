"""Recipes: what pictures are labelled with. One file each, whose ``RECIPE`` is its row."""

from functools import cache

from rhotem.library.dataset.recipes.base import Recipe


@cache
def recipes() -> dict[str, Recipe]:
    """All recipes by name."""
    from rhotem.library.dataset.recipes import (
        columns,
        denoising,
        fast_series,
        focal_series,
        molecules,
        pattern_potential,
        patterns,
    )

    every = (columns, denoising, focal_series, patterns, pattern_potential, molecules, fast_series)
    return {module.RECIPE.name: module.RECIPE for module in every}
