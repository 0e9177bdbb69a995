"""Interatomic potentials with weights in their packages: relaxation of specimens, trajectories of labels."""

import warnings
from typing import Any

from rhotem.core import InputError, MissingDependencyError

#: Names of potentials, and of the packages that carry them.
POTENTIALS = {"sevennet": "sevenn", "chgnet": "chgnet"}


def potential_calculator(name: str) -> Any:
    """ASE calculator of a universal potential: "sevennet" (SevenNet-0) or "chgnet".

    Raises
    ------
    InputError
        If the name is not known.
    MissingDependencyError
        If the package is not installed.
    """
    if name not in POTENTIALS:
        raise InputError(f"potential {name!r}: not known; choose {' or '.join(POTENTIALS)}")
    try:
        if name == "sevennet":
            from sevenn.calculator import SevenNetCalculator

            with warnings.catch_warnings():  # accelerators are for graphics processors
                warnings.filterwarnings("ignore", "No tensor product accelerator")
                return SevenNetCalculator("7net-0", device="cpu")
        from chgnet.model import CHGNetCalculator

        return CHGNetCalculator(use_device="cpu")
    except ImportError as error:
        extra = "'rhotem[battery]'" if name == "sevennet" else POTENTIALS[name]
        raise MissingDependencyError(
            f"potential {name}: not installed ({error.name} is missing); pip install {extra}"
        ) from error


def known_elements(calculator: Any) -> set[int] | None:
    """Atomic numbers that a potential was made for; None where it does not say."""
    kinds = getattr(calculator, "type_map", None)
    return set(kinds) if kinds else None
