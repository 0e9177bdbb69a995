"""What a series of states of charge is asked to be."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rhotem.battery.builders.delithiate import MOBILE
from rhotem.battery.builders.stacking import STATES
from rhotem.battery.orderings import check_oxidation
from rhotem.battery.potentials import DEFAULT, general_potentials, potential_file
from rhotem.battery.relax import Settings
from rhotem.core import InputError
from rhotem.structure.edits.common import sites_of_element
from rhotem.structure.edits.table import number
from rhotem.structure.model import Structure

#: States of charge where none are named.
USUAL_X = (1.0, 0.75, 0.5, 0.25, 0.0)
#: Stackings that may be named: those without contents or lengths of their own.
STACKINGS = ("O3", "O1", "P3", "P2", "O2")


@dataclass(frozen=True)
class Asked:
    """A series of states of charge.

    Parameters
    ----------
    x : tuple of float or None
        Shares of the mobile ions that are in, 0 to 1. None: 1, 0.75, 0.5, 0.25, 0, as far as valences allow.
    ion : str
        Mobile ion; "": Li, else Na, else K.
    orderings : int
        Orderings of lowest electrostatic energy that are relaxed at every x.
    stackings : tuple of str or None
        Stackings of a layered oxide that are tried beside the crystal's own. None: O1 of the empty lithium oxide.
    repeat : str or None
        ``nx,ny,nz``. None: the smallest compact cell that holds every x.
    potential, fmax, steps
        As in `rhotem.battery.relax.Settings`; cells are relaxed.
    seed : int
        Of orderings that are too many to be all compared.
    """

    x: tuple[float, ...] | None = None
    ion: str = ""
    orderings: int = 3
    stackings: tuple[str, ...] | None = None
    repeat: str | None = None
    potential: str = DEFAULT
    fmax: float = 0.03
    steps: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        self.relaxation()
        if potential_file(self.potential) is not None:
            raise InputError(
                f"potential {self.potential}: was distilled for one material and does not know the metal that voltages "
                f"are counted against; choose {', '.join(general_potentials())}"
            )
        odd = [name for name in self.stackings or () if name not in STACKINGS or name not in STATES]
        if odd:
            raise InputError(f"stacking {odd[0]!r}: expected {', '.join(STACKINGS)}")
        if self.orderings < 1:
            raise InputError(f"orderings {self.orderings}: expected 1 or more")
        if self.x is None:
            return
        wrong = [value for value in self.x if not (np.isfinite(value) and 0 <= value <= 1)]
        if wrong:
            raise InputError(f"x = {wrong[0]:g}: x is the share of the mobile ions that are in, from 0 to 1")
        if len(set(self.x)) < 2:
            raise InputError("x: a series needs two different states of charge or more, such as 1,0.5,0")

    def relaxation(self) -> Settings:
        """How every candidate is relaxed."""
        return Settings(self.potential, self.fmax, self.steps, cell=True)

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def parse_x(text: str) -> tuple[float, ...]:
    """States of charge from ``1,0.5,0``.

    Raises
    ------
    InputError
        If one is no number.
    """
    return tuple(number(piece.strip()) for piece in text.split(","))


def mobile_ion(crystal: Structure, asked: str = "") -> str:
    """The ion that moves.

    Raises
    ------
    InputError
        If the crystal has none.
    """
    if asked:
        if asked not in MOBILE:
            raise InputError(f"--ion {asked}: expected one of {', '.join(MOBILE)}")
        sites_of_element(crystal, asked)
        return asked
    ion = next((element for element in MOBILE if element in crystal.atoms.symbols), None)
    if ion is None:
        raise InputError(
            f"{crystal.formula} has no mobile ion ({', '.join(MOBILE)}); give the crystal with its ions in"
        )
    return ion


def states_of_charge(crystal: Structure, ion: str, x: Sequence[float] | None) -> tuple[float, ...]:
    """States of charge, from 1 down: those asked for, or the usual ones that the metals' valences allow.

    Raises
    ------
    InputError
        If the metals cannot give so many electrons.
    """
    sites = len(sites_of_element(crystal, ion))
    if x is not None:
        check_oxidation(crystal, ion, (1 - min(x)) * sites)
        return tuple(sorted(set(x), reverse=True))
    allowed = []
    for value in USUAL_X:
        try:
            check_oxidation(crystal, ion, (1 - value) * sites)
        except InputError:
            break
        allowed.append(value)
    if len(allowed) < 2:
        check_oxidation(crystal, ion, 0.25 * sites)  # says why
    return tuple(allowed)
