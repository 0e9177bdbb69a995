"""Energies and forces of SevenNet-0: RhoTEM's compiled loops and the package ``sevenn``, side by side.

    OMP_NUM_THREADS=1 python benchmarks/forces.py speed    # atoms per CPU second, largest difference of forces
    OMP_NUM_THREADS=1 python benchmarks/forces.py memory   # peak of a process, 1,008 atoms
    OMP_NUM_THREADS=1 python benchmarks/forces.py both     # density, forces, and both from one pass
    OMP_NUM_THREADS=1 python benchmarks/forces.py lattice  # lattice constants of ready phases against the catalogue's

One process, one thread, CPU time; ``sevenn`` on PyTorch without accelerators, which are for graphics processors.
"""

import argparse
import resource
import time
from collections.abc import Callable

import ase
import numpy as np

from rhotem.battery.potentials import potential_calculator
from rhotem.battery.relax import Settings, relax
from rhotem.core import PeriodicGrid
from rhotem.learned.energy.potential import sevennet_0
from rhotem.learned.source import Model
from rhotem.structure.model import Structure
from rhotem.structure.phases import names, phase

#: Phases and repeats, about a hundred atoms each.
CELLS = {"LiCoO2": (3, 3, 1), "LiFePO4": (2, 2, 1), "Na3V2(PO4)3": (1, 1, 2)}


def rattled(name: str, repeat: tuple[int, int, int]) -> ase.Atoms:
    """Atoms moved by 0.05 Å."""
    atoms = phase(name).atoms.repeat(repeat)
    atoms.rattle(0.05, seed=1)
    return atoms


def timed(work: Callable[[], object], times: int = 3) -> float:
    """Least CPU seconds."""
    best = np.inf
    for _ in range(times):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return float(best)


def speed() -> None:
    """Print the table."""
    ours, theirs = potential_calculator("sevennet-0"), potential_calculator("sevennet")
    print("| cell | atoms | RhoTEM, atoms/CPU s | sevenn, atoms/CPU s | ratio | largest difference of forces, eV/Å |")
    print("|---|---|---|---|---|---|")
    for name, repeat in CELLS.items():
        atoms, rates, forces = rattled(name, repeat), [], []
        for calculator in (ours, theirs):
            atoms.calc = calculator
            forces.append(atoms.get_forces())  # compiles
            again = 3 if calculator is ours else 1

            def evaluate(calculator=calculator, atoms=atoms) -> None:
                calculator.reset()
                atoms.get_forces()

            rates.append(len(atoms) / timed(evaluate, again))
        print(
            f"| {name} | {len(atoms)} | {rates[0]:.0f} | {rates[1]:.0f} | {rates[0] / rates[1]:.1f} | "
            f"{abs(forces[0] - forces[1]).max():.1e} |",
            flush=True,
        )


def memory(which: str) -> None:
    """Print the peak of this process."""
    atoms = rattled("LiFePO4", (4, 3, 3))
    atoms.calc = potential_calculator(which)
    began = time.process_time()
    atoms.get_forces()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{which}: {len(atoms)} atoms, {time.process_time() - began:.1f} CPU s, peak {peak:.2f} GB")


def both() -> None:
    """Print what one pass costs beside each alone."""
    model, potential = Model(), sevennet_0()
    print("| cell | forces, CPU s | density, CPU s | both, CPU s | both over the dearer |")
    print("|---|---|---|---|---|")
    for name, repeat in CELLS.items():
        s = Structure(rattled(name, repeat))
        grid = PeriodicGrid.from_spacing(s.cell, 0.2)
        jobs: list[Callable[[], object]] = [
            lambda s=s: potential.evaluate(s.numbers, s.positions, s.cell),
            lambda s=s, grid=grid: model(s, grid),
            lambda s=s, grid=grid: model.with_energies(s, grid),
        ]
        jobs[2]()  # compiles
        force, density, together = (timed(job, 2) for job in jobs)
        print(f"| {name} | {force:.2f} | {density:.2f} | {together:.2f} | {together / max(force, density):.2f} |")


def lattice() -> None:
    """Print lattice constants."""
    print("| phase | a, b, c of the catalogue (primitive cell), Å | relaxed, Å | largest difference, % | steps |")
    print("|---|---|---|---|---|")
    for name in names():
        start = phase(name, primitive=True)
        if len(start) > 60:
            continue
        made, record = relax(start, Settings(cell=True, fmax=0.03, steps=60, optimiser="lbfgs"))
        a, b = (np.linalg.norm(s.cell, axis=1) for s in (start, made))
        worst = 100.0 * (b / a - 1.0)
        worst = worst[abs(worst).argmax()]
        left = "" if record["converged"] else ", not at rest"
        print(f"| {name} | {', '.join(f'{x:.3f}' for x in a)} | {', '.join(f'{x:.3f}' for x in b)} | {worst:+.1f} | "
              f"{record['steps']}{left} |", flush=True)  # fmt: skip


def main() -> None:
    """Run what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "memory", "both", "lattice"])
    parser.add_argument("--potential", default="sevennet-0", help="of memory")
    given = parser.parse_args()
    if given.what == "memory":
        memory(given.potential)
    else:
        {"speed": speed, "both": both, "lattice": lattice}[given.what]()


if __name__ == "__main__":
    main()
