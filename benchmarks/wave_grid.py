"""Whether images depend on the grid: detectors alone and together, at rest and displaced, against half the step.

    python benchmarks/wave_grid.py --rows ROWS.csv [--crystals Si,...] [--energies 60,200,300] [--thicknesses 2,10,30]
        [--states rest,displaced] [--thinner] [--estimate]
    python benchmarks/wave_grid.py --rows ROWS.csv --table

Five crystals, sixteen probes on a diagonal of the cell, 22 mrad, the same atoms for every grid: at rest, or displaced
in `LAYERS` layers of one cell's height, stacked at random and moved by cells. "together" is the grid that BF, ABF, DPC,
CoM, 4D to 44 mrad and HAADF 68-200 mrad are given, "alone" that of all but HAADF, "parallel" that of a plane wave
(SAED, HRTEM with the preset's lens). References of probes and of plane waves have half the step of the finest of a
crystal, energy and state, and are read at each thickness. They have the same slices, because thinner ones hold the same
planes: ``--thinner`` takes a third of their thickness. Errors are the largest deviation over the range of the
reference; of SAED over the brightest spot but the direct one; PACBED is the mean of the patterns. The probe's supercell
is one block of the specimen, so a probe is sent as the one wave that it is. Rows are added to ROWS.csv; those there are
not made again.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from ase.build import bulk

from rhotem.analysis import run
from rhotem.core import PeriodicGrid
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.coherence import Lens
from rhotem.microscope.optics import aperture
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import fourier_resample
from rhotem.microscope.transforms import BandLimited
from rhotem.potential.slices import build_potential
from rhotem.structure.debye_waller import thermal_motion
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase

ZONES = {"Si": (1, 1, 0), "SrTiO3": (0, 0, 1), "LiCoO2": (1, 0, 0), "LiFePO4": (0, 1, 0), "Au": (0, 0, 1)}
ALONE = ("BF=0-11", "ABF=11-22", "DPC=6-22", "CoM=44", "4D=44")
TOGETHER = (*ALONE, "HAADF=68-200")
NAMES = ("BF", "ABF", "HAADF", "DPC", "CoM", "4D", "PACBED", "SAED", "HRTEM")
WHERE = ("crystal", "kV", "state", "nm", "asked")
COLUMNS = (*WHERE, "mrad", "slice", "finer", "reference mrad", *NAMES, "CPU s")
#: Layers of displaced atoms; probes; waves sent together; mrad that patterns of a plane wave show.
LAYERS, PROBES, TOGETHER_SENT, SHOWN = 4, 16, 4, 100.0


def crystal(name):
    return Structure(bulk("Au", cubic=True)) if name == "Au" else phase(name)


def specimen(name, energy, thickness, asked, **options):
    if asked == "parallel":
        preset, options["block"] = run.adjusted_preset("hrtem", energy=energy, dose=None), 4.5
    else:
        preset = run.adjusted_preset("layered-oxide", energy=energy, detectors=ALONE if asked == "alone" else TOGETHER)
    return run.specimen(crystal(name), ZONES[name], preset=preset, thickness=thickness, **options)


class Stack:
    """Layers of a crystal, each a cell high, in the order that waves meet them: alike for every grid."""

    def __init__(self, cut, rest):
        nx, ny, nz = cut.repeats
        self.cut, self.cells = cut, (nx, ny)
        shape = (*cut.grid.shape[:2], cut.grid.shape[2] // nz)
        block = cut.cell.repeated(nx, ny, 1)
        rng = np.random.default_rng(1)
        spread = np.sqrt(thermal_motion(block.structure).isotropic)[:, None]
        moved = [None] if rest else [rng.normal(size=(len(spread), 3)) * spread for _ in range(LAYERS)]
        grid = PeriodicGrid(block.structure.cell, shape)
        options = {"oversampling": cut.oversampling, "whole_atoms": True}
        self.layers = [build_potential(block, grid, displacements=one, **options) for one in moved]
        first = self.layers[0]
        self.engine = BlochEngine(cut.preset.microscope, first.extent, first.wave_grid, first.thickness, (1, 1))
        self.rest, self._made = rest, {}

    def slices(self, number):
        """What each slice of the first ``number`` cells does to waves."""
        rng = np.random.default_rng(2)
        for _ in range(number):
            key = (0, 0, 0) if self.rest else tuple(rng.integers((LAYERS, *self.cells)).tolist())
            if key not in self._made:
                array = self.layers[key[0]].array
                turn = tuple(i * n // c for i, n, c in zip(key[1:], array.shape[1:], self.cells, strict=True))
                self._made[key] = self.engine.prepared(np.roll(array, turn, axis=(1, 2)))
            yield from self._made[key]

    def sent(self, start, exits):
        """Fourier coefficients (waves, nx, ny) behind so many cells of waves that start as those given."""
        engine, each = self.engine, len(self.layers[0].array)
        waves = BandLimited(len(start), engine.grid, engine._highest())
        over, found = engine.propagators(np.zeros(2, dtype=np.int64)), {}
        waves.used, waves.waves[:] = len(start), start
        waves.values()
        behind, acted = 0, False
        for step, acting in enumerate(self.slices(max(exits)), 1):
            if acting is not None:
                if behind:
                    waves.between(over(behind, acted))()
                waves.through(acting)
                behind, acted = 0, True
            behind += 1
            if step % each == 0 and step // each in exits:
                waves.coefficients(over(behind, acted))
                found[step // each] = waves.waves.copy()
                waves.values()
                behind, acted = 0, False
        return found


def start_of_probes(engine, positions):
    """Coefficients (probes, nx, ny) of probes in the middle of the first slice."""
    kx, ky = (g / length for g, length in zip(engine._g, engine.extent, strict=True))
    step = tuple(1 / length for length in engine.extent)
    inside = aperture(kx[:, None], ky[None], engine.microscope, step)
    rows = np.argwhere(inside > 0)
    beams = np.stack([engine._g[0][rows[:, 0]], engine._g[1][rows[:, 1]]], axis=1)
    k = beams / np.array(engine.extent)
    phase = 2 * np.pi * positions @ k.T + engine.entrance_phase(beams)
    start = np.zeros((len(positions), *engine.grid), dtype=np.complex64)
    amplitude = inside[inside > 0] / np.sqrt((inside**2).sum())
    start[:, rows[:, 0], rows[:, 1]] = amplitude * np.exp(-1j * phase)
    return start


def probes(stack, exits):
    """Signals (16, ...) by detector, by exit."""
    cut, engine = stack.cut, stack.engine
    positions = np.linspace(0, 1, PROBES, endpoint=False)[:, None] * cut.cell.lengths[:2] + 0.01
    what = (cut.preset.detectors, PROBES, engine.microscope.wavelength, engine.supercell)
    recorders = {n: Recorder(*what) for n in exits}
    beams = np.stack(np.meshgrid(*engine._g, indexing="ij"), axis=-1).reshape(-1, 2)
    k = np.hypot(*(beams / np.array(engine.extent)).T)
    seen = np.flatnonzero(k <= recorders[exits[0]].reach)
    for first in range(0, PROBES, TOGETHER_SENT):
        rows = slice(first, first + TOGETHER_SENT)
        for n, waves in stack.sent(start_of_probes(engine, positions[rows]), exits).items():
            intensity = np.abs(waves.reshape(len(waves), -1)[:, seen]) ** 2
            recorders[n].add(rows, recorders[n].weights(beams[seen]), intensity)
            recorders[n].show(rows, beams[seen], intensity)
    return {n: signals(recorder) for n, recorder in recorders.items()}


def signals(recorder):
    sums = dict(zip((channel.name for channel in recorder.channels), recorder.sums.T, strict=True))
    found = {name: sums[name] for name in ("BF", "ABF", "HAADF") if name in sums}
    total = sum(sums[f"segment{i}"] for i in range(4))
    found["DPC"] = np.stack([sums["segment0"] - sums["segment2"], sums["segment1"] - sums["segment3"]]) / total
    found["CoM"] = np.stack([sums["CoMx"], sums["CoMy"]]) / sums["CoM"]
    found["4D"] = recorder.patterns["4D"]
    found["PACBED"] = found["4D"].mean(axis=0)
    return found


def parallel(stack, exits):
    """Spots but the direct one and image of the lens, by exit, of a plane wave."""
    engine = stack.engine
    start = np.zeros((1, *engine.grid), dtype=np.complex64)
    start[0, 0, 0] = 1
    kx, ky = (g / length for g, length in zip(engine._g, engine.extent, strict=True))
    k2 = kx[:, None] ** 2 + ky**2
    back = np.exp(0.5j * np.pi * engine.microscope.wavelength * engine.thickness * k2)
    lens = Lens(engine.microscope, engine.extent, engine.shape, stack.cells)
    half = [int(1e-3 * SHOWN / engine.microscope.wavelength * length) for length in engine.extent]
    shown = np.ix_(*(np.arange(-n, n + 1) for n in half))
    own = np.ix_(*(np.rint(np.fft.fftfreq(n) * n).astype(int) for n in engine.shape))
    found = {}
    for n, waves in stack.sent(start, exits).items():
        wave = waves[0] * back
        spots = np.abs(wave[shown]) ** 2
        spots[tuple(half)] = 0
        found[n] = {"SAED": spots, "HRTEM": lens.image(wave[own][None])}
    return found


def errors(found, reference):
    """Per cent of the range of the reference; images on the pixels of it."""
    told = {}
    for name, value in found.items():
        exact = reference[name]
        if name == "HRTEM":
            value = fourier_resample(value, exact.shape)
        told[name] = 100 * np.abs(value - exact).max() / np.ptp(exact)
    return told


def cuts_of(name, energy, state, thicknesses):
    """Specimens by thickness and what is asked, those on another grid than "together" alone."""
    cuts = {}
    for nm in thicknesses:
        for asked in ("together", "alone", "parallel"):
            cut = specimen(name, energy, nm, asked, at_rest=state == "rest")
            same = asked == "alone" and cut.grid.shape == cuts[nm, "together"].grid.shape
            if not same:
                cuts[nm, asked] = cut
    return cuts


def estimate(cuts):
    """Points times planes times waves of all propagations of a case, times 1e-9."""
    work = 0.0
    for plane in (False, True):
        own = [cut for key, cut in cuts.items() if (key[1] == "parallel") == plane]
        points = [cut.grid.shape[0] * cut.grid.shape[1] for cut in own]
        of_all = sum(p * cut.planes for p, cut in zip(points, own, strict=True))
        work += (1 if plane else PROBES) * (of_all + 4 * max(points) * max(cut.planes for cut in own))
    return 1e-9 * work


def reference_of(name, energy, state, cuts, thinner):
    """What all images of ``cuts`` converge to by exit, the angle that its grid carries in mrad, and CPU seconds."""
    first = next(iter(cuts.values()))
    asked = "together" if first.preset.mode == "stem" else "parallel"
    options = {"sampling": min(float(cut.grid.spacing[:2].max()) for cut in cuts.values()) / 2}
    if thinner:
        options["slice_thickness"] = float(first.grid.spacing[2]) / 3 * (1 + 1e-6)
    start = time.process_time()
    cut = specimen(name, energy, max(nm for nm, _ in cuts), asked, at_rest=state == "rest", **options)
    exits = sorted({cut.repeats[2] for cut in cuts.values()})
    found = (parallel if asked == "parallel" else probes)(Stack(cut, state == "rest"), exits)
    return found, cut.carried, time.process_time() - start


def case(name, energy, state, cuts, thinner):
    """Rows of one crystal, energy and state, of probes or of plane waves; those of the reference last."""
    exact, carried, reference = reference_of(name, energy, state, cuts, thinner)
    grids = {}
    for (nm, asked), cut in cuts.items():
        grids.setdefault((asked, cut.grid.shape[:2], cut.oversampling), []).append((nm, cut))
    for (asked, _, _), members in grids.items():
        start = time.process_time()
        stack, exits = Stack(members[0][1], state == "rest"), sorted({cut.repeats[2] for _, cut in members})
        found = (parallel if asked == "parallel" else probes)(stack, exits)
        spent = (time.process_time() - start) / len(members)
        for nm, cut in members:
            yield (nm, asked), errors(found[cut.repeats[2]], exact[cut.repeats[2]]) | {"cut": cut}, carried, spent
    yield (max(nm for nm, _ in cuts), f"reference of {asked}"), {}, carried, reference


def rows_of(path):
    """Rows that are there, by what they are of."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {tuple(row[key] for key in WHERE): row for row in csv.DictReader(file)}


def add(path, row):
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def made(path, case_of, thicknesses, thinner):
    """Add the rows of a crystal, energy and state to a file, but those that are there."""
    name, energy, state = case_of
    every = cuts_of(name, energy, state, thicknesses)
    for plane in (True, False):
        cuts = {key: cut for key, cut in every.items() if (key[1] == "parallel") == plane}
        tail = ", thinner" if thinner else ""
        there = rows_of(path)
        if all((name, f"{energy:g}", state, f"{nm:g}", asked + tail) in there for nm, asked in cuts):
            continue
        for (nm, asked), found, carried, spent in case(name, energy, state, cuts, thinner):
            row = dict(zip(WHERE, (name, f"{energy:g}", state, f"{nm:g}", asked + tail), strict=True))
            cut = found.pop("cut", None)
            if cut is not None:
                row |= {"mrad": f"{cut.carried:.0f}", "slice": f"{cut.grid.spacing[2]:.2f}", "finer": cut.oversampling}
            row |= {"reference mrad": f"{carried:.0f}", "CPU s": f"{spent:.1f}"}
            row |= {key: f"{value:.3f}" for key, value in found.items()}
            add(path, row)
            print(" ".join(str(row.get(key, "")) for key in COLUMNS), flush=True)


def table(path):
    """Largest errors by crystal, voltage and state, whatever the thickness and what is asked for; and of all."""
    rows = [row for row in rows_of(path).values() if row["mrad"]]
    print("| " + " | ".join(("crystal", "kV", "atoms", "nm", "mrad", *NAMES)) + " |")
    print("|---" * (5 + len(NAMES)) + "|")
    for key in sorted({(row["crystal"], float(row["kV"]), row["state"]) for row in rows}, key=_order):
        own = [row for row in rows if (row["crystal"], float(row["kV"]), row["state"]) == key]
        depths = ", ".join(f"{nm:g}" for nm in sorted({float(row["nm"]) for row in own}))
        together = sorted({int(row["mrad"]) for row in own if row["asked"].startswith("together")})
        carried = " to ".join(str(one) for one in sorted({together[0], together[-1]}))
        worst = (max((float(row[name]) for row in own if row[name]), default=None) for name in NAMES)
        told = ("" if one is None else f"**{one:.2f}**" if one > 1 else f"{one:.2f}" for one in worst)
        print("| " + " | ".join((key[0], f"{key[1]:g}", key[2], depths, carried, *told)) + " |")
    for name in NAMES:
        value, where = max((float(row[name] or 0), tuple(row[key] for key in WHERE)) for row in rows)
        print(f"largest of {name}: {value:.2f} % ({', '.join(where)})")
    over = [row for row in rows if any(float(row[name] or 0) > 1 for name in NAMES)]
    print(f"{len(rows)} rows, {len(over)} of them above 1 %")


def _order(key):
    return list(ZONES).index(key[0]), key[2] == "rest", key[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--crystals", default=",".join(ZONES))
    parser.add_argument("--energies", default="60,200,300")
    parser.add_argument("--thicknesses", default="2,10,30")
    parser.add_argument("--states", default="rest,displaced")
    parser.add_argument("--thinner", action="store_true", help="slices of a third in the reference, too")
    parser.add_argument("--estimate", action="store_true", help="say the work of each case, and do nothing")
    parser.add_argument("--table", action="store_true", help="print what the file holds")
    given = parser.parse_args()
    if given.table:
        table(given.rows)
        return
    thicknesses = [float(nm) for nm in given.thicknesses.split(",")]
    for state in given.states.split(","):
        for energy in map(float, given.energies.split(",")):
            for name in given.crystals.split(","):
                if given.estimate:
                    print(name, energy, state, f"{estimate(cuts_of(name, energy, state, thicknesses)):.1f}e9 points")
                    continue
                made(given.rows, (name, energy, state), thicknesses, given.thinner)


if __name__ == "__main__":
    main()
