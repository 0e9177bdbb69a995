"""Packages that not every installation has."""

from importlib.util import find_spec

from rhotem.core.errors import MissingDependencyError


def require(*packages: str, extra: str, what: str) -> None:
    """Raise unless packages can be imported; ``extra``: the option of RhoTEM that installs them, for ``what``.

    Raises
    ------
    MissingDependencyError
    """
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise MissingDependencyError(
            f"{what}: needs {', '.join(missing)}, not installed; pip install 'rhotem[{extra}]'"
        )
