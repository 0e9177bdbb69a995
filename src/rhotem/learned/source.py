"""The learned density as a density source."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.convert import evaluate_one_centre
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.positive import make_positive, negative_part
from rhotem.density.stream import StreamedDensity
from rhotem.density.superpose import superpose
from rhotem.learned.calibration import load_calibration
from rhotem.learned.counting import check_charge
from rhotem.learned.loaded import Loaded, encoder_room
from rhotem.learned.members import check_members, member_fields
from rhotem.learned.outside import remarks
from rhotem.learned.planes import stream
from rhotem.learned.readouts.base import Prepared
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.learned.energy.potential import Energies

#: Atoms up to which an analytic density is checked for negative values unasked.
REPORTED = 30


class Model(Loaded):
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
        strangers = self.strangers(structure)
        if strangers.fill(structure.numbers):
            return self.free_atoms(structure, grid, strangers)

        def prepare(room: float | None) -> Prepared:
            return self.model.readout.prepare(structure, room, self.announce, reach=self.reach)

        return self._density(structure, grid, prepare)

    def with_energies(self, structure: Structure, grid: PeriodicGrid) -> "tuple[DensityField, Energies]":
        """Density, and SevenNet-0's energy, forces and stress, from one pass through the layers that they share.

        Weights of these layers have 32 bits here and 16 in the model's file: densities differ by some 3e-4 of Δn, which
        has an error of a tenth (docs/md.md).

        Raises
        ------
        InputError
            As a call does; if the model does not stand on SevenNet-0 as published, or would leave an element free.
        """
        from rhotem.learned.energy.shared import SharedPass

        strangers = self.strangers(structure)
        if strangers.fill(structure.numbers):
            raise InputError(f"model {self.name}: has no density of this structure; ask for energies alone")
        shared = SharedPass(self.model, structure)
        return self._density(structure, grid, lambda room: shared.coefficients()), shared.energies

    def _density(
        self, structure: Structure, grid: PeriodicGrid, prepare: Callable[[float | None], Prepared]
    ) -> DensityField:
        """Deformation density; ``prepare``: from the bytes there are to what the readout keeps of every atom."""
        self.check_charge(structure)
        said = remarks(self, structure, grid.size)
        began = time.perf_counter()
        room = encoder_room(self.model, structure, grid.size, self.memory)
        prepared = prepare(room)
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
        return stream(self, structure, spacing)

    def members(self, structure: Structure, grid: PeriodicGrid) -> Iterator[DensityField]:
        """One density per member of the ensemble, spread so that error bars of the potential are calibrated.

        Raises
        ------
        InputError
            If there is a single member, no calibration, or an element is left free.
        """
        check_charge(structure)
        return member_fields(self, structure, grid, load_calibration(self.path))

    def check_members(self, structure: Structure) -> None:
        """Refuse what `members` would, before anything is calculated."""
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
