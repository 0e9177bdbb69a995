"""Exploration: frames of a material as a run of molecular dynamics will meet them, labelled by the teacher.

No other potential explores: the teacher itself moves the atoms of a small cell with long steps, from cold to hotter
than the run will be, with and without vacancies, strained, and around ions that are held halfway through a hop. Its
energies, forces and stresses are the labels. Rattled crystals fill in what motion visits rarely.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
from ase import units
from ase.calculators.singlepoint import SinglePointCalculator

from rhotem.battery.distillation.starts import (
    HELD,
    Generator,
    Start,
    hop,
    rattled,
    strained,
    stray,
    with_vacancies,
)
from rhotem.core import ConvergenceError, InputError

#: fs of the thermostat: short, so that few steps forget where a piece started.
THERMOSTAT = 50.0
#: fs of a step without and with hydrogen.
STEP, STEP_WITH_HYDROGEN = 2.0, 0.5
#: fs of motion before the first frame of a piece, and between frames.
SETTLE, APART = 60.0, 50.0
#: Share of the highest temperature that pieces run at.
TEMPERATURES = (0.35, 0.7, 1.0, 1.25)
#: Standard deviation of strains, and of moved coordinates of rattled crystals, Å.
STRAINS, RATTLES = (0.01, 0.02, 0.03), (0.03, 0.06, 0.1)
#: How far along its way an ion is held.
FRACTIONS = (0.5, 0.4, 0.25)
#: fs that others move around an ion that strays before frames.
STRAYED = (10.0, 50.0)
#: eV/Å: an ion strays where it pushes no atom harder.
HARDEST = 15.0
#: Places that are tried for that.
TRIES = 5
#: eV/Å: frames with a larger force are atoms on top of each other, which no run meets.
LARGEST = 25.0


#: Of a frame's ``info``: an ion is held where it was put.
PLACED = "placed"


@dataclass(frozen=True)
class Size:
    """How many frames of each kind.

    Parameters
    ----------
    rattled : int
    pieces : int
        Of motion, each with ``frames`` frames; one in three without vacancies, one with one, one with two.
    frames : int
    hops : int
    strays : int
        Ions at places that no crystal has, each with a frame after every time of `STRAYED`.
    """

    rattled: int = 18
    pieces: int = 12
    frames: int = 8
    hops: int = 24
    strays: int = 20

    @property
    def total(self) -> int:
        """Of all kinds."""
        return self.rattled + self.pieces * self.frames + self.hops + self.strays * len(STRAYED)


#: Frames to learn from, and those held out.
LEARNED, HELD_OUT = Size(), Size(0, 6, 4, 6, 0)

Piece = tuple[str, Callable[[], Iterator[ase.Atoms]]]


class Explorer:
    """Frames of a material, piece by piece; a piece is the same whichever were made before it.

    Parameters
    ----------
    crystal : ase.Atoms
        Of `rhotem.battery.distillation.starts.cell_of`.
    element : str
        Whose ions move; "" for none.
    temperature : float
        The hottest run, K.
    teacher : ASE calculator
    seed : int
    """

    def __init__(self, crystal: ase.Atoms, element: str, temperature: float, teacher: Any, seed: int) -> None:
        self.crystal, self.element, self.temperature = crystal, element, temperature
        self.teacher, self.seed = teacher, seed
        self.step = STEP_WITH_HYDROGEN if 1 in crystal.numbers else STEP

    def pieces(self, size: Size, stream: int) -> list[Piece]:
        """Names of pieces and what makes their frames; another ``stream`` has other random numbers throughout."""
        made: list[Piece] = []

        def add(name: str, frames: Callable[[Generator], Iterator[ase.Atoms]]) -> None:
            rng = np.random.default_rng([self.seed, stream, len(made)])
            made.append((name, lambda: frames(rng)))

        if size.rattled:
            add("rattled", lambda rng: self._rattled(size.rattled, rng))
        for n in range(size.pieces):
            share, gone = TEMPERATURES[n % len(TEMPERATURES)], n % 3
            add(f"{share * self.temperature:.0f} K, {gone} vacancies", self._motion(share, gone, size.frames))
        if self.element:
            for n in range(size.hops):
                add("hop", self._hop(FRACTIONS[n % len(FRACTIONS)], (0.3, 0.6, 1.0)[n // 3 % 3]))
            for _ in range(size.strays):
                add("stray ion", self._strayed)
        return made

    def _rattled(self, count: int, rng: Generator) -> Iterator[ase.Atoms]:
        for n in range(count):
            atoms = strained(self.crystal, STRAINS[n // len(RATTLES) % len(STRAINS)], rng)
            yield from self.labelled(rattled(atoms, RATTLES[n % len(RATTLES)], rng))

    def _motion(self, share: float, gone: int, frames: int) -> Callable[[Generator], Iterator[ase.Atoms]]:
        def run(rng: Generator) -> Iterator[ase.Atoms]:
            atoms = with_vacancies(self.crystal, self.element, gone, rng) if self.element else self.crystal
            atoms = strained(atoms, STRAINS[0], rng)
            yield from self._moved(Start(atoms), share * self.temperature, [SETTLE] + [APART] * (frames - 1), rng)

        return run

    def _hop(self, fraction: float, share: float) -> Callable[[Generator], Iterator[ase.Atoms]]:
        def run(rng: Generator) -> Iterator[ase.Atoms]:
            start = hop(strained(self.crystal, STRAINS[0], rng), self.element, fraction, rng)
            if start is not None:
                yield from self._moved(start, share * self.temperature, [SETTLE], rng)

        return run

    def _strayed(self, rng: Generator) -> Iterator[ase.Atoms]:
        """An ion where the crystal has none, held while the others make way for it."""
        for _ in range(TRIES):
            start = stray(rattled(strained(self.crystal, STRAINS[0], rng), RATTLES[1], rng), self.element, rng)
            if start is None or self._hardest(start.atoms) > HARDEST:
                continue
            yield from self._moved(start, self.temperature, list(STRAYED), rng)
            return

    def _hardest(self, atoms: ase.Atoms) -> float:
        """Largest force, eV/Å; infinite where atoms are on top of each other."""
        try:
            return float(np.abs(self.teacher.get_forces(atoms.copy())).max())
        except InputError:
            return np.inf

    def _moved(self, start: Start, kelvin: float, waits: list[float], rng: Generator) -> Iterator[ase.Atoms]:
        """Frames after waiting times (fs) of motion."""
        from ase.md.langevinbaoab import LangevinBAOAB

        atoms = start.atoms.copy()
        atoms.calc = self.teacher
        # a crystal at rest takes half of the kinetic energy
        atoms.set_momenta(
            rng.normal(size=(len(atoms), 3)) * np.sqrt(2.0 * units.kB * kelvin * atoms.get_masses()[:, None])
        )
        if start.held is not None:
            masses = atoms.get_masses()
            masses[start.held] = HELD
            atoms.set_masses(masses)
            momenta = atoms.get_momenta()
            momenta[start.held] = 0.0
            atoms.set_momenta(momenta)
        motion = LangevinBAOAB(atoms, self.step * units.fs, temperature_K=kelvin, T_tau=THERMOSTAT * units.fs, rng=rng)
        for wait in waits:
            try:
                motion.run(round(wait / self.step))
            except InputError as error:  # atoms on top of each other
                raise ConvergenceError(f"distil: exploring at {kelvin:.0f} K: {error}; lower --temperature") from error
            if not atoms.get_temperature() < 4.0 * kelvin + 1000.0:
                raise ConvergenceError(
                    f"distil: exploring at {kelvin:.0f} K: {atoms.get_temperature():.0f} K; start from a relaxed "
                    "crystal, or lower --temperature"
                )
            for frame in self.labelled(atoms, start.weight):
                frame.info[PLACED] = start.held is not None
                yield frame

    def labelled(self, atoms: ase.Atoms, weight: float = 1.0) -> Iterator[ase.Atoms]:
        """The frame with the teacher's labels; nothing where atoms are on top of each other."""
        frame = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
        frame.calc = self.teacher
        try:
            forces = frame.get_forces()
        except InputError:
            return
        if np.abs(forces).max() < LARGEST:
            energy, stress = frame.get_potential_energy(), frame.get_stress()
            frame.info["weight"] = weight
            frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces, stress=stress)
            yield frame
