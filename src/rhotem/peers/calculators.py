"""Interatomic potentials with weights in their packages, for molecular dynamics of label structures."""

from typing import Any

from rhotem.core import InputError, MissingDependencyError


def potential_calculator(name: str) -> Any:
    """ASE calculator of a universal potential: "sevennet" (SevenNet-0) or "chgnet".

    Raises
    ------
    InputError
        If the name is not known.
    MissingDependencyError
        If the package is not installed.
    """
    try:
        if name == "sevennet":
            from sevenn.calculator import SevenNetCalculator

            return SevenNetCalculator("7net-0", device="cpu")
        if name == "chgnet":
            from chgnet.model import CHGNetCalculator

            return CHGNetCalculator(use_device="cpu")
    except ImportError as error:
        package = "sevenn" if name == "sevennet" else name
        raise MissingDependencyError(f"potential {name}: not installed; pip install {package}") from error
    raise InputError(f"potential {name!r}: not known; choose sevennet or chgnet")
