"""Which readouts there are, what each can, and where its parts are: found by name in a registry.

An architecture is a folder with the same few files: ``settings``, ``predict`` (numpy, or a package that it names), and
``network`` (torch, what training optimises). It registers under the entry-point group `GROUP` (pyproject.toml), as
other packages may; nobody asks for a readout by its class.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rhotem.core import InputError
from rhotem.core.packages import require
from rhotem.core.registry import registered

GROUP = "rhotem.architectures"


@dataclass(frozen=True)
class Architecture:
    """A kind of readout.

    Parameters
    ----------
    name : str
    settings, predict, network : str
        "module:name" of a pydantic type (or a function that reads settings), of what makes a
        `rhotem.learned.readouts.base.Readout` from weights, and of the torch module that training makes.
    linear : bool
        The density is linear in coefficients of fixed functions: integrals and Fourier coefficients are analytic.
    single : bool
        Single atoms can be left free, the others stay as they are.
    planes : bool
        Planes of the grid can be made when they are asked for.
    tiles : bool
        It is evaluated within a limited memory, and atoms share what is alike around them.
    members, spin, charge : bool
        Whether there may be an ensemble, a magnetisation beside the density, and charged cells.
    needs : tuple of str
        Packages beyond those of every installation.
    """

    name: str
    settings: str
    predict: str
    network: str
    linear: bool = False
    single: bool = False
    planes: bool = False
    tiles: bool = False
    members: bool = False
    spin: bool = True
    charge: bool = True
    needs: tuple[str, ...] = ()

    def check_installed(self) -> None:
        """Raise MissingDependencyError unless what it needs is installed."""
        require(*self.needs, extra="training", what=f"readout {self.name}")

    def load(self, what: str) -> Any:
        """The object called "module:name".

        Raises
        ------
        MissingDependencyError
            If a package is not installed.
        """
        self.check_installed()
        module, _, name = what.partition(":")
        return getattr(import_module(module), name)

    def read_settings(self, content: Any) -> Any:
        """Settings from what a header or a configuration says; they may be read where the readout cannot be used."""
        module, _, name = self.settings.partition(":")
        try:
            kind: Callable = getattr(import_module(module), name)
        except ModuleNotFoundError:
            self.check_installed()
            raise
        return kind.model_validate(content) if hasattr(kind, "model_validate") else kind(content)


def names() -> list[str]:
    """Names of the registered architectures."""
    return list(registered(GROUP))


def architecture(name: str) -> Architecture:
    """The architecture called ``name``.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in registered(GROUP):
        raise InputError(f"readout {name!r}: not registered; choose one of {', '.join(names())}")
    kind: Architecture = registered(GROUP)[name].load()
    return kind
