"""The learned density as a density source."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid
from rhotem.core.tasks import PROGRAM
from rhotem.density import free_atoms
from rhotem.density.convert import evaluate_one_centre
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.positive import make_positive, negative_part
from rhotem.density.stream import StreamedDensity
from rhotem.density.superpose import superpose
from rhotem.learned.counting import check_charge
from rhotem.learned.model import LearnedModel, load_model
from rhotem.learned.newcomers import Strangers, named
from rhotem.learned.weights import find_model
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.learned.outside import Trained

#: Atoms up to which an analytic density is checked for negative values unasked.
REPORTED = 30

#: Why all of a structure becomes free atoms.
WHOLE = "its readout cannot leave out single atoms"

Positive = Literal["auto", "project", "report", "off"]


class Model:
    """Deformation density from a trained network: sharp parts analytic around the atoms, the wide part on the grid.

    Parameters
    ----------
    name : str
        Shipped weights, a run folder, or a .safetensors file.
    positive : "auto", "project", "report" or "off"
        What to do where free atoms + Δn is below zero on the grid: the nearest density of the same count that is not
        (`rhotem.density.positive`), or only say how much there is. auto: project for a gated readout; for an analytic
        one report up to 30 atoms (superposing free atoms takes 30 ms per atom, the model 1 ms).
    memory : float or None
        Bytes to stay below; slower if it is little. None: no limit.
    spin : bool
        Give the spin density, too (docs/spin.md).
    announce : callable, optional
        Told in one line how much is evaluated, and in which memory, before it is.
    reach : float
        Å within which surroundings must be equal for atoms to share what the encoder makes of them. inf: exact. 10 or
        15 make cells with dilute defects cheaper; errors are in docs/scale.md.
    novelty : bool
        Say how far a structure is outside of the training (`rhotem.learned.outside`): tenths of the encoder's time.
    strict : bool
        Refuse elements that the weights were not trained on, instead of predicting them or leaving them free.

    Raises
    ------
    InputError
        If the model cannot be loaded, or has no spin density and is asked for it.
    """

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
        self.trained: Trained | None = None
        if spin:
            from rhotem.learned.spin import spin_head

            spin_head(self.model, self.name)

    def __call__(self, structure: Structure, grid: PeriodicGrid) -> DensityField:
        """Deformation density of ``structure``; elements never trained on: `rhotem.learned.newcomers`.

        ∫Δn = −q holds to 1e-6 of the valence electrons, as the g = 0 coefficient and as the sum of the grid part and
        the one-centre parts.

        Raises
        ------
        InputError
            If atoms are closer than 0.5 Å, a slab is charged, or elements are unknown and the cell is charged or the
            model strict.
        MemoryLimitError
            If the result alone does not fit into ``memory``.
        """
        from rhotem.learned.outside import remarks

        strangers = self.strangers(structure)
        if strangers.fill(structure.numbers):
            return self.free_atoms(structure, grid, strangers)
        self._check_charge(structure)
        said = remarks(self, structure, grid.size)
        began = time.perf_counter()
        room = encoder_room(self.model, structure, grid.size, self.memory)
        prepared = self.model.readout.prepare(structure, room, self.announce, reach=self.reach)
        encoded = time.perf_counter()
        found = self.model.readout.evaluate(prepared, structure, grid)
        evaluated = time.perf_counter()
        values, negative = self._checked(found.values, found.one_centre, structure, grid)
        spin, of_spin = self._spin(structure, grid) if self.spin else (None, {})
        return DensityField(
            kind="deformation",
            structure=structure,
            grid=grid,
            values=values,
            one_centre=found.one_centre,
            spin=spin,
            reference=free_atoms.load().identifier,
            source=f"model {self.name}",
            record={
                "model": self.name,
                "accuracy": self.header["info"].get("accuracy", {}),
                "receptive_field_A": self.model.readout.receptive_field,
                **said,
                **found.record,
                **negative,
                **({"spin": of_spin} if self.spin else {}),
                "seconds": {"encoder": encoded - began, "readout": evaluated - encoded},
            },
        )

    @property
    def spacing(self) -> float:
        """Largest step in Å of a grid that holds the smooth part."""
        return self.model.readout.spacing

    def _spin(self, structure: Structure, grid: PeriodicGrid) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
        from rhotem.learned.spin import magnetisation

        # the density and its coefficients are there already
        room = encoder_room(self.model, structure, 3 * grid.size, self.memory)
        return magnetisation(self.model, structure, grid, self.name, room)

    def planes(self, structure: Structure, spacing: float = 0.2) -> StreamedDensity:
        """The same plane by plane; see `rhotem.learned.planes.stream`."""
        from rhotem.learned.planes import stream

        return stream(self, structure, spacing)

    @property
    def member_count(self) -> int:
        """Members of the ensemble; 1 if it is none."""
        return int(self.model.settings.members)

    def members(self, structure: Structure, grid: PeriodicGrid) -> Iterator[DensityField]:
        """One density per member of the ensemble, spread so that error bars of the potential are calibrated.

        Raises
        ------
        InputError
            If there is a single member, no calibration, or an element is left free.
        """
        from rhotem.learned.calibration import load_calibration
        from rhotem.learned.members import member_fields

        check_charge(structure)
        return member_fields(self, structure, grid, load_calibration(self.path))

    def check_members(self, structure: Structure) -> None:
        """Refuse what `members` would, before anything is calculated."""
        from rhotem.learned.calibration import load_calibration
        from rhotem.learned.members import check_members

        check_charge(structure)
        check_members(self, structure)
        load_calibration(self.path)

    def _checked(
        self,
        values: npt.NDArray[np.float64],
        terms: Sequence[OneCentre],
        structure: Structure,
        grid: PeriodicGrid,
    ) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
        """Grid values so that no density is negative, if asked for, and what was."""
        what = self.positive
        if what == "auto":
            what = "report" if len(structure) <= REPORTED else "off"
            if not self.model.can.linear:
                what = "project"
        if what == "off":
            return values, {}
        free = superpose(structure, grid)
        sharp = DensityField("deformation", structure, grid, values, one_centre=terms)
        total = free + values + evaluate_one_centre(sharp, counted=True)
        record: dict[str, Any] = negative_part(total, grid).record()
        if what == "project":
            change = make_positive(total, free, grid) - total
            record["moved_to_be_positive_e"] = 0.5 * grid.integrate(np.abs(change))
            values = values + change
        return values, record

    def _check_charge(self, structure: Structure) -> None:
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
        if found and self.strict:
            raise InputError(
                f"--strict: model {self.name} was not trained on {found.names}; leave it out, or take --source gpaw"
            )
        if found and structure.charge:
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
    if memory is None or not model.can.tiles:
        return None
    coefficients = 8.0 * sum(b.coefficients for b in model.readout.blocks) * len(structure)
    needed = PROGRAM + 8.0 * points + (sets + 1.0) * coefficients
    if needed > memory:
        at = f" on {points} grid points" if points else ""
        raise MemoryLimitError(
            f"model: the density of {len(structure)} atoms{at} takes {needed / 1e9:.2f} GB, "
            f"{PROGRAM / 1e9:.1f} of them the program, {memory / 1e9:.2f} GB allowed; allow more, or use a coarser grid"
        )
    return memory - PROGRAM - sets * coefficients
