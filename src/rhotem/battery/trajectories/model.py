"""`Trajectory`: the atoms of a cell, frame by frame."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

#: Share of a cell that no atom should cross between frames where a file wraps positions: half is not to be told.
LONGEST_STEP = 0.3


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Frames of the same atoms in the same order.

    Parameters
    ----------
    numbers : (N,) int array
        Atomic numbers.
    cells : (F, 3, 3) array
        Lattice vectors of every frame, rows, Å.
    positions : (F, N, 3) array
        Cartesian, Å, as the file has them.
    times : (F,) array or None
        fs; None where neither the file nor the user says.
    velocities : (F, N, 3) array or None
        Å/fs.
    wrapped : bool
        Whether atoms that leave the cell come in again on the other side, or may do so.
    source : str
        Name of the file.
    notes : tuple of str
        Remarks of the reader.
    """

    numbers: npt.NDArray[np.int64]
    cells: Floats
    positions: Floats
    times: Floats | None = None
    velocities: Floats | None = None
    wrapped: bool = True
    source: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[Structure]:
        return (self.structure(number) for number in range(len(self)))

    @property
    def symbols(self) -> npt.NDArray[np.str_]:
        """Elements of the atoms, (N,)."""
        from ase.data import chemical_symbols

        return np.array(chemical_symbols)[self.numbers]

    @property
    def masses(self) -> Floats:
        """Masses of the atoms in u, (N,)."""
        from ase.data import atomic_masses

        return np.asarray(atomic_masses[self.numbers], dtype=np.float64)

    @property
    def mean_cell(self) -> Floats:
        """Mean lattice vectors, rows, Å."""
        return np.asarray(self.cells.mean(axis=0))

    @property
    def same_cell(self) -> bool:
        """Whether all frames have one cell."""
        return bool(np.abs(self.cells - self.cells[0]).max() < 1e-6)

    @property
    def step(self) -> float:
        """Time between frames in fs.

        Raises
        ------
        InputError
            If times are not known, there is one frame, or frames are not equally far apart.
        """
        if self.times is None:
            raise InputError(f"{self.source}: it does not say how far apart its frames are; give --timestep-fs")
        if len(self) < 2:
            raise InputError(f"{self.source}: one frame has no motion; give a trajectory")
        steps = np.diff(self.times)
        if steps.min() <= 0 or np.ptp(steps) > 1e-3 * steps.mean() + 1e-6:
            worst = int(np.argmax(np.abs(steps - np.median(steps))))
            raise InputError(
                f"{self.source}: frames are not equally far apart in time, {steps[worst]:g} fs behind frame "
                f"{worst + 1} and {np.median(steps):g} fs elsewhere; cut the file there"
            )
        return float(steps.mean())

    @cached_property
    def fractional(self) -> Floats:
        """Unwrapped fractional coordinates (F, N, 3): paths without jumps, those of the first frame as in the file.

        Where a file wraps, every step is taken to the nearest image.
        """
        raw = np.stack([np.linalg.solve(c.T, r.T).T for c, r in zip(self.cells, self.positions, strict=True)])
        if not self.wrapped:
            return raw
        steps = np.diff(raw, axis=0)
        steps -= np.rint(steps)
        return np.concatenate([raw[:1], raw[:1] + np.cumsum(steps, axis=0)])

    @property
    def unsure(self) -> int:
        """Steps between frames too long to say from which side of a wrapped cell an atom came."""
        if not self.wrapped or len(self) < 2:
            return 0
        return int((np.abs(np.diff(self.fractional, axis=0)).max(axis=2) > LONGEST_STEP).sum())

    def paths(self, *, drift: bool = False) -> Floats:
        """Paths (F, N, 3) in Å in the mean cell, without jumps; cells that breathe do not move atoms.

        ``drift``: keep the motion of the centre of mass, which is taken off otherwise.
        """
        fractional = self.fractional
        if not drift:
            centre = np.einsum("n,fnk->fk", self.masses, fractional) / self.masses.sum()
            fractional = fractional - (centre - centre[0])[:, None]
        return np.asarray(fractional @ self.mean_cell)

    def atoms_of(self, element: str) -> npt.NDArray[np.int64]:
        """Indices of the atoms of an element.

        Raises
        ------
        InputError
            If there are none.
        """
        chosen = np.flatnonzero(self.symbols == element)
        if not len(chosen):
            there = ", ".join(dict.fromkeys(self.symbols.tolist()))
            raise InputError(f"{self.source}: no {element} in it; choose one of {there}")
        return chosen

    @property
    def temperatures(self) -> Floats | None:
        """Kinetic temperature of every frame in K, (F,), the centre of mass at rest; None without velocities."""
        from ase import units

        if self.velocities is None:
            return None
        speeds = self.velocities / units.fs
        centre = np.einsum("n,fnk->fk", self.masses, speeds) / self.masses.sum()
        energy = 0.5 * np.einsum("n,fnk->f", self.masses, (speeds - centre[:, None]) ** 2)
        return np.asarray(2.0 * energy / (3.0 * max(len(self.numbers) - 1, 1) * units.kB))

    def structure(self, number: int) -> Structure:
        """A frame as a structure, its atoms inside the cell."""
        atoms = ase.Atoms(self.numbers, positions=self.positions[number], cell=self.cells[number], pbc=True)
        atoms.wrap()
        return Structure(atoms, info={"name": f"{self.source} frame {number + 1}", "notes": []})

    def mean_structure(self) -> Structure:
        """Mean places of the atoms in the mean cell; of atoms that wander no places that anything has."""
        fractional = self.fractional.mean(axis=0)
        atoms = ase.Atoms(self.numbers, scaled_positions=fractional, cell=self.mean_cell, pbc=True)
        return Structure(atoms, info={"name": self.source, "notes": [f"mean of {len(self)} frames"]})

    def picked(self, frames: npt.NDArray[np.int64]) -> "Trajectory":
        """Some of the frames, in this order; their paths are those of the whole."""
        whole = self.fractional[frames]
        positions = np.einsum("fnk,fkj->fnj", whole, self.cells[frames])
        return replace(
            self,
            cells=self.cells[frames],
            positions=positions,
            times=None if self.times is None else self.times[frames],
            velocities=None if self.velocities is None else self.velocities[frames],
            wrapped=False,
        )


def every(trajectory: Trajectory, number: int, start: int = 1, stop: int | None = None) -> npt.NDArray[np.int64]:
    """Indices of every ``number``-th frame from ``start`` to ``stop``, counted from 1, both included.

    Raises
    ------
    InputError
        If no frame is left, or a number is below 1.
    """
    last = len(trajectory) if stop is None else stop
    if min(number, start, last) < 1:
        raise InputError(f"frames from {start} to {last}, every {number}: expected whole numbers from 1 on")
    chosen = np.arange(start - 1, min(last, len(trajectory)), number)
    if not len(chosen):
        raise InputError(f"{trajectory.source}: it has {len(trajectory)} frames, none from {start} to {last}")
    return chosen
