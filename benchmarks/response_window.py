"""Images of a polar crystal on three supercells: what the averaged edges of apertures and detectors leave.

    OMP_NUM_THREADS=1 python benchmarks/response_window.py

Zincblende ZnS [110], 2 nm, atoms at rest, free atoms, 200 kV, 3 nm of underfocus. Errors are the largest deviation
from the widest supercell over the range of the image, beside that range as a part of the beam.
"""

from dataclasses import replace

import numpy as np
from ase.build import bulk

from rhotem.analysis import run
from rhotem.microscope.plan import make_plan
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, Microscope
from rhotem.microscope.simulate import simulate
from rhotem.structure.model import Structure

DETECTORS = (
    Annular(name="ADF", inner=40, outer=70),
    Annular(name="ABF", inner=11, outer=22),
    Annular(name="BF", outer=11),
)
TILINGS = (2, 3), (3, 4), (6, 8)


def main() -> None:
    """Print errors for two apertures, without and with a source."""
    preset = run.adjusted_preset("layered-oxide", detectors=["ADF=40-80", "ABF=11-22"])
    crystal = Structure(bulk("ZnS", "zincblende", a=5.41, cubic=True))
    cut = run.specimen(crystal, zone=(1, 1, 0), thickness=2, preset=preset, at_rest=True)
    slices = next(iter(run.potential(cut, run.density(cut, "free-atoms"), phonons=0)))
    repeats = (int(cut.repeats[0]), int(cut.repeats[1]))
    scan = Scan((15 * repeats[0], 20 * repeats[1]), slices.extent)
    for convergence, source in ((18.25, 0.0), (18.25, 0.8), (22.0, 0.8)):
        lens = Microscope(energy=200e3, convergence=convergence, defocus=30.0, source_size=source)
        plan = make_plan(slices, lens, scan, DETECTORS, algorithm="bloch", configurations=1)
        made = [
            simulate([slices], lens, scan, DETECTORS, plan=replace(plan, tiling=tiling, windows=None), repeats=repeats)
            for tiling in TILINGS
        ]
        for tiling, images in zip(TILINGS[:-1], made[:-1], strict=True):
            sides = " × ".join(f"{n * length:.1f}" for n, length in zip(tiling, slices.extent, strict=True))
            print(f"{convergence:g} mrad, source {source:g} Å, {sides} Å:", end="")
            for name, best in made[-1].images.items():
                error = np.abs(images[name] - best).max() / np.ptp(best)
                print(f"  {name} {100 * error:.2f} % of {np.ptp(best):.3f}", end="")
            print(flush=True)


if __name__ == "__main__":
    main()
