"""Builders of specimens: one file each, listed in one table that the command shares."""

import importlib
import pkgutil

from rhotem.battery.builders.table import Builder, Option

__all__ = ["Builder", "Option", "builders"]


def builders() -> dict[str, Builder]:
    """All builders by name: ``BUILDER`` of every file of this folder that has it."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    listed = [module.BUILDER for module in modules if hasattr(module, "BUILDER")]
    return {builder.name: builder for builder in listed}
