"""Frames of a trajectory as specimens on one grid: same cell, same slices, so that nothing but atoms moves."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rhotem.analysis.plan import Plan
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.workflow import cut
from rhotem.battery.trajectories import Trajectory
from rhotem.core import InputError
from rhotem.structure.indices import with_parent
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]


class FilmFrames:
    """Chosen frames of a trajectory as specimens.

    All have the mean cell of the trajectory and the grid and slices of the frame in the middle, since the first of a
    run is often a crystal at rest, whose planes would be cut finer than moving atoms need. Atoms have their fractional
    coordinates without the motion of the centre of mass, which would be drift of the specimen.

    Parameters
    ----------
    trajectory : Trajectory
    chosen : (K,) int array
        Indices of frames.
    plan : Plan
        How the specimen is cut.
    source : str
        Of the density.
    reference : Structure or None
        Crystal whose directions are named; None: those of the trajectory's own cell.

    Raises
    ------
    InputError
        If the specimen cannot be cut so.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        chosen: npt.NDArray[np.int64],
        plan: Plan,
        source: str,
        reference: Structure | None = None,
    ) -> None:
        self.trajectory, self.chosen = trajectory, chosen
        inverse = np.linalg.inv(trajectory.mean_cell)
        #: fractional coordinates (K, N, 3), paths without jumps
        self.places: Floats = (trajectory.paths() @ inverse)[chosen]
        self._cut_at = len(chosen) // 2
        middle = replace(trajectory.mean_structure(), charge=plan.density.charge_e or 0.0)
        middle.atoms.set_scaled_positions(self.places[self._cut_at])
        own = {"parent_cell": middle.cell.tolist(), "parent_space_group": [1, "P1"]}
        info = {"name": trajectory.source, "notes": list(trajectory.notes)}
        named = {**info, **own} if reference is None else with_parent(info, reference)
        middle = replace(middle, info=named)
        self.middle: Specimen = cut(plan, middle, [source])
        if len(self.middle.cell.crystal) != len(middle):
            raise InputError(f"{trajectory.source}: its cell was reduced; a film needs the whole of it")

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def times(self) -> Floats | None:
        """Times of the chosen frames in fs."""
        return None if self.trajectory.times is None else self.trajectory.times[self.chosen]

    def specimen(self, number: int) -> Specimen:
        """The specimen of a chosen frame."""
        cell, places = self.middle.cell, self.places[number]
        moved = (places - self.places[self._cut_at]) @ cell.crystal.cell
        crystal, structure = cell.crystal.atoms.copy(), cell.structure.atoms.copy()
        crystal.positions += moved
        structure.positions += moved[np.asarray(cell.atom_index)]
        made = replace(
            cell,
            crystal=replace(cell.crystal, atoms=crystal),
            structure=replace(cell.structure, atoms=structure),
        )
        return replace(self.middle, cell=made, block=made.repeated(*self.middle.repeats))

    def projected(self, number: int) -> Floats:
        """Places (M, 3) in Å of the atoms of the imaging cell, each once, as pictures show them (x, y, depth)."""
        cell = self.specimen(number).cell
        return np.asarray(np.mod(cell.structure.positions, cell.lengths))
