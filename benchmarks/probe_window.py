"""Sixty probes with aberrations: images on the supercell that the plan chooses against one twice as wide.

    python benchmarks/probe_window.py [--number 60] [--first 60] [--skip 0] [--seed 0]

SrTiO3 [001], 3 nm, atoms at rest, 200 kV; 10 to 30 mrad; defocus, Cs, astigmatism, coma and threefold astigmatism of
random shares, scaled to a probe radius of 2 to 29 Å. Bright field, ABF, LAADF, segments and centre of mass at
16 positions along a diagonal; errors are the largest deviation over the range of each. Cheap ones come first; CPU
seconds are those of both supercells, with one thread.
"""

import argparse
import time

import numpy as np

from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.optics import probe_radius
from rhotem.microscope.plan import probe_window
from rhotem.microscope.record import Recorder
from rhotem.microscope.settings import Annular, CenterOfMass, Microscope, Segmented
from rhotem.microscope.slicing import sliced
from rhotem.potential.slices import build_potential
from rhotem.structure.orient import orient
from rhotem.structure.phases import phase
from rhotem.structure.supercell import imaging_grid, repeated_grid

#: Weights of random coefficients, Å: they blur about alike at 20 mrad.
SHARES = {"C10": 1.0, "C12": 1.0, "C21": 50.0, "C23": 50.0, "C30": 2500.0}


def potential(repeats=8):
    cell, slices = sliced(orient(phase("SrTiO3"), (0, 0, 1), primitive=True), 2.0, 2.0)
    grid = repeated_grid(imaging_grid(cell, 0.08, slices), 1, 1, repeats)
    return build_potential(cell.repeated(1, 1, repeats), grid, oversampling=2)


def probe(rng, radius, thickness):
    """A microscope whose probe has that radius (Å), as far as the cone through the specimen allows."""
    convergence = rng.uniform(10, 30)
    values = {name: scale * rng.normal() for name, scale in SHARES.items()}
    azimuths = {f"phi{name[1:]}": rng.uniform(0, 2 * np.pi) for name in ("C12", "C21", "C23")}

    def made(scale):
        scaled = {name: scale * value for name, value in values.items()}
        return Microscope(energy=200e3, convergence=convergence, aberrations={**scaled, **azimuths})

    low, high = 0.0, 1e5
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if probe_radius(made(middle), thickness) < radius else (low, middle)
    return made(low)


def signals(slices, microscope, window, positions):
    convergence = microscope.convergence
    detectors = (
        Annular(name="BF", outer=convergence / 2),
        Annular(name="ABF", inner=convergence / 2, outer=convergence),
        Annular(name="LAADF", inner=1.5 * convergence, outer=3 * convergence),
        Segmented(inner=convergence / 4, outer=convergence),
        CenterOfMass(outer=2 * convergence),
    )
    tiling = tuple(int(np.ceil(window / length - 1e-6)) for length in slices.extent)
    engine = BlochEngine(microscope, slices.extent, slices.wave_grid, slices.thickness, tiling)
    recorder = Recorder(detectors, len(positions), microscope.wavelength, engine.supercell)
    engine.run(slices.array, positions, {len(slices.array): recorder})
    names = [channel.name for channel in recorder.channels]
    shown = [i for i, name in enumerate(names) if not name.startswith("CoM") or name in ("CoMx", "CoMy")]
    return [names[i] for i in shown], recorder.sums[:, shown], engine.supercell[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--number", type=int, default=60)
    parser.add_argument("--first", type=int, default=None, help="only so many of them, the cheapest")
    parser.add_argument("--skip", type=int, default=0, help="so many of the cheapest")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, slices = np.random.default_rng(arguments.seed), potential()
    thickness = len(slices.array) * slices.thickness
    positions = np.linspace(0, 1, 16, endpoint=False)[:, None] * np.array(slices.extent) + 0.1
    print("| probe | α (mrad) | radius (Å) | window (Å) | largest error, % of range | of | range | CPU s |")
    print("|---" * 8 + "|")
    worst = 0.0
    probes = [probe(rng, radius, thickness) for radius in np.linspace(2, 29, arguments.number)]
    order = sorted(range(len(probes)), key=lambda i: probes[i].convergence * probe_window(probes[i], thickness))
    for number in order[arguments.skip : arguments.first]:
        microscope, start = probes[number], time.process_time()
        window = probe_window(microscope, thickness)
        names, found, used = signals(slices, microscope, window, positions)
        _, reference, _ = signals(slices, microscope, 2 * used, positions)
        kinds = np.array([name.rstrip("0123xy") for name in names])
        span = {kind: np.ptp(reference[:, kinds == kind], axis=0).max() for kind in set(kinds)}
        error = np.array([100 * np.abs(found - reference)[:, i].max() / span[kind] for i, kind in enumerate(kinds)])
        large = int(error.argmax())
        worst = max(worst, error[large])
        print(
            f"| {number} | {microscope.convergence:.1f} | {probe_radius(microscope, thickness):.1f} | {used:.0f} | "
            f"{error[large]:.2f} | {names[large]} | {span[kinds[large]]:.3g} "
            f"| {time.process_time() - start:.1f} |",
            flush=True,
        )
    print(f"largest of all: {worst:.2f} %")


if __name__ == "__main__":
    main()
