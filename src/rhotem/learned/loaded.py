"""Weights as they are loaded, with what a user wants of them: what all that predicts asks."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid
from rhotem.core.tasks import PROGRAM
from rhotem.density import free_atoms
from rhotem.density.field import DensityField
from rhotem.learned.counting import check_charge
from rhotem.learned.model import LearnedModel, load_model
from rhotem.learned.newcomers import Strangers, named
from rhotem.learned.weights import find_model
from rhotem.structure.model import Structure

#: Why all of a structure becomes free atoms.
WHOLE = "its readout cannot leave out single atoms"

Positive = Literal["auto", "project", "report", "off"]


class Loaded:
    """A network and how it is to be used; `rhotem.learned.source.Model` says what the arguments are."""

    def __init__(
        self,
        name: str = "default",
        positive: Positive = "auto",
        memory: float | None = None,
        spin: bool = False,
        announce: Callable[[str], None] | None = None,
        *,
        reach: float = math.inf,
        novelty: bool = True,
        strict: bool = False,
    ) -> None:
        if positive not in ("auto", "project", "report", "off"):
            raise InputError(f"model: positive={positive!r}, expected auto, project, report or off")
        self.positive, self.memory, self.spin, self.announce = positive, memory, spin, announce
        self.path = find_model(name)
        self.model, self.header = load_model(name)
        self.name = str(self.header["info"].get("name", name))
        if not reach > 0 or (reach < math.inf and not self.model.can.tiles):
            raise InputError(
                f"model {self.name}: reach {reach:g} Å, expected a length > 0 and a readout whose atoms share features"
            )
        self.reach, self.novelty, self.strict = reach, novelty, strict
        #: what it was trained on, once it has been read (`rhotem.learned.outside.Trained`)
        self.trained: Any = None
        if spin:
            from rhotem.learned.spin import spin_head

            spin_head(self.model, self.name)

    @property
    def member_count(self) -> int:
        """Members of the ensemble, with a model that it is judged by; 1 if it is none."""
        return int(self.model.settings.members) + bool(self.model.judged_by)

    def check_charge(self, structure: Structure) -> None:
        """Refuse a charge that the weights or a slab cannot have."""
        if structure.charge and not self.model.can.charge:
            raise InputError(f"model {self.name}: its readout knows neutral cells only; set charge 0, or another model")
        check_charge(structure)

    def strangers(self, structure: Structure) -> Strangers:
        """Elements of ``structure`` that the weights were not trained on, and what becomes of them.

        Raises
        ------
        InputError
            If there are some and the model is strict or the cell charged; if free atoms of one are not known.
        """
        for z in np.unique(structure.numbers).tolist():
            free_atoms.load().radii(z)
        newcomers = self.model.newcomers
        numbers = set(structure.numbers.tolist())
        if newcomers is not None:
            found = newcomers.among(numbers)
        else:
            unknown = sorted(numbers - set(self.model.settings.elements))
            found = Strangers({}, dict.fromkeys(unknown, WHOLE), whole=bool(unknown))
        if found.new and self.strict:
            raise InputError(
                f"--strict: model {self.name} was not trained on {found.names}; leave it out, or take --source gpaw"
            )
        if found.new and structure.charge:
            raise InputError(
                f"model {self.name}: not trained on {found.names}, whose part in the charge of a cell is not known; "
                "set charge 0, or take --source gpaw"
            )
        return found

    def free_atoms(self, structure: Structure, grid: PeriodicGrid, strangers: Strangers) -> DensityField:
        """Free atoms throughout, where nothing learned is left; the record warns of it."""
        names = named(strangers.free)
        why = "; ".join(sorted(set(strangers.free.values())))
        return DensityField(
            kind="deformation",
            structure=structure,
            grid=grid,
            values=np.broadcast_to(0.0, grid.shape),
            reference=free_atoms.load().identifier,
            source=f"free atoms (model {self.name} does not know {names})",
            record={
                "model": self.name,
                "fallback": "free atoms",
                "unknown_elements": sorted(strangers.free),
                **strangers.record(),
                "warnings": [
                    f"model {self.name} was not trained on {names}: free atoms throughout ({why}); or --source gpaw"
                ],
            },
        )


def encoder_room(
    model: LearnedModel, structure: Structure, points: int, memory: float | None, sets: float = 1.0
) -> float | None:
    """Bytes left for the encoder beside the program and ``sets`` of coefficients; values at grid points come after it.

    Raises
    ------
    MemoryLimitError
        If the result alone does not fit.
    """
    if memory is None:
        return None
    coefficients = 8.0 * sum(b.coefficients for b in model.readout.blocks) * len(structure)
    needed = PROGRAM + 8.0 * points + (sets + 1.0) * coefficients
    if needed > memory:
        at = f" on {points} grid points" if points else ""
        raise MemoryLimitError(
            f"model: the density of {len(structure)} atoms{at} takes {needed / 1e9:.2f} GB, "
            f"{PROGRAM / 1e9:.1f} of them the program, {memory / 1e9:.2f} GB allowed; allow more, or use a coarser grid"
        )
    return memory - PROGRAM - sets * coefficients if model.can.tiles else None
