"""Whether images depend on the grid: detectors alone and together against half the step and a third of the slices.

    python benchmarks/wave_grid.py [--crystals Si,SrTiO3,...] [--energies 60,200,300] [--thicknesses 2,10,30] [--rest]

Five crystals, sixteen probes on a diagonal of the cell, 22 mrad, the same displacements of the atoms for every grid
(``--rest``: none). "together" is the grid that BF, ABF, DPC, CoM, 4D to 44 mrad and HAADF 68-200 mrad are given,
"alone" that of all but HAADF. The reference has half the step of the finer of both and a third of its slices. Errors
are the largest deviation over the range of the reference; PACBED is the mean of the patterns. The probe's supercell is
one block of the specimen, alike in all: only the grid is tested here.
"""

import argparse
import time

import numpy as np
from ase.build import bulk

from rhotem.analysis import run
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.record import Recorder
from rhotem.potential.slices import build_potential
from rhotem.structure.debye_waller import thermal_motion
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase

ZONES = {"Si": (1, 1, 0), "SrTiO3": (0, 0, 1), "LiCoO2": (1, 0, 0), "LiFePO4": (0, 1, 0), "Au": (0, 0, 1)}
ALONE = ("BF=0-11", "ABF=11-22", "DPC=6-22", "CoM=44", "4D=44")
#: Points times slices of a reference, beyond which a case is left out.
LARGEST = 6e8
NAMES = ("BF", "ABF", "HAADF", "DPC", "CoM", "4D", "PACBED")


def crystal(name):
    return Structure(bulk("Au", cubic=True)) if name == "Au" else phase(name)


def specimen(name, energy, thickness, detectors, **options):
    preset = run.adjusted_preset("layered-oxide", energy=energy, detectors=detectors)
    return run.specimen(crystal(name), ZONES[name], preset=preset, thickness=thickness, **options)


def signals(cut, moved, detectors):
    """Signals (16, ...) by detector."""
    options = {"oversampling": cut.oversampling, "whole_atoms": True}
    slices = build_potential(cut.block, cut.grid, displacements=moved, **options)
    microscope = cut.preset.microscope
    engine = BlochEngine(microscope, slices.extent, slices.wave_grid, slices.thickness, (1, 1))
    positions = np.linspace(0, 1, 16, endpoint=False)[:, None] * cut.cell.lengths[:2] + 0.01
    recorder = Recorder(detectors, len(positions), microscope.wavelength, engine.supercell)
    engine.run(slices.array, positions, {len(slices.array): recorder})
    sums = dict(zip((channel.name for channel in recorder.channels), recorder.sums.T, strict=True))
    found = {name: sums[name] for name in ("BF", "ABF", "HAADF") if name in sums}
    total = sum(sums[f"segment{i}"] for i in range(4))
    found["DPC"] = np.stack([sums["segment0"] - sums["segment2"], sums["segment1"] - sums["segment3"]]) / total
    found["CoM"] = np.stack([sums["CoMx"], sums["CoMy"]]) / sums["CoM"]
    found["4D"] = recorder.patterns["4D"]
    found["PACBED"] = found["4D"].mean(axis=0)
    return found


def errors(found, reference):
    return {n: 100 * np.abs(v - reference[n]).max() / np.ptp(reference[n]) for n, v in found.items()}


def case(name, energy, thickness, rest):
    """Rows of the table."""
    both = {"alone": ALONE, "together": (*ALONE, "HAADF=68-200")}
    cuts = {key: specimen(name, energy, thickness, d, at_rest=rest) for key, d in both.items()}
    finest = max(cuts.values(), key=lambda cut: cut.grid.size)
    part, step = finest.grid.spacing[2] / 3, float(finest.grid.spacing[:2].max())
    if 12 * finest.grid.size > LARGEST:
        print(
            f"| {name} | {energy:g} | {thickness:g} | not run: the reference has {12 * finest.grid.size:.1e} points |"
        )
        return []
    finer = {"sampling": step / 2, "slice_thickness": part * (1 + 1e-6)}
    reference = specimen(name, energy, thickness, both["together"], at_rest=rest, **finer)
    rng = np.random.default_rng(1)
    u2 = 0.0 * finest.block.structure.numbers if rest else thermal_motion(finest.block.structure).isotropic
    moved = rng.normal(size=(len(finest.block.structure), 3)) * np.sqrt(u2)[:, None]
    start = time.process_time()
    exact = signals(reference, moved, reference.preset.detectors)
    rows = [("reference", reference, {}, time.process_time() - start)]
    for key, cut in cuts.items():
        if key == "alone" and cut.grid.shape == cuts["together"].grid.shape:
            continue
        start = time.process_time()
        found = errors(signals(cut, moved, cut.preset.detectors), exact)
        rows.append((key, cut, found, time.process_time() - start))
    for key, cut, found, seconds in rows:
        cells = " | ".join(f"{found[n]:.2f}" if n in found else "" for n in NAMES)
        print(
            f"| {name} | {energy:g} | {thickness:g} | {key} | {cut.carried:.0f} | {cut.grid.spacing[2]:.2f} "
            f"| x{cut.oversampling} | {reference.carried:.0f} | {cells} | {seconds:.1f} |",
            flush=True,
        )
    return [(found, (name, energy, thickness, key)) for key, _, found, _ in rows]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--crystals", default=",".join(ZONES))
    parser.add_argument("--energies", default="60,200,300")
    parser.add_argument("--thicknesses", default="2,10,30")
    parser.add_argument("--rest", action="store_true")
    given = parser.parse_args()
    print("| crystal | kV | nm | asked | mrad | slice Å | finer | ref. mrad | " + " | ".join(NAMES) + " | CPU s |")
    print("|---" * (9 + len(NAMES)) + "|")
    worst = {}
    for name in given.crystals.split(","):
        for energy in map(float, given.energies.split(",")):
            for thickness in map(float, given.thicknesses.split(",")):
                for found, where in case(name, energy, thickness, given.rest):
                    for key, value in found.items():
                        worst[key] = max(worst.get(key, (0.0, None)), (value, where))
    for key, (value, where) in worst.items():
        print(f"largest of {key}: {value:.2f} % ({where})")


if __name__ == "__main__":
    main()
