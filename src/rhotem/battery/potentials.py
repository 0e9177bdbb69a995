"""Interatomic potentials by name, as ASE calculators: relaxation of specimens, dynamics, trajectories of labels.

They register under the entry-point group `GROUP` (pyproject.toml), as other packages may: something without arguments
that makes a calculator.
"""

import warnings
from collections.abc import Iterable
from typing import Any

from rhotem.core import InputError, MissingDependencyError
from rhotem.core.registry import registered

GROUP = "rhotem.potentials"
#: What is taken where none is named: SevenNet-0 as RhoTEM computes it.
DEFAULT = "sevennet-0"
#: What to install for potentials of other packages.
INSTALL = {"sevennet": "'rhotem[battery]'"}


def potential_names() -> list[str]:
    """Names of the registered potentials, the default first."""
    return sorted(registered(GROUP), key=lambda name: (name != DEFAULT, name))


def check_potential(name: str) -> None:
    """Raise InputError unless a potential of that name is registered."""
    if name not in potential_names():
        raise InputError(f"potential {name!r}: not known; choose {' or '.join(potential_names())}")


def potential_calculator(name: str = DEFAULT) -> Any:
    """ASE calculator of a potential: "sevennet-0" everywhere; "sevennet" and "chgnet" with their packages.

    Raises
    ------
    InputError
        If the name is not known.
    MissingDependencyError
        If its package is not installed.
    """
    check_potential(name)
    try:
        return registered(GROUP)[name].load()()
    except ImportError as error:
        raise MissingDependencyError(
            f"potential {name}: not installed ({error.name} is missing); pip install {INSTALL.get(name, name)}"
        ) from error


def known_elements(calculator: Any) -> set[int] | None:
    """Atomic numbers that a potential was made for; None where it does not say."""
    kinds = getattr(calculator, "type_map", None)
    return set(kinds) if kinds else None


def unknown_elements(calculator: Any, numbers: Iterable[int]) -> list[str]:
    """Elements among ``numbers`` that a potential was not made for."""
    from ase.data import chemical_symbols

    known = known_elements(calculator)
    return sorted({chemical_symbols[z] for z in numbers if known and z not in known})


def sevenn_calculator() -> Any:
    """SevenNet-0 by the package ``sevenn``, on PyTorch."""
    from sevenn.calculator import SevenNetCalculator

    with warnings.catch_warnings():  # accelerators are for graphics processors
        warnings.filterwarnings("ignore", "No tensor product accelerator")
        return SevenNetCalculator("7net-0", device="cpu")


def chgnet_calculator() -> Any:
    """CHGNet by its package."""
    from chgnet.model import CHGNetCalculator

    return CHGNetCalculator(use_device="cpu")
