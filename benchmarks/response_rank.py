"""Whether a factor of low rank holds the Hermitian forms of a response in less room than the forms themselves.

    python benchmarks/response_rank.py [--cells 5,2]

LiCoO2 [100], 2 nm, atoms displaced by 0.08 Å and one in fifty left out, so that nothing repeats within the cell; all
beams of 22 mrad and 200 kV. Eigenvectors of M are added by falling size of their eigenvalues, until 400 images' pixels
(positions at random, −6 to 6 nm of focus) are nowhere further than an error from those of M, in parts of their range.
M takes n²/2 numbers for n beams, r eigenvectors take n r: they are smaller for r < n/2.
"""

import argparse
import time

import numpy as np

from rhotem.core.grid import PeriodicGrid, smooth_length
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.record import Recorder
from rhotem.microscope.settings import Annular, Microscope, Segmented
from rhotem.potential.free_atoms import free_atom_slices
from rhotem.potential.parametrizations import form_factor
from rhotem.potential.plane_waves import HalfPlane
from rhotem.structure.orient import orient
from rhotem.structure.phases import phase

MICROSCOPE = Microscope(energy=200e3, convergence=22.0)
DETECTORS = (
    Annular(name="ADF", inner=60, outer=95),
    Annular(name="ABF", inner=11, outer=22),
    Segmented(inner=6, outer=22),
)
NAMES = ("ADF 60-95", "ABF 11-22", "segment 6-22")
ERRORS = (1e-2, 1e-3, 1e-4)
PIXELS = 400


def scattered(cells, rng):
    """Engine, beams out and matrix of a cell that holds no repeated one."""
    block = orient(phase("LiCoO2"), (1, 0, 0), primitive=True).repeated(*cells, 7)
    places = block.structure.positions + rng.normal(0, 0.08, (len(block.structure), 3))
    kept = rng.random(len(places)) > 0.02
    shape = [smooth_length(int(np.ceil(length / 0.08))) for length in block.lengths[:2]]
    grid = PeriodicGrid(np.diag(block.lengths), (*shape, 14))
    coefficients = free_atom_slices(grid, block.structure.numbers[kept], places[kept], form_factor("pbe"))(range(14))
    slices = HalfPlane(grid).to_real(coefficients)
    engine = BlochEngine(MICROSCOPE, tuple(block.lengths[:2]), tuple(shape), block.lengths[2] / 14, (1, 1))
    beams, (matrix,) = engine.scattered(engine.groups[0], engine.prepared(slices), 0.1 / MICROSCOPE.wavelength, [14])
    return engine, beams, matrix


def ranks(form, amplitudes):
    """Eigenvectors that each of `ERRORS` needs."""
    images = ((amplitudes @ form) * amplitudes.conj()).real.sum(axis=1)
    values, vectors = np.linalg.eigh(form)
    order = np.argsort(-np.abs(values))
    parts = np.cumsum((np.abs(amplitudes @ vectors) ** 2 * values)[:, order], axis=1)
    worst = np.abs(parts - images[:, None]).max(axis=0) / np.ptp(images)
    return [int(np.max(np.flatnonzero(worst > error), initial=-1)) + 2 for error in ERRORS]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", default="3,1", help="of 4.9 x 14.1 Å; 5,2 is 24 x 28 Å, 8,3 39 x 42 Å")
    rng, start = np.random.default_rng(0), time.process_time()
    engine, beams, matrix = scattered([int(n) for n in parser.parse_args().cells.split(",")], rng)
    members = engine.members(engine.groups[0]) / np.array(engine.supercell)
    positions = rng.random((PIXELS, 2)) * engine.supercell
    chi = -np.pi * MICROSCOPE.wavelength * rng.uniform(-60, 60, (PIXELS, 1)) * (members**2).sum(axis=1)
    amplitudes = np.exp(-1j * (chi + 2 * np.pi * positions @ members.T)) / np.sqrt(len(members))
    weights = Recorder(DETECTORS, 0, MICROSCOPE.wavelength, engine.supercell).weights(beams)
    size = " x ".join(f"{length:.1f}" for length in engine.supercell)
    print(f"{size} Å, {len(members)} beams, M of {4e-6 * len(members) ** 2:.1f} MB\n")
    print("| channel | " + " | ".join(f"{e:.0e}" for e in ERRORS) + " | r/n at the last |\n|---|" + 4 * "---|")
    for name, weight in zip(NAMES, weights.T, strict=False):
        seen = np.flatnonzero(weight)
        found = ranks((matrix[:, seen] * weight[seen]) @ matrix[:, seen].conj().T, amplitudes)
        print(f"| {name} | " + " | ".join(map(str, found)) + f" | {found[-1] / len(members):.2f} |", flush=True)
    print(f"\n{time.process_time() - start:.0f} CPU s")


if __name__ == "__main__":
    main()
