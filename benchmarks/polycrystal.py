"""LiCoO2 with grain boundaries and free surfaces, from the learned density to images: 20,000 atoms, slices on disk.

Two grains seen along [100], turned against each other about the beam so that the boundary has a period along y; vacuum
along x; periodic along the beam. --grains N: columnar grains of random seeds and angles instead, vacuum also along y;
--free-beam: surfaces above and below, too. Prints what is made, CPU seconds and peak memory of every stage,
and checks:

- electrons: |∫Δn| of grid and sharp parts over the number of valence electrons;
- vacuum: largest |Δn| and largest density of the superposed free atoms in the middle of the vacuum;
- interiors: Δn within 2 Å of atoms against that of the same atoms in the infinite crystal, turned alike, as
  Σ|difference| / Σ|Δn|, by distance from the boundary and the surfaces.

Stages that are done are kept in --work, so that an interrupted run goes on where it was.

Run: OMP_NUM_THREADS=1 python benchmarks/polycrystal.py [--width 98] [--periods 4] [--repeats 10] [--grains N]
     [--free-beam] [--memory 4GB] [--work FOLDER] [--scheduler ADDRESS] [--figure docs/images/polycrystal.png]
"""

import argparse
import json
import pickle
import resource
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from rhotem.battery.polycrystal import bicrystal, polycrystal
from rhotem.cli.common import parse_memory
from rhotem.core import PeriodicGrid
from rhotem.microscope.slicing import beside
from rhotem.structure.orient import orient
from rhotem.structure.phases import phase

VACUUM, STEP, SPACING = 30.0, 0.08, 0.2
#: Around atoms, Å; atoms looked at in each range of distances.
BALL, POINTS, ATOMS = 2.0, 400, 40
DISTANCES = (0.0, 3.0, 6.0, 10.0, 15.0, 20.0, 40.0)
#: Window and scan across the boundary, Å.
WINDOW, SCAN, SCAN_STEP = (28.0, 23.0), (14.0, 9.0), 0.6


class Stages:
    """Seconds and memory, printed as they come; results kept."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.file = folder / "stages.json"
        self.rows = json.loads(self.file.read_text()) if self.file.exists() else {}

    def __call__(self, name: str, work):
        """``work()``, or what it gave before."""
        path = self.folder / f"{name}.pickle"
        if path.exists():
            print(f"{name:12s} {self.rows[name]['cpu_s']:8.1f} s CPU (before)", flush=True)
            return pickle.loads(path.read_bytes())
        began = time.process_time()
        result = work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        self.rows[name] = {"cpu_s": time.process_time() - began, "peak_GB": peak}
        partial = path.with_suffix(".partial")
        partial.write_bytes(pickle.dumps(result))
        partial.rename(path)
        self.file.write_text(json.dumps(self.rows, indent=1))
        print(f"{name:12s} {self.rows[name]['cpu_s']:8.1f} s CPU, {peak:.2f} GB at most so far", flush=True)
        return result


def build(given):
    """The block, its cell's number of slices, and a title; atomic planes in mid-slice."""
    crystal = phase("LiCoO2")
    p, q, repeat = orient(crystal, (1, 0, 0), primitive=True).lengths
    size = (given.width, given.periods * float(np.hypot(p, q)), given.repeats * repeat)
    how = {"zone": (1, 0, 0), "vacuum": (VACUUM, VACUUM * bool(given.grains), VACUUM * given.free_beam)}
    if given.grains:
        made = polycrystal(crystal, size, given.grains, np.random.default_rng(given.seed), columnar=True, **how)
    else:  # both grains have the lattice vector p + q along y
        made = bicrystal(crystal, size, 2.0 * np.rad2deg(np.arctan2(p, q)), **how)
    length = made.structure.cell[2, 2]
    slices = round(2 * length / repeat)
    heights, weights = made.structure.positions[:, 2], made.structure.numbers**1.7
    made.structure.atoms.positions[:, 2] += beside(heights, weights, length / slices)[1]
    return made, slices


def totals(density) -> tuple[float, float]:
    """∫Δn of all parts in e; largest |Δn| in e/Å³ in the middle third of the vacuum along x."""
    n_x, _, n_z = density.grid.shape
    total, largest, empty = 0.0, 0.0, int(n_x * VACUUM / density.grid.cell[0, 0] / 6)
    for start in range(0, n_z, 16):
        planes = density.planes(range(start, min(start + 16, n_z)))
        total += float(planes.sum())
        largest = max(largest, float(np.abs(planes[:, :empty]).max()), float(np.abs(planes[:, -empty:]).max()))
    sharp = density.one_centre  # they end 2.2 Å from their atoms
    held = float((sharp.coefficients[:, :, 0] @ sharp.block.electrons).sum())
    return total * density.grid.volume / density.grid.size + held, largest


def free_in_vacuum(structure) -> float:
    """Largest density of free atoms in e/Å³ at points where the middle third of the vacuum along x ends."""
    from rhotem.density.free_atoms import load

    sides, table = np.diag(structure.cell), load()
    points = np.random.default_rng(0).uniform(size=(200, 3)) * sides * [0.0, 1.0, 1.0] + [VACUUM / 6, 0.0, 0.0]
    free = np.zeros(len(points))
    for i, point in enumerate(points):
        apart = structure.positions - point
        r = np.linalg.norm(apart - np.rint(apart / sides) * sides, axis=1)
        for z in np.unique(structure.numbers):
            near = r[(structure.numbers == z) & (r < table.cutoff)]
            free[i] += table.evaluate(int(z), near).sum() if len(near) else 0.0
    return float(free.max())


def interiors(made, density, model) -> list[tuple[str, int, float, float]]:
    """Relative L1 distance to the infinite crystal by distance from boundary and surfaces: mean, largest."""
    from rhotem.learned.coefficients import atom_coefficients
    from rhotem.structure.model import Structure

    crystal = phase("LiCoO2")
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(POINTS, 3))
    ball *= BALL * rng.uniform(size=(POINTS, 1)) ** (1 / 3) / np.linalg.norm(ball, axis=1)[:, None]
    ours = (density.one_centre.coefficients, density.planes.coefficients)
    bulks = []
    for turn in made.rotations:
        atoms = crystal.atoms.copy()
        atoms.set_cell(crystal.cell @ turn.T, scale_atoms=True)
        c = atom_coefficients(model.model, Structure(atoms))
        bulks.append((atoms, c))
    depth = distance(made)
    rows = []
    for low, high in pairwise(DISTANCES):
        own = np.flatnonzero((depth >= low) & (depth < high))
        if not len(own):
            continue
        off = []
        for atom in rng.choice(own, min(ATOMS, len(own)), replace=False):
            structure = made.structure
            got = around(structure.positions, np.diag(structure.cell), atom, ours, ball, model)
            atoms, c = bulks[made.grain[atom]]
            wanted = around(atoms.positions, atoms.cell.array, made.site[atom], c, ball, model)
            off.append(np.abs(got - wanted).sum() / np.abs(wanted).sum())
        rows.append((f"{low:g} to {high:g} Å", len(own), float(np.mean(off)), float(np.max(off))))
    return rows


def distance(made):
    """From boundaries (half the distance to the nearest atom of another grain) and free surfaces, in Å."""
    from scipy.spatial import cKDTree

    positions, sides = made.structure.positions, np.diag(made.structure.cell)
    free = [axis for axis in range(3) if positions[:, axis].min() > VACUUM / 4]
    parts = [np.minimum(positions[:, a] - VACUUM / 2, sides[a] - VACUUM / 2 - positions[:, a]) for a in free]
    wrapped = positions % sides
    for grain in range(len(made.seeds)):
        own = made.grain == grain
        if own.any() and not own.all():
            apart = np.full(len(own), np.inf)
            apart[own] = cKDTree(wrapped[~own], boxsize=sides).query(wrapped[own])[0] / 2
            parts.append(apart)
    return np.min(parts, axis=0)


def around(positions, cell, atom, coefficients, ball, model):
    """Δn at points around an atom."""
    import torch

    from rhotem.training.points import at_points

    blocks = model.model.readout.blocks
    reach = BALL + max(b.cutoff for b in blocks)
    apart = positions - positions[atom]
    if cell.ndim == 1:
        apart -= np.rint(apart / cell) * cell
        owner = np.flatnonzero(np.linalg.norm(apart, axis=1) < reach)
        images = apart[owner]
    else:
        counts = np.ceil(reach * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int) + 1
        shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in counts), indexing="ij"), axis=-1).reshape(-1, 3)
        every = (apart[:, None] + shifts @ cell).reshape(-1, 3)
        near = np.linalg.norm(every, axis=1) < reach
        images, owner = every[near], np.repeat(np.arange(len(apart)), len(shifts))[near]
    used, owner = np.unique(owner, return_inverse=True)
    given = tuple(torch.from_numpy(c[used]).float() for c in coefficients)
    return at_points(given, blocks, ball.astype(np.float32), images.astype(np.float32), owner).numpy().astype(float)


def vacuum_level(path: Path) -> tuple[float, float]:
    """Potential averaged over planes across x, in the vacuum near both sides: their difference is that of a dipole."""
    from rhotem.potential.stream_read import open_potential

    potential = open_potential(path)
    mean = potential.projected().mean(axis=1) / potential.grid.cell[2, 2]
    n = int(VACUUM / 6 / potential.sampling[0])
    return float(mean[n]), float(mean[-n])


def plane_wave(path: Path):
    """HRTEM image at negative spherical aberration, and the diffraction pattern."""
    from rhotem.microscope.parallel import parallel_images
    from rhotem.microscope.settings import Microscope
    from rhotem.potential.stream_read import open_potential

    microscope = Microscope(energy=200e3, convergence=0.2, cs=-1.5e5, defocus=-60.0, focal_spread=25.0, objective=25.0)
    images = parallel_images([open_potential(path)], microscope)
    return images["HRTEM"].astype(np.float32), images.diffraction.astype(np.float32), images.angular_step


def boundary(made):
    """A place on a boundary near the middle of the picture: between two nearest atoms of different grains."""
    from scipy.spatial import cKDTree

    flat, middle = made.structure.positions[:, :2], np.diag(made.structure.cell)[:2] / 2
    order = np.argsort(np.linalg.norm(flat - middle, axis=1))
    for atom in order:
        others = made.grain != made.grain[atom]
        near, which = cKDTree(flat[others]).query(flat[atom])
        if near < 3.5:
            return (flat[atom] + flat[others][which]) / 2
    return middle


def probes(path: Path, made):
    """Small scan across the boundary: ADF, ABF, iDPC."""
    from rhotem.microscope.scan import Scan
    from rhotem.microscope.settings import Annular, Microscope, Segmented
    from rhotem.microscope.simulate import simulate
    from rhotem.potential.stream_read import open_potential, window

    middle = boundary(made)
    part, corner = window(open_potential(path), tuple(middle - np.array(WINDOW) / 2), WINDOW)
    start = middle - np.array(SCAN) / 2
    end = start + SCAN
    scan = Scan.region(tuple(start - corner), tuple(end - corner), SCAN_STEP, part.extent)
    detectors = (
        Annular(name="ADF", inner=50, outer=100),
        Annular(name="ABF", inner=11, outer=22),
        Segmented(inner=6, outer=22),
    )
    images = simulate([part], Microscope(), scan, detectors, announce=lambda plan: print(plan, flush=True))
    return {name: images[name] for name in ("ADF", "ABF", "iDPC")}, scan.size


def draw(made, path, pictures, scanned, figure: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    from rhotem.potential.stream_read import open_potential

    potential = open_potential(path)
    lx, ly = potential.extent
    hrtem, diffraction, step = pictures
    images, size = scanned
    layout = [["V", "V", "V"], ["H", "H", "H"], ["D", "ABF", "ADF"]]
    heights = [ly / lx, ly / lx, 0.42]
    panels, axes = plt.subplot_mosaic(
        layout, figsize=(9, 9 * (sum(heights)) + 1.2), layout="constrained", gridspec_kw={"height_ratios": heights}
    )
    share = potential.projected() / potential.grid.cell[2, 2]
    axes["V"].imshow(share.T, extent=(0, lx, ly, 0), cmap="gray", vmax=np.quantile(share, 0.998))
    axes["V"].set_title(f"mean potential, {len(made.structure):,} atoms of LiCoO2, [100] towards the source")
    axes["H"].imshow(hrtem.T, extent=(0, lx, ly, 0), cmap="gray")
    axes["H"].set_title("HRTEM, 200 kV, Cs = -15 µm, 6 nm overfocus")
    reach = [int(20.0 / s) for s in step]
    centre = [n // 2 for n in diffraction.shape]
    part = diffraction[centre[0] - reach[0] : centre[0] + reach[0] + 1, centre[1] - reach[1] : centre[1] + reach[1] + 1]
    r = 1e-1 * np.array([reach[0] * step[0], reach[1] * step[1]]) * 10
    shown = np.log10(np.maximum(part, 1e-7))
    axes["D"].imshow(shown.T, extent=(-r[0], r[0], r[1], -r[1]), cmap="gray", vmin=-6, vmax=-2.5)
    axes["D"].set(title="diffraction, log", xlabel="mrad")
    for name in ("ABF", "ADF"):
        axes[name].imshow(images[name].T, extent=(0, size[0], size[1], 0), cmap="gray", interpolation="bicubic")
        axes[name].set_title(f"{name} across the boundary")
    for name in ("V", "H", "ABF", "ADF"):
        axes[name].set_xlabel("Å")
    panels.savefig(figure, dpi=100)
    Image.open(figure).convert("L").save(figure, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=float, default=98.0, help="of both grains along x, Å")
    parser.add_argument("--periods", type=int, default=4, help="of the boundary along y, 14.9 Å each")
    parser.add_argument("--repeats", type=int, default=10, help="of the crystal along the beam, 2.8 Å each")
    parser.add_argument("--grains", type=int, help="columnar grains of random seeds instead of two")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--free-beam", action="store_true", help="vacuum above and below, too")
    parser.add_argument("--memory", type=parse_memory, default=4e9)
    parser.add_argument("--model", default="default")
    parser.add_argument("--work", type=Path, default=Path("polycrystal.tmp"))
    parser.add_argument("--scheduler", help="Dask cluster for the slices")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    from rhotem.learned.planes import stream
    from rhotem.learned.source import Model
    from rhotem.potential.stream import stream_potential

    stage = Stages(given.work)
    made, slices = stage("structure", lambda: build(given))
    cell = np.diag(made.structure.cell)
    print(f"{len(made.structure)} atoms, {made.structure.formula}, {cell.round(2).tolist()} Å")
    print("; ".join(made.structure.info["notes"]))
    model = Model(given.model, memory=given.memory)
    density = stage("encoder", lambda: stream(model, made.structure, SPACING))
    print(f"density grid {density.grid.shape}, {density.grid.size / 1e6:.1f} million points")
    off, learned = stage("density", lambda: totals(density))
    valence = sum({3: 1, 8: 6, 27: 9}[z] for z in made.structure.numbers.tolist())
    print(f"electrons: ∫Δn = {off:+.2e} e, {abs(off) / valence:.1e} of {valence} valence electrons")
    free = free_in_vacuum(made.structure)
    print(f"middle third of the vacuum: |Δn| <= {learned:.1e}, free atoms <= {free:.1e} e/Å³")
    print("interior = bulk, relative L1:")
    for name, atoms, mean, worst in stage("interiors", lambda: interiors(made, density, model)):
        print(f"  {name:12s} {atoms:6d} atoms  mean {100 * mean:6.2f} %  largest {100 * worst:6.2f} %")
    n_x, n_y = (int(np.ceil(side / STEP / 16) * 16) for side in cell[:2])
    grid = PeriodicGrid(made.structure.cell, (n_x, n_y, slices))
    print(f"slices {slices} of {n_x} x {n_y}, {4 * grid.size / 1e9:.2f} GB")
    path = given.work / "potential.zarr"
    how = {"memory_limit": given.memory, "scheduler": given.scheduler}
    stage("slices", lambda: stream_potential(density, grid, path, **how))
    print("mean potential where the middle third of the vacuum ends: {:.2f} and {:.2f} V".format(*vacuum_level(path)))
    pictures = stage("plane wave", lambda: plane_wave(path))
    scanned = stage("probes", lambda: probes(path, made))
    total = sum(row["cpu_s"] for row in stage.rows.values())
    print(f"in all {total:.0f} s CPU, {max(row['peak_GB'] for row in stage.rows.values()):.2f} GB at most")
    if given.figure:
        draw(made, path, pictures, scanned, given.figure)


if __name__ == "__main__":
    main()
