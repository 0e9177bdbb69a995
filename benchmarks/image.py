"""RhoTEM against plain abTEM: the default image of LiCoO2, same supercell, probes and detectors, one run.

    python benchmarks/image.py [--thickness 10] [--skip-abtem-default]

One frozen-phonon configuration of independent atoms in one cell (both codes repeat the work for every further one),
the same displaced atoms for both; 200 kV, 22 mrad, HAADF, ABF and four segments over one projected cell at the Nyquist
step. Errors are the largest pixel deviation, relative to the brightest pixel, from the same code's potential at half
sampling and half slices, propagated by Bloch beams, which equal abTEM's multislice on the supercell to
1e-6 (tests/microscope/test_bloch.py). RhoTEM runs here without averaging over aperture edges, so that both codes solve
the same discretised problem; `--supercells` shows what the averaging is worth.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from rhotem.core import PeriodicGrid
from rhotem.core.grid import smooth_length
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.plan import probe_window
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, Microscope, Segmented
from rhotem.potential.slices import PotentialSlices, build_potential
from rhotem.structure.orient import orient
from rhotem.structure.phases import phase
from rhotem.structure.supercell import thickness_repeats

MICROSCOPE = Microscope(energy=200e3, convergence=22.0)
#: Hard edges are those of abTEM's detectors.
DETECTORS = (
    Annular(name="HAADF", inner=68, outer=200, edges="hard"),
    Annular(name="ABF", inner=11, outer=22, edges="hard"),
    Segmented(inner=6, outer=22, edges="hard"),
)
NAMES = ("HAADF", "ABF", "segment")
SAMPLING = 0.0402
#: How many times finer the potential is sampled.
OVERSAMPLING = 2


def specimen(thickness, rms=0.08):
    """LiCoO2 along [100] and one set of displacements (rms Å per axis); `placed` moves planes into mid-slice."""
    cell = orient(phase("LiCoO2"), (1, 0, 0), primitive=True)
    depth, _ = thickness_repeats(cell, thickness)
    block = cell.repeated(1, 1, depth)
    moved = np.random.default_rng(0).normal(0, rms, (len(block.structure), 3))
    return block, depth, moved


def placed(specimen, layers):
    """The atoms with every plane in the middle of one of ``layers`` slices per plane, at rest, in their cell."""
    block, depth, _ = specimen
    atoms = block.structure.atoms.copy()
    atoms.positions[:, 2] += block.lengths[2] / (4 * depth * layers)
    return atoms


def ours(specimen, sampling, layers, scan, tiling, microscope=MICROSCOPE, detectors=DETECTORS, average=False):
    """Signals (positions, channels) and the seconds of image and potential; ``layers`` slices per atomic layer."""
    block, depth, moved = specimen
    start = time.perf_counter()
    grid = PeriodicGrid(block.structure.cell, (*lateral(block, sampling), 2 * layers * depth))
    block = replace(block, structure=replace(block.structure, atoms=placed(specimen, layers)))
    slices = build_potential(block, grid, parametrization="lobato", displacements=moved, oversampling=OVERSAMPLING)
    built = time.perf_counter()
    shape = slices.wave_grid
    return *bloch(slices, shape, scan, tiling, microscope, detectors, average), built - start


def lateral(block, sampling):
    return tuple(smooth_length(int(np.ceil(length / sampling))) for length in block.lengths[:2])


def bloch(slices, shape, scan, tiling, microscope=MICROSCOPE, detectors=DETECTORS, average=False):
    start = time.perf_counter()
    engine = BlochEngine(microscope, slices.extent, shape, slices.thickness, tiling, edge_average=average)
    recorder = Recorder(detectors, len(scan.positions), microscope.wavelength, engine.supercell)
    engine.run(slices.array, scan.positions, {len(slices.array): recorder})
    return recorder.sums, time.perf_counter() - start


def displaced(specimen, layers=1):
    atoms = placed(specimen, layers)
    atoms.positions += specimen[2]
    atoms.wrap()
    return atoms


def abtem_potential(atoms, sampling, layer, gpts=None):
    import abtem

    grid = {"gpts": gpts} if gpts else {"sampling": sampling}
    return abtem.Potential(atoms, slice_thickness=layer, projection="infinite", **grid)


def plain_abtem(specimen, layer, scan, tiling, gpts=None):
    """What an abTEM user writes: supercell, Potential, Probe, GridScan, detectors."""
    import abtem
    import dask

    atoms = displaced(specimen) * (*tiling, 1)
    start = time.perf_counter()
    potential = abtem_potential(atoms, SAMPLING, layer, gpts).build(lazy=False)
    built = time.perf_counter()
    probe = abtem.Probe(energy=MICROSCOPE.energy, semiangle_cutoff=MICROSCOPE.convergence)
    probe.grid.match(potential)
    grid_scan = abtem.GridScan((0, 0), scan.size, gpts=scan.shape, endpoint=False)
    detectors = [
        abtem.AnnularDetector(68, 200),
        abtem.AnnularDetector(11, 22),
        abtem.SegmentedDetector(nbins_radial=1, nbins_azimuthal=4, inner=6, outer=22, rotation=-np.pi / 4),
    ]
    haadf, abf, segments = probe.scan(potential, scan=grid_scan, detectors=detectors, lazy=True)
    haadf, abf, segments = dask.compute(haadf.array, abf.array, segments.array)
    segments = segments.reshape(len(scan.positions), 4)
    signals = np.concatenate([haadf.reshape(-1, 1), abf.reshape(-1, 1), segments], axis=1)
    return signals, time.perf_counter() - built, built - start, potential


def errors(signals, reference):
    """Largest deviation of HAADF, ABF and the segments, per cent of the brightest pixel."""
    deviation = 100 * np.abs(signals - reference).max(axis=0) / reference.max(axis=0)
    return deviation[0], deviation[1], deviation[2:].max()


def row(name, grid, slices, built, image, deviation, base):
    total = built + image
    ratio = f"{total / base:.1f}" if base else "1.0"
    cells = " | ".join(f"{d:.2f}" for d in deviation)
    print(
        f"| {name} | {grid[0]} x {grid[1]} | {slices} | {built:.1f} | {image:.1f} | {total:.1f} | {ratio} | {cells} |",
        flush=True,
    )
    return total


def compare(thickness, with_default):
    sample = block, depth, _ = specimen(thickness)
    extent = tuple(float(v) for v in block.lengths[:2])
    scan = Scan.cell(extent, MICROSCOPE)
    window = probe_window(MICROSCOPE, 10 * thickness)
    tiling = tuple(int(np.ceil(window / length)) for length in extent)
    shape, fine = lateral(block, SAMPLING), lateral(block, SAMPLING / 2)
    layer = block.lengths[2] / (2 * depth)
    size = " x ".join(f"{length * m:.1f}" for length, m in zip(extent, tiling, strict=True))
    print(f"LiCoO2 [100], {thickness} nm, supercell {size} Å, {len(scan.positions)} probes\n")
    print("| | grid | slices | potential (s) | image (s) | total (s) | × | HAADF (%) | ABF (%) | segment (%) |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    signals, image, built = ours(sample, SAMPLING, 1, scan, tiling)
    reference, *_ = ours(sample, SAMPLING / 2, 2, scan, tiling)
    base = row("RhoTEM", shape, 2 * depth, built, image, errors(signals, reference), 0)
    array = np.asarray(abtem_potential(displaced(sample, 2), None, layer / 2 + 1e-9, fine).build(lazy=False).array)
    grid = PeriodicGrid(block.structure.cell, (*fine, len(array)))
    theirs, _ = bloch(PotentialSlices(array, grid, 0.0), fine, scan, tiling)
    runs = [("abTEM, our grid", layer + 1e-9, tuple(n * m for n, m in zip(shape, tiling, strict=True)))]
    if with_default:
        runs.append(("abTEM, default grid", 1.0, None))
    for name, thick, gpts in runs:
        signals, image, built, potential = plain_abtem(sample, thick, scan, tiling, gpts)
        row(name, potential.gpts, len(potential), built, image, errors(signals, theirs), base)


def supercells(thickness):
    """How fast images converge with the supercell, with aperture and detector edges averaged and without."""
    sample = specimen(thickness)
    extent = tuple(float(v) for v in sample[0].lengths[:2])
    scan = Scan((6, 14), extent)

    def signals(tiling, edges, average):
        detectors = (
            Annular(name="ADF", inner=40, outer=75, edges=edges),
            Annular(name="ABF", inner=11, outer=22, edges=edges),
            Segmented(inner=6, outer=22, edges=edges),
        )
        return ours(sample, 0.1, 1, scan, tiling, MICROSCOPE, detectors, average)[0]

    reference = signals((8, 3), "soft", True)
    print(f"\nLiCoO2 [100], {thickness} nm: largest error (%) against a supercell of 39 x 42 Å\n")
    print("| supercell | | beams | ADF 40–75 | ABF | segment |\n|---|---|---|---|---|---|")
    for tiling in ((2, 1), (3, 1), (4, 1), (4, 2), (6, 2)):
        size = " x ".join(f"{length * m:.1f}" for length, m in zip(extent, tiling, strict=True))
        beams = BlochEngine(MICROSCOPE, extent, (8, 8), 1.0, tiling).beams
        for name, edges, average in (("averaged edges", "soft", True), ("as abTEM", "hard", False)):
            deviation = errors(signals(tiling, edges, average), reference)
            print(f"| {size} | {name} | {beams} | " + " | ".join(f"{d:.2f}" for d in deviation) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--thickness", type=float, default=10.0, help="nm")
    parser.add_argument("--supercells", action="store_true", help="convergence with the supercell instead")
    parser.add_argument("--skip-abtem-default", action="store_true")
    options = parser.parse_args()
    if options.supercells:
        supercells(options.thickness)
    else:
        compare(options.thickness, not options.skip_abtem_default)


if __name__ == "__main__":
    main()
