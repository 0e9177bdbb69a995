"""What a builder of specimens is: a row of the table, and the options of its sub-command."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhotem.battery.specimen import Specimen
from rhotem.core import InputError
from rhotem.structure.edits.table import number
from rhotem.structure.model import Structure
from rhotem.structure.moments import lost, taken

Generator = np.random.Generator


@dataclass(frozen=True)
class Option:
    """An option of a sub-command: ``--name`` (underscores as hyphens), its type by its default.

    Parameters
    ----------
    name : str
    default : str, int, float, bool, None, or REQUIRED
        None: a text that may be left out.
    values : str
        How the value is written.
    help : str
        One line.
    """

    name: str
    default: Any
    values: str
    help: str

    @property
    def kind(self) -> Any:
        """Type of the value."""
        if self.default is None:
            return str | None
        return str if self.default is REQUIRED else type(self.default)


#: Default of a text that must be given.
REQUIRED = object()


@dataclass(frozen=True)
class Builder:
    """One kind of specimen: ``rhotem battery NAME``.

    Parameters
    ----------
    name : str
    help : str
        One line.
    build : callable
        ``build(texts, load, rng, **options)`` with the arguments as they were written, a function that loads a crystal
        by file or name, and the generator of everything random -> `Specimen`.
    options : sequence of Option
    crystals : str
        How the arguments are written.
    arguments : (int, int or None)
        Least and most of them.
    long : bool
        It takes minutes: ``build`` also gets ``progress``, and a ``folder`` whose files let it go on after a stop.
    """

    name: str
    help: str
    build: Callable[..., Specimen]
    options: Sequence[Option]
    crystals: str = "STRUCTURE"
    arguments: tuple[int, int | None] = (1, 1)
    long: bool = False

    def specimen(
        self, texts: Sequence[str], load: Callable[[str], Structure], rng: Generator, **options: Any
    ) -> Specimen:
        """What ``build`` makes; moments of crystals that it does not pass on are remarked.

        Raises
        ------
        InputError
            As ``build``.
        """
        loaded: dict[str, Structure] = {}

        def load_once(name: str) -> Structure:
            return loaded.setdefault(name, load(name))

        made = self.build(texts, load_once, rng, **options)
        taken(made.structure.atoms)
        if made.structure.moments is not None:
            return made
        return made.noted(*(note for name, crystal in loaded.items() for note in lost(crystal, name)))

    def check_arguments(self, texts: Sequence[str]) -> None:
        """Refuse too few or too many crystals.

        Raises
        ------
        InputError
            Saying how the command is written.
        """
        least, most = self.arguments
        if len(texts) < least or (most is not None and len(texts) > most):
            raise InputError(
                f"battery {self.name}: {len(texts)} arguments; write  rhotem battery {self.name} {self.crystals}"
            )


def plane_of(text: str) -> tuple[int, ...]:
    """Miller indices from ``1,0,4`` or ``104`` (digits only).

    Raises
    ------
    InputError
        If they are none.
    """
    pieces = text.split(",") if "," in text else list(text)
    try:
        indices = tuple(int(piece) for piece in pieces)
    except ValueError:
        indices = ()
    if len(indices) not in (3, 4) or not any(indices):
        raise InputError(f"plane {text!r}: expected indices like 1,0,4 or 104")
    return indices


def lengths_of(text: str, name: str, count: int = 3) -> tuple[float, ...]:
    """Positive lengths from ``40,30,12``.

    Raises
    ------
    InputError
        If they are none.
    """
    values = tuple(number(piece.strip()) for piece in text.split(","))
    if len(values) != count or not all(np.isfinite(v) and v > 0 for v in values):
        raise InputError(f"--{name} {text}: expected {count} positive lengths in Å, separated by commas")
    return values
