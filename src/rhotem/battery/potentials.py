"""Interatomic potentials by name, as ASE calculators: relaxation of specimens, dynamics, trajectories of labels.

They register under the entry-point group `GROUP` (pyproject.toml), as other packages may: something without arguments
that makes a calculator. Neuroevolution potentials of single materials (`rhotem distil`) are files, named by their path;
ready ones stand in folders of the group `READY` and go by the name of their file.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rhotem.core import InputError, MissingDependencyError
from rhotem.core.registry import registered

GROUP = "rhotem.potentials"
READY = "rhotem.nep"
#: Ending of a neuroevolution potential.
NEP = ".txt"
#: What is taken where none is named: SevenNet-0 as RhoTEM computes it.
DEFAULT = "sevennet-0"
#: What to install for potentials of other packages.
INSTALL = {"sevennet": "'rhotem[battery]'", "nep_adapters": "'rhotem[nep]'"}


def ready_potentials() -> dict[str, Path]:
    """Ready potentials of single materials, by name."""
    folders = [Path(entry.load()) for entry in registered(READY).values()]
    # further members of committees end in a number
    return {p.stem: p for f in folders for p in sorted(f.glob(f"*{NEP}")) if p.with_suffix(".json").exists()}


def general_potentials() -> list[str]:
    """Names of the registered potentials, which are not of a single material, the default first."""
    return sorted(registered(GROUP), key=lambda name: (name != DEFAULT, name))


def potential_names() -> list[str]:
    """Names of the registered potentials, the default first, and of the ready ones of single materials."""
    return general_potentials() + sorted(ready_potentials())


def potential_file(name: str) -> Path | None:
    """The file of a neuroevolution potential; None for a registered one.

    Raises
    ------
    InputError
        If there is no such file, or no such name.
    """
    if name in registered(GROUP):
        return None
    ready = ready_potentials().get(name)
    if ready is not None:
        return ready
    path = Path(name)
    if path.is_dir():
        path = path / f"nep{NEP}"
    if path.suffix != NEP:
        raise InputError(
            f"potential {name!r}: not known; choose {', '.join(potential_names())}, or a folder of `rhotem distil`"
        )
    if not path.is_file():
        raise InputError(
            f"potential {name}: no such file; `rhotem distil STRUCTURE --out FOLDER` makes FOLDER/nep{NEP}"
        )
    return path


def check_potential(name: str) -> None:
    """Raise InputError unless a potential of that name, or such a file, is there."""
    potential_file(name)


def potential_calculator(name: str = DEFAULT) -> Any:
    """ASE calculator of a potential: "sevennet-0" everywhere, others with their packages, or the file of a NEP.

    Raises
    ------
    InputError
        If the name is not known, or the file is no potential.
    MissingDependencyError
        If its package is not installed.
    """
    file = potential_file(name)
    try:
        if file is not None:
            from rhotem.battery.nep import NepCalculator

            return NepCalculator(file)
        return registered(GROUP)[name].load()()
    except ImportError as error:
        install = INSTALL.get(name, INSTALL.get(str(error.name), name))
        raise MissingDependencyError(
            f"potential {name}: not installed ({error.name} is missing); pip install {install}"
        ) from error


def watch(calculator: Any, atoms: Any) -> None:
    """Raise ConvergenceError where a potential says itself that it is lost; most cannot say."""
    ask = getattr(calculator, "watch", None)
    if ask is not None:
        ask(atoms)


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
