"""The time that plans say against the time that their images take: ten structures, in CPU seconds of this process.

    python benchmarks/plan_time.py [--cases 1,2,...]

Potentials of free atoms and images, from nothing to the images in memory; what a density and the pictures take is not
part of a plan. The plan's time is at the pace that a probe finds before it is made, here before each: what runs beside
makes both longer.
"""

import argparse
import time

from ase.build import bulk

from rhotem.analysis import run
from rhotem.microscope.pace import pace
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase

#: Phase, zone, nm, frozen-phonon configurations, detectors (None: the preset's).
CASES = (
    ("Si", (1, 1, 0), 10, 0, None),
    ("SrTiO3", (0, 0, 1), 10, 8, ("ABF=11-22",)),
    ("Li2O", (1, 1, 0), 3, 2, ("4D=40",)),
    ("LiCoO2", (1, 0, 0), 5, 8, None),
    ("NaCoO2", (1, 0, 0), 2, 4, None),
    ("LiFePO4", (0, 1, 0), 2, 8, None),
    ("LiMn2O4", (1, 1, 0), 3, 4, None),
    ("Au", (0, 0, 1), 3, 4, None),
    ("Li2MnO3", (1, 0, 0), 2, 8, ("ABF=11-22",)),
    ("Li2RuO3", (0, 0, 1), 2, 8, None),
    ("Li2RuO3", (0, 0, 1), 10, 8, None),
)


def crystal(name):
    """A phase; Li2RuO3 in the cell of Li2MnO3, half a per cent larger."""
    if name == "Au":
        return Structure(bulk("Au", cubic=True))
    if name != "Li2RuO3":
        return phase(name)
    atoms = phase("Li2MnO3").atoms.copy()
    atoms.numbers[atoms.numbers == 25] = 44
    atoms.set_cell(1.005 * atoms.cell, scale_atoms=True)
    return Structure(atoms)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(str(n + 1) for n in range(len(CASES))))
    arguments = parser.parse_args()
    print("| specimen | nm | configurations | grid | beams | pace | plan (s) | took (s) | plan/took |")
    print("|---" * 9 + "|")
    for number in map(int, arguments.cases.split(",")):
        name, zone, thickness, phonons, detectors = CASES[number - 1]
        chosen = {} if detectors is None else {"detectors": detectors}
        preset = run.adjusted_preset("layered-oxide", **chosen)
        cut = run.specimen(crystal(name), zone, preset=preset, thickness=thickness, at_rest=phonons == 0)
        field, plans = run.density(cut, "free-atoms"), []
        pace.cache_clear()  # as in a process of its own
        start = time.process_time()
        run.image(cut, run.potential(cut, field, phonons=phonons), announce=plans.append)
        took, plan = time.process_time() - start, plans[0]
        said = plan.seconds * plan.threads
        print(
            f"| {name} {list(zone)} | {thickness} | {phonons} | {plan.shape[0]} × {plan.shape[1]} × {plan.slices} "
            f"| {plan.waves} | {pace():.2f} | {said:.1f} | {took:.1f} | {said / took:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
