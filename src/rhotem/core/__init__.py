"""Units, periodic grids, errors, provenance and seeds. Imports numpy and nothing else of RhoTEM."""

from rhotem.core.errors import (
    ConvergenceError,
    InputError,
    MemoryLimitError,
    MissingDependencyError,
    RhoTEMError,
)
from rhotem.core.grid import PeriodicGrid, is_rectangular, reflections
from rhotem.core.progress import Progress, silent

__all__ = [
    "ConvergenceError",
    "InputError",
    "MemoryLimitError",
    "MissingDependencyError",
    "PeriodicGrid",
    "Progress",
    "RhoTEMError",
    "is_rectangular",
    "reflections",
    "silent",
]
