"""Thickness of measured position-averaged patterns of SrTiO3 [001], from one propagation.

    python benchmarks/pacbed_fit.py FOLDER [--phonons 4] [--keep patterns.zarr] [--block 3.9]

FOLDER holds pictures whose names end in a range of nanometres such as ``05-on_zone_61-63nm.jpg``; that range is
compared with what is found and used for nothing else. Centre, rotation, scale, aperture and mistilt are fitted with the
thickness. What is compared is the logarithm of the pattern without its slow part. ``--keep`` writes the patterns or,
where it is there, opens it. CPU seconds are those of this process.
"""

import argparse
import re
import time
from pathlib import Path

import numpy as np
from matplotlib.image import imread
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import minimize

from rhotem.analysis import run
from rhotem.analysis.patterns import patterns
from rhotem.scattering.patterns import open_patterns

#: Apertures in mrad that are tried, and the largest mistilt.
APERTURES, TILT = (13.2, 13.6, 14.0), 4.0
#: Angle compared, in apertures; smoothing of both in computed pixels; width of what counts as slow, in apertures.
COMPARED, SMOOTH, SLOW = 1.25, 0.8, 0.22
THICKNESSES = np.arange(1.0, 112.01, 0.5)


def made(phonons, block, keep):
    """Patterns of the whole series, 1 to 112 nm."""
    if keep and Path(keep).exists():
        return open_patterns(keep)
    settings = {"energy": 200.0, "convergence": max(APERTURES), "detectors": ["PACBED=22"]}
    preset = run.adjusted_preset("pacbed", **settings)
    crystal = run.structure(Path(__file__).parents[1] / "examples" / "SrTiO3.cif")
    cut = run.specimen(crystal, zone=(0, 0, 1), thickness=112, preset=preset, at_rest=False, block=block)
    print(cut)
    potentials = run.potential(cut, run.density(cut, "free-atoms"), phonons=phonons)
    held = patterns(cut, potentials, tilt=TILT, announce=print)
    if keep:
        held.save(keep)
    return held


def features(pattern, aperture, step):
    """Logarithm of a pattern without its slow part, on computed pixels."""
    smooth = np.log(np.maximum(gaussian_filter(pattern, SMOOTH), 1e-12))
    return smooth - gaussian_filter(smooth, SLOW * aperture / step)


def normed(values):
    """Rows with mean zero and length one."""
    values = values - values.mean(axis=-1, keepdims=True)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


class Picture:
    """A measured pattern with a first guess of its centre and radius."""

    def __init__(self, path):
        grey = np.asarray(imread(path), dtype=float)
        grey = grey if grey.ndim == 2 else grey[..., :3].mean(axis=-1)
        self.values = gaussian_filter(grey + 2.0, 1.5)  # JPEG has eight bits: no logarithm of nothing
        disc = self.values > 0.35 * self.values.max()
        self.centre, self.radius = np.argwhere(disc).mean(axis=0), float(np.sqrt(disc.sum() / np.pi))
        self.range = tuple(float(x) for x in re.search(r"(\d+)-(\d+)nm", path.name).groups())

    def seen(self, x, y, pose):
        """The picture at angles (mrad): ``pose`` is the shift of the centre (2), pixels for a mrad and a rotation."""
        turned = np.cos(pose[3]) * x - np.sin(pose[3]) * y, np.sin(pose[3]) * x + np.cos(pose[3]) * y
        places = [c + s + pose[2] * t for c, s, t in zip(self.centre, pose[:2], turned, strict=True)]
        return map_coordinates(self.values, places, order=1, mode="nearest")


class Library:
    """Features of all thicknesses at one aperture and mistilt."""

    def __init__(self, held, aperture, tilt=(0.0, 0.0), thicknesses=THICKNESSES):
        stack = held.pacbed(thickness=10.0 * thicknesses, convergence=aperture, tilt=tilt)
        k = held.step[0] * (np.arange(stack.shape[1]) - stack.shape[1] // 2)
        self.x, self.y = np.meshgrid(k, k, indexing="ij")
        self.mask = np.hypot(self.x, self.y) < COMPARED * aperture
        self.aperture, self.step, self.thicknesses = aperture, held.step[0], thicknesses
        self.rows = normed(np.stack([features(p, aperture, self.step)[self.mask] for p in stack]))

    def match(self, picture, pose):
        """Correlation with every thickness."""
        seen = features(picture.seen(self.x, self.y, pose), self.aperture, self.step)
        return self.rows @ normed(seen[self.mask])


def posed(picture, library):
    """Best pose at one aperture: all rotations of a quarter turn and some scales, then a simplex."""
    guesses = [
        (library.match(picture, [0, 0, picture.radius * f / library.aperture, r]).max(), f, r)
        for f in (0.86, 0.89, 0.92, 0.95)
        for r in np.deg2rad(np.arange(0, 90, 6))
    ]
    _, f, r = max(guesses)
    start = np.array([0.0, 0.0, picture.radius * f / library.aperture, r])
    return simplex(lambda p: -library.match(picture, p).max(), start, [4.0, 4.0, 0.03 * start[2], 0.06])


def simplex(cost, start, steps):
    corners = [start, *(start + step * np.eye(len(start))[i] for i, step in enumerate(steps))]
    return minimize(cost, start, method="Nelder-Mead", options={"maxiter": 200, "initial_simplex": corners})


def tilted(held, picture, library, pose, thickness):
    """Mistilt in the frame of the crystal, with the pose refined; thicknesses within 5 nm."""
    near = THICKNESSES[np.abs(THICKNESSES - thickness) <= 5.0]

    def cost(values):
        if np.hypot(*values[4:]) > TILT:
            return 0.0
        return -Library(held, library.aperture, tuple(values[4:]), near).match(picture, values[:4]).max()

    found = simplex(cost, np.array([*pose, 0.0, 0.0]), [2.0, 2.0, 0.01 * pose[2], 0.02, 0.5, 0.5])
    matches = Library(held, library.aperture, tuple(found.x[4:]), near).match(picture, found.x[:4])
    return -found.fun, float(near[matches.argmax()]), found.x[4:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--phonons", type=int, default=4)
    parser.add_argument("--keep")
    parser.add_argument("--block", type=float, help="least width in Å of the block whose atoms move independently")
    arguments = parser.parse_args()
    start = time.process_time()
    held = made(arguments.phonons, arguments.block, arguments.keep)
    print(f"{held}\npatterns: {time.process_time() - start:.1f} CPU s, {held.images().record['phonon_error']}")
    start = time.process_time()
    libraries = [Library(held, aperture) for aperture in APERTURES]
    print(f"{len(THICKNESSES)} thicknesses at {len(APERTURES)} apertures: {time.process_time() - start:.1f} CPU s")
    paths = [p for p in sorted(arguments.folder.iterdir()) if re.search(r"\d+-\d+nm", p.name)]
    errors = []
    for path in paths:
        start, picture = time.process_time(), Picture(path)
        best = min(((posed(picture, one), one) for one in libraries), key=lambda pair: pair[0].fun)
        pose, library = best[0].x, best[1]
        thickness = float(THICKNESSES[library.match(picture, pose).argmax()])
        score, other, tilt = tilted(held, picture, library, pose, thickness)
        low, high = picture.range
        errors.append((thickness - 0.5 * (low + high), other - 0.5 * (low + high)))
        print(
            f"{path.name}: {thickness:.1f} nm, correlation {-best[0].fun:.3f}, {library.aperture:g} mrad, "
            f"{pose[2]:.2f} px/mrad; with a mistilt {tilt[0]:+.2f}, {tilt[1]:+.2f} mrad: {other:.1f} nm, {score:.3f}; "
            f"{time.process_time() - start:.1f} CPU s",
            flush=True,
        )
    rms = np.sqrt(np.mean(np.square(errors), axis=0))
    print(f"against the middle of the range in the name: {rms[0]:.2f} nm rms, with a mistilt {rms[1]:.2f} nm")


if __name__ == "__main__":
    main()
