"""Molecular dynamics of a structure with a potential: constant energy, temperature, or temperature and pressure."""

import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import ase
import numpy as np
import numpy.typing as npt
from ase import units

from rhotem.battery.dynamics_files import Progressed, Trajectory
from rhotem.battery.potentials import DEFAULT, check_potential, potential_calculator, unknown_elements, watch
from rhotem.core import ConvergenceError, InputError, Progress, silent
from rhotem.structure.model import Structure

#: Time constants of the thermostat and of the barostat, fs.
THERMOSTAT, BAROSTAT = 100.0, 1000.0
#: Steps in fs that vibrations bear: with hydrogen, and without.
STEP_WITH_HYDROGEN, STEP = 0.5, 1.0
#: A run ends when it is hotter than so many times what was asked for, plus so many kelvin: small cells fluctuate.
HOTTER, PLUS = 4.0, 1000.0
#: Steps between questions to a potential whether it is lost: a committee costs a few per cent.
WATCHED = 50
#: Looks on end at which it must say so: an ion may pass an odd place within some 20 fs, and the potential finds back.
LOST = 2
#: Å: an atom whose nearest neighbour is farther has left the specimen.
ALONE = 5.0


@dataclass(frozen=True)
class Settings:
    """How to run.

    Parameters
    ----------
    temperature : float
        K; of the start alone where the energy is constant.
    time : float
        ps.
    ensemble : "nvt", "npt" or "nve"
        Constant temperature, temperature and pressure (the cell keeps its shape), or energy.
    pressure : float
        GPa, of "npt".
    step : float or None
        fs; None: 0.5 with hydrogen, else 1.
    every : float
        fs between frames.
    seed : int
        Of starting velocities and thermostat.
    potential : str
        A name of `rhotem.battery.potentials.potential_names`, or the file of a NEP.
    """

    temperature: float = 300.0
    time: float = 1.0
    ensemble: str = "nvt"
    pressure: float = 0.0
    step: float | None = None
    every: float = 10.0
    seed: int = 0
    potential: str = DEFAULT

    def __post_init__(self) -> None:
        check_potential(self.potential)
        if self.ensemble not in ("nvt", "npt", "nve"):
            raise InputError(f"md: ensemble {self.ensemble!r}; choose nvt, npt or nve")
        for name, value in (
            ("temperature", self.temperature),
            ("time", self.time),
            ("step", STEP if self.step is None else self.step),
            ("time between frames", self.every),
        ):
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"md: {name} {value:g}, expected a number > 0")
        if not np.isfinite(self.pressure) or not self.every >= (self.step or 0.0):
            raise InputError(f"md: pressure {self.pressure:g} GPa, frames every {self.every:g} fs; frames need a step")

    def fitted(self, structure: Structure) -> "Settings":
        """With a step for these elements, where none was chosen."""
        light = STEP_WITH_HYDROGEN if 1 in structure.numbers else STEP
        step = self.step or min(light, self.every)
        if abs(self.every / step - round(self.every / step)) > 1e-6 * self.every / step:
            raise InputError(
                f"md: frames every {self.every:g} fs are no whole number of steps of {step:g} fs; change one"
            )
        return replace(self, step=step)

    @property
    def interval(self) -> int:
        """Steps between frames."""
        return max(1, round(self.every / (self.step or STEP)))

    @property
    def steps(self) -> int:
        """Of the whole run, a whole number of intervals."""
        return self.interval * max(1, round(1000.0 * self.time / (self.step or STEP) / self.interval))


def run(
    structure: Structure, settings: Settings, out: Path, progress: Progress = silent, calculator: Any = None
) -> dict[str, Any]:
    """Run, or go on where a run with the same settings ended, and append frames to the extended-xyz file ``out``.

    Beside ``out`` a file ``NAME.state.npz`` holds the last frame's state in full precision: killed at any moment and
    called again, the run gives the same frames as one that was not. A longer ``time`` goes on, too.

    Returns
    -------
    dict
        Frames, steps, mean temperature (K) and energy (eV) over the second half, and its drift, of the whole file;
        ``alarms``: looks at which the potential said that it was lost, and found back.

    Raises
    ------
    InputError
        If an element is unknown to the potential, or ``out`` is of another run.
    MissingDependencyError
        If the potential is not installed.
    ConvergenceError
        If the temperature runs away, an atom leaves the specimen, or the potential says that it is lost (a committee
        of `rhotem.battery.nep` that disagrees, `LOST` looks on end); frames until then stay.
    """
    settings = settings.fitted(structure)
    calculator = calculator or potential_calculator(settings.potential)
    odd = unknown_elements(calculator, structure.numbers)
    if odd:
        raise InputError(f"md: potential {settings.potential} does not know {', '.join(odd)}")
    asked = asdict(settings)
    if getattr(calculator, "fingerprint", None):  # a file may change under its name
        asked["potential_sha256"] = calculator.fingerprint
    with Trajectory(out, structure, asked) as trajectory:
        motion = _Motion(structure, settings, calculator, trajectory.reached)
        if trajectory.reached is None:
            trajectory.append(motion.frame(0), motion.state(0))
        for step in range(trajectory.step + settings.interval, settings.steps + 1, settings.interval):
            motion.advance(step)
            trajectory.append(motion.frame(step), motion.state(step))
            progress("molecular dynamics", step, settings.steps)
        return trajectory.summary()


class _Motion:
    """Atoms under way."""

    def __init__(self, structure: Structure, settings: Settings, calculator: Any, reached: Progressed | None) -> None:
        self.settings, self.generator = settings, np.random.default_rng(settings.seed)
        self.atoms = ase.Atoms(structure.numbers, structure.positions, cell=structure.cell, pbc=True)
        self.atoms.calc = calculator
        if reached is None:
            self._start()
        else:
            self.atoms.set_cell(reached.cell)
            self.atoms.positions = reached.positions
            self.atoms.set_momenta(reached.momenta)
            self.generator.bit_generator.state = reached.random
        #: steps since the potential was last asked whether it is lost
        self.unwatched = 0 if reached is None else reached.step % WATCHED
        #: looks on end, and all, at which it said so
        self.alarms = (0, 0) if reached is None else reached.alarms
        #: whether every atom had a neighbour at the start
        self.together = not len(_lonely(self.atoms))
        self.integrator = _integrator(self.atoms, settings, self.generator)
        if reached is not None and settings.ensemble == "npt":
            self.integrator.p_eps, self.integrator.force_eps = reached.barostat

    def _start(self) -> None:
        """Velocities as Maxwell and Boltzmann have them, at rest as a whole."""
        masses = self.atoms.get_masses()[:, None]
        spread = np.sqrt(masses * units.kB * self.settings.temperature)
        momenta = spread * self.generator.normal(size=(len(masses), 3))
        self.atoms.set_momenta(momenta - masses * momenta.sum(0) / masses.sum())

    def advance(self, until: int) -> None:
        """Go on to a step; ConvergenceError if atoms do not stay a specimen."""
        limit = HOTTER * self.settings.temperature + PLUS
        at = f"md: at {until * (self.settings.step or STEP) / 1000.0:g} ps"
        advice = "start from a relaxed structure, or take a smaller --step or a lower --temperature"
        for _ in range(self.settings.interval):
            try:
                self.integrator.step()
            except InputError as error:  # atoms on top of each other
                raise ConvergenceError(f"{at}: {error}; {advice}") from error
            self._watch(at)
            hot = self.atoms.get_temperature()
            if not hot < limit:
                raise ConvergenceError(f"{at}: {hot:.0f} K, {self.settings.temperature:g} K asked for; {advice}")
        lost = _lonely(self.atoms)
        if self.together and len(lost):
            symbols = ", ".join(f"{self.atoms.symbols[n]} {n}" for n in lost[:3])
            raise ConvergenceError(f"{at}: {symbols} has no neighbour within {ALONE:g} Å any more; {advice}")

    def _watch(self, at: str) -> None:
        """Ask the potential every `WATCHED` steps whether it is lost; it is where it says so `LOST` times on end."""
        self.unwatched += 1
        if self.unwatched < WATCHED:
            return
        self.unwatched = 0
        try:
            watch(self.atoms.calc, self.atoms)
        except ConvergenceError as error:
            self.alarms = (self.alarms[0] + 1, self.alarms[1] + 1)
            if self.alarms[0] == LOST:
                raise ConvergenceError(f"{at}: {error}") from error
        else:
            self.alarms = (0, self.alarms[1])

    def frame(self, step: int) -> ase.Atoms:
        """What is written: species, places (not wrapped), momenta, cell, and what a reader asks of a frame."""
        frame = ase.Atoms(
            self.atoms.numbers, self.atoms.positions, cell=self.atoms.cell, pbc=True, momenta=self.atoms.get_momenta()
        )
        frame.info = {
            "step": step,
            "time_ps": step * (self.settings.step or STEP) / 1000.0,
            "energy": float(self.atoms.get_potential_energy()),
            "temperature_K": float(self.atoms.get_temperature()),
            "wrapped": False,
        }
        if self.settings.ensemble == "npt":
            # with that of the motion, as the barostat holds it
            stress = self.atoms.get_stress(voigt=False, include_ideal_gas=True)
            frame.info["pressure_GPa"] = -float(np.trace(stress)) / 3.0 / units.GPa
        return frame

    def state(self, step: int) -> Progressed:
        """All that the run needs to go on from here."""
        barostat = (self.integrator.p_eps, self.integrator.force_eps) if self.settings.ensemble == "npt" else (0.0, 0.0)
        random = self.generator.bit_generator.state
        cell = self.atoms.cell.array.copy()
        places, momenta = self.atoms.positions.copy(), self.atoms.get_momenta()
        return Progressed(step, places, momenta, cell, barostat, dict(random), self.alarms)


def _integrator(atoms: ase.Atoms, settings: Settings, generator: np.random.Generator) -> Any:
    """BAOAB splitting of Langevin dynamics (B. Leimkuhler, C. Matthews, J. Chem. Phys. 138, 174102 (2013)); velocity
    Verlet without thermostat; with a barostat D. Quigley, M. I. J. Probert, J. Chem. Phys. 120, 11432 (2004).
    """
    from ase.md.langevinbaoab import LangevinBAOAB

    chosen: dict[str, Any] = {"hydrostatic": True}
    if settings.ensemble != "nve":
        chosen |= {"temperature_K": settings.temperature, "T_tau": THERMOSTAT * units.fs, "rng": generator}
    if settings.ensemble == "npt":
        chosen |= {"externalstress": -settings.pressure * units.GPa, "P_tau": BAROSTAT * units.fs}
    with warnings.catch_warnings():  # the mass of the barostat is a rule of thumb
        warnings.simplefilter("ignore")
        return LangevinBAOAB(atoms, (settings.step or STEP) * units.fs, **chosen)


def _lonely(atoms: ase.Atoms) -> npt.NDArray[np.int64]:
    """Atoms without a neighbour within `ALONE`."""
    from scipy.spatial import cKDTree

    reach = np.ceil(ALONE * np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)).astype(int)
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach)), axis=-1).reshape(-1, 3) @ atoms.cell.array
    inside = atoms.get_positions(wrap=True)
    # the nearest is the atom itself
    nearest = cKDTree((inside + shifts[:, None]).reshape(-1, 3)).query(inside, k=2, distance_upper_bound=ALONE)[0][:, 1]
    return np.flatnonzero(~np.isfinite(nearest))
