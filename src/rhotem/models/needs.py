"""What the learned density needs to be installed."""

import importlib.util

from rhotem.core import MissingDependencyError


def check() -> None:
    """Raise unless torch, e3nn and safetensors can be imported.

    Raises
    ------
    MissingDependencyError
    """
    missing = [name for name in ("torch", "e3nn", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"the learned density needs {', '.join(missing)}, not installed; pip install 'rhotem[models]'"
        )
