"""Glass by melting and quenching a part of a crystal in molecular dynamics, the rest held at its sites."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import numpy.typing as npt
from ase.calculators.calculator import Calculator, all_changes

from rhotem.battery.dynamics import Settings, run
from rhotem.battery.potentials import DEFAULT, potential_calculator
from rhotem.core import ConvergenceError, InputError, Progress, silent
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

#: eV/Å² of the springs that hold the crystal; at 4,000 K they let an atom go 0.13 Å along each axis.
SPRING = 20.0
#: Temperatures between melt and cold, in equal ratios; K of the last.
STAIRS, COLD = 6, 300.0
#: fs between frames; Å that atoms of every element of a melt have gone in the root mean square.
EVERY, MOLTEN = 50.0, 2.0
#: Share of the crystal's Bragg amplitude above which what froze is no glass.
ORDERED = 0.6
#: 1/Å: reflections whose amplitude says how much order is left; how many of them, the strongest.
FINEST, REFLECTIONS = 0.6, 12


@dataclass(frozen=True)
class Quench:
    """How to melt and to quench.

    Parameters
    ----------
    temperature : float
        Of the melt, K: a crystal without surfaces melts far above its melting point within picoseconds.
    melt, cool : float
        ps at that temperature, and ps on the way down.
    seed : int
    potential : str
        A name of `rhotem.battery.potentials.potential_names`.
    """

    temperature: float = 4000.0
    melt: float = 2.0
    cool: float = 4.0
    seed: int = 0
    potential: str = DEFAULT

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > COLD):
            raise InputError(f"amorphous: melt of {self.temperature:g} K; expected more than {COLD:g}")
        if not all(np.isfinite(time) and time > 0 for time in (self.melt, self.cool)):
            raise InputError(f"amorphous: {self.melt:g} ps of melt, {self.cool:g} ps of cooling; expected numbers > 0")

    def stairs(self) -> list[Settings]:
        """Runs one after the other: the melt, then colder and colder."""
        down = np.geomspace(self.temperature, COLD, STAIRS + 1)[1:]
        plan = [(self.temperature, self.melt), *((float(t), self.cool / STAIRS) for t in down)]
        made = [
            Settings(float(round(t)), time, every=EVERY, seed=self.seed + n, potential=self.potential)
            for n, (t, time) in enumerate(plan)
        ]
        return made


class Held(Calculator):
    """A potential with springs that hold some atoms at their places.

    Parameters
    ----------
    potential : Calculator
    held : (N,) bool array
    places : (N, 3) array
        Å, not wrapped.
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  # a list in ASE

    def __init__(self, potential: Calculator, held: npt.NDArray[np.bool_], places: Floats) -> None:
        super().__init__()
        self.potential, self.held, self.places = potential, held, places

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        """Energy and forces of the potential, and of the springs."""
        super().calculate(atoms, properties, system_changes)
        away = np.where(self.held[:, None], atoms.positions - self.places, 0.0)
        bare = atoms.copy()
        bare.calc = self.potential
        self.results = {
            "energy": float(bare.get_potential_energy()) + 0.5 * SPRING * float((away**2).sum()),
            "forces": bare.get_forces() - SPRING * away,
        }


def quenched(
    structure: Structure,
    glass: npt.NDArray[np.bool_],
    how: Quench,
    folder: Path,
    progress: Progress = silent,
    calculator: Callable[[], Any] | None = None,
) -> tuple[Structure, dict[str, Any]]:
    """Melt the atoms of ``glass`` and cool them, the others held by springs; the cold frame, and what became of it.

    Every run of ``folder`` has its trajectory there and goes on after a stop.

    Returns
    -------
    (Structure, dict)
        ``rms_A``: how far atoms of the melt went, those of the element that went least;
        ``order_left``: `order_left`; ``trajectories``: where they are.

    Raises
    ------
    ConvergenceError
        If the melt did not move, or became a crystal again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    crystal = structure
    potential = (calculator or (lambda: potential_calculator(how.potential)))()
    held = Held(potential, ~glass, structure.positions.copy())
    stairs = how.stairs()
    rms = 0.0
    for number, settings in enumerate(stairs):
        out = folder / f"{number}-{settings.temperature:.0f}K.extxyz"

        def told(_: str, step: int, steps: int, number: int = number) -> None:
            progress("melting and quenching", number * 1000 + 1000 * step // steps, 1000 * len(stairs))

        run(structure, settings, out, told, held)
        last = ase.io.read(out, -1)
        assert isinstance(last, ase.Atoms)
        structure = replace(structure, atoms=_placed(structure.atoms, last.positions))
        if number == 0:
            rms, slowest = _slowest(crystal.atoms[glass], structure.atoms[glass])
            if rms < MOLTEN:
                raise ConvergenceError(
                    f"amorphous: {slowest} went {rms:.1f} Å in {how.melt:g} ps at {how.temperature:g} K, so the crystal"
                    " is still there; give a hotter or longer melt (--temperature, --melt)"
                )
    order = order_left(crystal.atoms[glass], structure.atoms[glass])
    if order > ORDERED:
        raise ConvergenceError(
            f"amorphous: froze as a crystal again, {order:.2f} of the crystal's Bragg amplitude is back; cool quicker"
            " (--cool), melt more (--glass, --width), or take a crystal that forms glass"
        )
    return structure, {"rms_A": rms, "order_left": order, "trajectories": str(folder)}


def _slowest(before: ase.Atoms, after: ase.Atoms) -> tuple[float, str]:
    """How far atoms went in the root mean square, Å, of the element that went least, and which."""
    square = ((after.positions - before.positions) ** 2).sum(axis=1)
    symbols = np.array(before.get_chemical_symbols())
    return min((float(np.sqrt(square[symbols == one].mean())), one) for one in set(before.get_chemical_symbols()))


def order_left(crystal: ase.Atoms, glass: ase.Atoms) -> float:
    """Bragg amplitude of a glass as a share of its crystal's, over the strongest reflections of the block.

    Of N atoms without order it is about N^-1/2.
    """
    inverse = np.linalg.inv(crystal.cell.array).T
    most = np.ceil(FINEST * crystal.cell.lengths()).astype(int)
    indices = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = indices @ inverse
    size = np.linalg.norm(vectors, axis=1)
    vectors = vectors[(size > 0.1) & (size < FINEST)]
    own, other = (np.abs(np.exp(2j * np.pi * atoms.positions @ vectors.T).mean(axis=0)) for atoms in (crystal, glass))
    strongest = np.argsort(-own)[:REFLECTIONS]
    return float(np.sqrt((other[strongest] ** 2).mean() / (own[strongest] ** 2).mean()))


def _placed(atoms: ase.Atoms, positions: Floats) -> ase.Atoms:
    made = atoms.copy()
    made.positions = positions
    return made
