"""Distilled potentials (NEP) against their teacher: a vacancy's barrier, speed of molecular dynamics, errors in a run.

    OMP_NUM_THREADS=1 python benchmarks/distil.py barrier sevennet-0 LiCoO2-nep
    OMP_NUM_THREADS=1 python benchmarks/distil.py path NVP Na 2,1,1 nep-NVP sevennet-0
    OMP_NUM_THREADS=1 python benchmarks/distil.py speed "Na3V2(PO4)3" 2,2,2 Na3V2P3O12-nep
    OMP_NUM_THREADS=1 python benchmarks/distil.py errors Na3V2P3O12-nep hot.extxyz 8
    OMP_NUM_THREADS=1 python benchmarks/distil.py stop Na3V2P3O12-nep hot.extxyz 100 4

Tables are in docs/distil.md.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from ase import units
from ase.constraints import FixAtoms
from ase.io import read
from ase.optimize import FIRE

from rhotem.battery.potentials import potential_calculator
from rhotem.structure.phases import phase


def barrier(potential: str, repeats: tuple[int, int, int] = (3, 3, 1)) -> tuple[float, int]:
    """Height (eV) over the oxygen dumbbell of the hop of a Li of LiCoO2 to a vacancy beside it, and steps taken.

    The midpoint of two neighbouring sites is a centre of inversion of the crystal with both empty: an ion held there is
    at the saddle, whatever the potential, and the rest relaxes around it. Cell as catalogued.
    """
    crystal = phase("LiCoO2").atoms.repeat(repeats)
    sites = np.flatnonzero(crystal.symbols == "Li")
    empty = sites[0]
    distances = crystal.get_distances(empty, sites, mic=True)
    mover = sites[np.argsort(distances)[1]]
    way = crystal.get_distance(mover, empty, mic=True, vector=True)
    energies, steps = [], 0
    for fraction in (0.0, 0.5):
        atoms = crystal.copy()
        atoms.positions[mover] += fraction * way
        if fraction:
            atoms.set_constraint(FixAtoms([mover]))
        del atoms[empty]
        atoms.calc = potential_calculator(potential)
        optimiser = FIRE(atoms, logfile=None)
        if not optimiser.run(0.02, 150):
            print(f"  largest force left: {np.linalg.norm(atoms.get_forces(), axis=1).max():.3f} eV/Å")
        energies.append(atoms.get_potential_energy())
        steps += optimiser.nsteps
    return energies[1] - energies[0], steps


def path_barrier(name: str, element: str, repeats: str, potentials: list[str], images: int = 3) -> None:
    """Heights (eV) of an ion's hop to a vacancy beside it, seen from both ends, by nudged elastic band.

    The shortest hop of the crystal whose two ends are sites of it. Images climb (G. Henkelman, B. P. Uberuaga, H.
    Jonsson, J. Chem. Phys. 113, 9901 (2000)); a potential starts from the path of the one before it.
    """
    from ase.mep import NEB

    crystal = phase(name).atoms.repeat(tuple(int(n) for n in repeats.split(",")))
    sites = np.flatnonzero(crystal.symbols == element)
    apart = crystal.get_all_distances(mic=True)[np.ix_(sites, sites)]
    first, second = np.unravel_index(np.argmin(np.where(apart > 0.0, apart, np.inf).round(3)), apart.shape)
    empty, mover = sites[first], sites[second]
    start = crystal.copy()
    del start[empty]
    end = start.copy()
    end.positions[mover - (empty < mover)] += crystal.get_distance(mover, empty, mic=True, vector=True)
    path = [start, *(start.copy() for _ in range(images)), end]
    for potential in potentials:
        began = time.process_time()
        for atoms in path:
            atoms.calc = potential_calculator(potential)
        for atoms in (start, end):
            FIRE(atoms, logfile=None).run(0.03, 200)
        band = NEB(path, climb=True, k=0.2, method="improvedtangent")
        if potential == potentials[0]:
            band.interpolate(mic=True)
        FIRE(band, logfile=None).run(0.05, 200)
        energies = np.array([atoms.get_potential_energy() for atoms in path])
        print(
            f"{name} {potential}: {len(start)} atoms, {crystal.get_distance(mover, empty, mic=True):.2f} Å, barriers "
            f"{energies.max() - energies[0]:.3f} and {energies.max() - energies[-1]:.3f} eV, ends differ by "
            f"{energies[-1] - energies[0]:+.3f} eV, forces left {np.abs(band.get_forces()).max():.2f} eV/Å, "
            f"{time.process_time() - began:.0f} CPU s",
            flush=True,
        )


def speed(name: str, repeats: str, potential: str, step: float = 2.0) -> None:
    """Atom-steps a CPU second of `rhotem md`'s integrator, and picoseconds a core-hour."""
    from ase.md.langevinbaoab import LangevinBAOAB

    atoms = phase(name).atoms.repeat(tuple(int(n) for n in repeats.split(",")))
    atoms.rattle(0.03, seed=0)
    atoms.calc = potential_calculator(potential)
    motion = LangevinBAOAB(
        atoms, step * units.fs, temperature_K=600, T_tau=100 * units.fs, rng=np.random.default_rng(0)
    )
    motion.run(5)
    best = np.inf
    for _ in range(5):
        start = time.process_time()
        motion.run(20)
        best = min(best, (time.process_time() - start) / 20)
    print(
        f"{name} {potential}: {len(atoms)} atoms, {1e3 * best:.2f} CPU ms a step (best of 5 times 20), "
        f"{len(atoms) / best:.0f} atom-steps/CPU s, {step * 3.6 / best:.0f} ps a core-hour at {step:g} fs"
    )


def run_errors(potential: str, trajectory: str, count: str) -> None:
    """How wrong a potential is on frames of a run, evenly taken, and how far its committee disagrees there."""
    frames = read(trajectory, index=":")
    student, teacher = potential_calculator(potential), potential_calculator()
    wrong = []
    for n in np.linspace(1, len(frames) - 1, int(count)).round().astype(int):
        atoms = frames[n]
        labels = teacher.get_forces(atoms.copy())
        apart = student.get_forces(atoms.copy()) - labels
        energy = 1e3 * (student.get_potential_energy(atoms.copy()) - teacher.get_potential_energy(atoms.copy()))
        wrong.append([np.mean(apart**2), energy / len(atoms), np.mean(labels**2)])
        print(
            f"{atoms.info['time_ps']:.2f} ps: {wrong[-1][0] ** 0.5:.3f} eV/Å of {wrong[-1][2] ** 0.5:.2f}, most "
            f"{np.linalg.norm(apart, axis=1).max():.2f}; {wrong[-1][1]:+.2f} meV/atom; "
            f"committee at most {student.disagreement(atoms.copy()).max():.2f} eV/Å"
        )
    force, energies, _ = np.array(wrong).T
    print(f"all: {force.mean() ** 0.5:.3f} eV/Å, {np.mean(energies**2) ** 0.5:.2f} meV/atom, {len(wrong)} frames")


def stop(potential: str, trajectory: str, steps: str, every: str) -> None:
    """What a run of `rhotem md` met after its last frame: the committee's differences, and how wrong it was there."""
    from rhotem.battery import dynamics
    from rhotem.battery.dynamics_files import Trajectory
    from rhotem.structure.model import Structure

    last = read(trajectory, index=-1)
    with np.load(trajectory.replace(".extxyz", ".state.npz")) as data:
        asked = json.loads(str(data["text"]))["asked"]
    whole = Trajectory(Path(trajectory), Structure(last), {})
    whole.asked = asked
    whole._read()
    names = ("temperature", "step", "every", "ensemble", "seed", "pressure")
    settings = dynamics.Settings(potential=potential, **{name: asked[name] for name in names})
    student, teacher = potential_calculator(potential), potential_calculator()
    motion = dynamics._Motion(Structure(last), settings, student, whole.reached)
    for n in range(int(steps) + 1):
        if n % int(every) == 0:
            atoms = motion.atoms.copy()
            apart, wrong = student.disagreement(atoms.copy()), student.get_forces(atoms) - teacher.get_forces(atoms)
            worst, sizes = int(np.argmax(apart)), np.linalg.norm(wrong, axis=1)
            near = np.sort(atoms.get_distances(worst, range(len(atoms)), mic=True))[1]
            print(
                f"{n * settings.step:.0f} fs: committee {apart[worst]:.2f} eV/Å at {atoms.symbols[worst]} {worst}, "
                f"{near:.2f} Å from the next; wrong there {sizes[worst]:.2f}, most {sizes.max():.2f}, "
                f"rms {np.sqrt(np.mean(wrong**2)):.3f}",
                flush=True,
            )
        motion.integrator.step()


if __name__ == "__main__":
    if sys.argv[1] == "barrier":
        for chosen in sys.argv[2:]:
            began = time.process_time()
            height, taken = barrier(chosen)
            print(f"{chosen}: {height:.3f} eV, {taken} steps, {time.process_time() - began:.0f} CPU s")
    elif sys.argv[1] == "path":
        path_barrier(*sys.argv[2:5], sys.argv[5:])
    elif sys.argv[1] == "stop":
        stop(*sys.argv[2:])
    elif sys.argv[1] == "errors":
        run_errors(*sys.argv[2:])
    else:
        speed(*sys.argv[2:])
