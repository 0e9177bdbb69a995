"""The image of a LiCoO2 bicrystal in vacuum against that of the infinite crystal: grain interiors, pixel by pixel.

Make the cell and its image first; the options here must be those given there:

    rhotem structure polycrystal LiCoO2 --size 98,59.5,28 --misorientation 38.28 --zone 1,0,0 --vacuum 30,0,0 -o gb.xyz
    rhotem image gb.xyz --keep-cell --zone 0,0,-1 --phonons 0 --convergence 15 --detector ADF=30-50 \\
        --detector ABF=7-15 --sampling 0.15 --memory 3GB --out gb

The crystal is imaged with the same microscope, as thick, the same atomic planes in the same slices. A pixel of a grain
is compared with the pixel of the crystal that its place in the lattice has. Prints differences over the largest value
of the crystal's image, by distance from boundary and surfaces.

Run: python benchmarks/polycrystal_image.py gb.xyz gb
"""

import argparse
import json
from itertools import pairwise
from pathlib import Path

import ase
import numpy as np
import zarr

from rhotem.analysis import run
from rhotem.battery.polycrystal import bicrystal
from rhotem.core import PeriodicGrid
from rhotem.microscope.presets import Preset
from rhotem.microscope.simulate import simulate
from rhotem.potential import build_potential
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell, orient
from rhotem.structure.phases import phase

#: As in the commands above.
SIZE, ANGLE, VACUUM, ZONE = (98.0, 59.5, 28.0), 38.28, (30.0, 0.0, 0.0), (1, 0, 0)
DISTANCES = (3.0, 6.0, 8.0, 10.0, 12.0, 15.0, 40.0)


def crystal_image(preset: Preset, sampling: float, lift: float, slices: int, length: float, source: str):
    """Images of the infinite crystal, ``lift`` Å higher than `orient` has it, and its imaging cell."""
    cell = orient(phase("LiCoO2"), ZONE, primitive=True)
    block = cell.repeated(1, 1, round(length / cell.lengths[2])).structure.atoms.copy()
    block.positions[:, 2] = (block.positions[:, 2] + lift) % length
    own = ImagingCell.from_orthogonal(Structure(ase.Atoms(block)))
    n_x, n_y = (int(np.ceil(side / sampling)) for side in own.lengths[:2])
    grid = PeriodicGrid(own.structure.cell, (n_x, n_y, slices))
    field = run.density(own, source)
    return cell, simulate(
        [build_potential(own, grid, field, oversampling=2)],
        preset.microscope,
        None,
        preset.detectors,
        announce=lambda plan: print(plan, flush=True),
    )


def series(image, size, places):
    """A periodic band-limited image at ``places`` (n, 2) in Å."""
    coefficients = np.fft.fft2(image) / image.size
    h, k = (np.rint(np.fft.fftfreq(n) * n) for n in image.shape)
    x, y = np.exp(2j * np.pi * places[:, :1] / size[0] * h), np.exp(2j * np.pi * places[:, 1:] / size[1] * k)
    return np.einsum("nh,hk,nk->n", x, coefficients, y, optimize=True).real


def distances(made, places):
    """Of places (n, 2) from the surfaces and from the nearest atom of the other grain, half of it; and their grain."""
    from scipy.spatial import cKDTree

    flat, width = made.structure.positions[:, :2], made.structure.cell[0, 0]
    sides = np.diag(made.structure.cell)[:2]
    near = [cKDTree(flat[made.grain == g] % sides, boxsize=sides).query(places % sides)[0] for g in (0, 1)]
    faces = np.minimum(places[:, 0], width - places[:, 0]) - VACUUM[0] / 2
    grain = (near[1] < near[0]).astype(int)
    return np.minimum(faces, np.max(near, axis=0) / 2), grain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("structure", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--source", default="model")
    given = parser.parse_args()
    record = json.loads((given.images / "record.json").read_text())
    stored = zarr.open_group(str(given.images / "images.zarr"), mode="r")
    preset = Preset.model_validate(record["specimen"]["preset"])
    made = bicrystal(phase("LiCoO2"), SIZE, ANGLE, zone=ZONE, vacuum=VACUUM)
    sampling = max(record["specimen"]["pixel_angstrom"])
    cut = run.specimen(
        run.structure(given.structure), (0, 0, -1), basis="input", keep_cell=True, preset=preset, sampling=sampling
    )
    moved = cut.cell.structure.positions - made.structure.positions
    moved -= np.rint(moved / cut.cell.lengths) * cut.cell.lengths
    shift = np.median(moved, axis=0)
    if np.abs(moved - shift).max() > 1e-3:
        raise SystemExit(f"{given.structure}: not the bicrystal that the options above make")
    own = orient(phase("LiCoO2"), ZONE, primitive=True)
    lift = float((made.origin + shift)[2])  # a lattice point of every grain is there
    cell, bulk = crystal_image(preset, sampling, lift, cut.grid.shape[2], float(cut.block.lengths[2]), given.source)
    size = bulk.scan.size
    names = [d.name for d in preset.detectors]
    first = np.asarray(stored[names[0]])
    steps = cut.block.lengths[:2] / first.shape
    places = np.stack(
        np.meshgrid(*(np.arange(n) * s for n, s in zip(first.shape, steps, strict=True)), indexing="ij"), -1
    )
    places = places.reshape(-1, 2)
    depth, grain = distances(made, places - shift[:2])
    for name in names:
        image, differences = np.asarray(stored[name]).ravel(), np.full(len(places), np.nan)
        for g, turn in enumerate(made.rotations):
            inside = (grain == g) & (depth > DISTANCES[0])
            apart = np.zeros((inside.sum(), 3))
            apart[:, :2] = places[inside] - (made.origin + shift)[:2]
            there = apart @ (cell.rotation @ turn.T).T
            differences[inside] = image[inside] - series(bulk[name], size, there[:, :2])
        largest = float(bulk[name].max())
        print(f"{name}: crystal {bulk[name].min():.5f} to {largest:.5f}")
        for low, high in pairwise(DISTANCES):
            rows = np.abs(differences[(depth > low) & (depth <= high)]) / largest
            off = f"mean {100 * rows.mean():.2f} %, largest {100 * rows.max():.2f} %"
            print(f"  {low:g} to {high:g} Å: {len(rows)} pixels, {off}")
        empty = image[(places[:, 0] < VACUUM[0] / 2 - 8) | (places[:, 0] > cut.block.lengths[0] - VACUUM[0] / 2 + 8)]
        print(f"  vacuum, 8 Å and more from the surfaces: {empty.min():.6f} to {empty.max():.6f}")
    print(f"imaging cell of the crystal {own.lengths.round(4).tolist()} Å, lattice point at height {lift:.4f} Å")


if __name__ == "__main__":
    main()
