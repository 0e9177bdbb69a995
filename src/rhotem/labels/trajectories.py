"""Frames of molecular dynamics as structures to be labelled: so that labels look like what films need."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.structure.model import Structure

#: Time step in fs, 0.5 fs with hydrogen; friction of the Langevin thermostat in 1/fs.
STEP, STEP_HYDROGEN, FRICTION = 2.0, 0.5, 0.02


def md_frames(
    structure: Structure,
    calculator: Any,
    temperature: float,
    rng: np.random.Generator,
    frames: int = 1,
    interval: float = 200.0,
) -> Iterator[Structure]:
    """Snapshots of a constant-volume, constant-temperature trajectory.

    Parameters
    ----------
    structure : Structure
        Start; its charge and parent are those of every frame.
    calculator : ASE calculator
        Interatomic potential, for example SevenNet.
    temperature : float
        Kelvin.
    rng : Generator
        Starting velocities and the thermostat's noise.
    frames : int
        Number of snapshots.
    interval : float
        Time in fs before the first and between snapshots; 200 fs is a few periods of most phonons.

    Raises
    ------
    InputError
        If the temperature is not positive, or the trajectory explodes.
    """
    from ase import units
    from ase.md.langevin import Langevin

    if not temperature > 0:
        raise InputError(f"MD: temperature {temperature} K; expected a positive number")
    atoms = structure.atoms.copy()
    atoms.calc = calculator
    masses = atoms.get_masses()[:, None]
    momenta = rng.normal(size=(len(atoms), 3)) * np.sqrt(masses * units.kB * temperature)
    atoms.set_momenta(momenta - masses * momenta.sum(axis=0) / masses.sum())
    step = STEP_HYDROGEN if "H" in atoms.symbols else STEP
    dynamics = Langevin(
        atoms, step * units.fs, temperature_K=temperature, friction=FRICTION / units.fs, rng=rng, fixcm=False
    )
    for number in range(frames):
        dynamics.run(max(1, round(interval / step)))
        if not np.isfinite(atoms.positions).all() or atoms.get_temperature() > 20 * temperature + 2000:
            raise InputError(f"MD of {structure.info.get('name', '')}: trajectory exploded; relax the start or cool it")
        frame = atoms.copy()
        frame.calc = None
        frame.set_momenta(None)
        frame.wrap()
        name = f"{structure.info.get('name', frame.get_chemical_formula())} {temperature:.0f} K frame {number + 1}"
        md = {"temperature_K": temperature, "time_fs": (number + 1) * interval, "potential": type(calculator).__name__}
        yield replace(structure, atoms=_plain(frame), info={**structure.info, "name": name, "md": md})


def _plain(atoms: Any) -> Any:
    import ase

    return ase.Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell.array, pbc=True)
