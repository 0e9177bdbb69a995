"""Fits of position-averaged patterns: how often 68 % intervals hold the truth if pixels of the simulation are coarse.

    OMP_NUM_THREADS=1 python benchmarks/pacbed_errors.py [--experiments 60] [--fine 0.5] [--coarse 0.75 1.0] [--seed 1]

Columns of a cell without symmetry, 200 kV, 11 to 13 mrad. Truths (thickness, aperture, mistilt, pose) are drawn at
random; pictures with Poisson noise are made on fine pixels and fitted with patterns of coarse ones, started near the
truth: this is about errors, not about the search.
"""

import argparse
import time

import numpy as np

from rhotem.core import PeriodicGrid
from rhotem.experiment.fit.frame import Frame
from rhotem.experiment.fit.model import NAMES, Model, Setting
from rhotem.experiment.fit.posterior import spread_of
from rhotem.experiment.fit.refine import refine
from rhotem.microscope.settings import Microscope
from rhotem.potential.slices import PotentialSlices
from rhotem.scattering.patterns import patterns

COLUMNS = ((0, 0, 60.0), (1.95, 1.95, 35.0), (1.95, 0.0, 8.0), (0.4, 1.95, 14.0))
SHAPE, BRIGHTEST, ALLOWED, TILT = (150, 150), 400.0, (10.5, 13.5), 2.6
PARAMETERS = ("thickness", "convergence", "tilt_x", "tilt_y", "scale")


def slices(side=3.9, pixels=32, number=110, thickness=2.0, width=0.25):
    g = np.fft.fftfreq(pixels) * pixels / side
    form = np.exp(-2 * np.pi**2 * width**2 * (g[:, None] ** 2 + g[None] ** 2))
    waves = sum(v * np.exp(-2j * np.pi * (g[:, None] * x + g[None] * y)) for x, y, v in COLUMNS)
    one = np.fft.ifft2(waves * form).real * (pixels / side) ** 2
    grid = PeriodicGrid(np.diag([side, side, number * thickness]), (pixels, pixels, number))
    return PotentialSlices(np.repeat(one[None].astype(np.float32), number, axis=0), grid, mean_inner_potential=0.0)


def made(step):
    lens = Microscope(energy=200e3, convergence=ALLOWED[1], camera_step=step)
    return patterns([slices()], lens, 19.5, tilt=TILT, threads=1)


def frame(values):
    y, x = np.indices(SHAPE, dtype=float)
    return Frame(values, x - SHAPE[1] / 2, y - SHAPE[0] / 2, 1, None, True, "simulated")


def drawn(rng):
    size, turn = 0.9 * TILT * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
    tilt = [size * np.cos(turn), size * np.sin(turn)]
    pose = [rng.uniform(3.8, 4.2), *rng.uniform(-2, 2, 2), rng.uniform(0, 6)]
    return Setting(np.array([rng.uniform(80, 200), rng.uniform(11.2, 12.8), *tilt, *pose, 0.3, 0.15, 0.02]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=60)
    parser.add_argument("--fine", type=float, default=0.5, help="pixel in mrad of what is measured")
    parser.add_argument("--coarse", type=float, nargs="+", default=[0.5, 0.75, 1.0], help="pixels in mrad of the fits")
    parser.add_argument("--seed", type=int, default=1, help="of truths and noise")
    arguments = parser.parse_args()
    start, truth = time.process_time(), made(arguments.fine)
    for step in arguments.coarse:
        held, rng = made(step), np.random.default_rng(arguments.seed)
        rows = []
        for _ in range(arguments.experiments):
            setting = drawn(rng)
            model = Model(truth, frame(np.zeros(SHAPE)), ALLOWED)
            expected = np.maximum(model.shown(model.beams(setting.values), setting), 0.0)
            counted = rng.poisson(BRIGHTEST * expected / expected.max()).astype(float)
            model = Model(held, frame(counted), ALLOWED)
            fit = refine(model, setting.with_values(setting.values * 1.002), rounds=10)
            spread = spread_of(model, fit)
            off = [getattr(fit.setting, n) - getattr(setting, n) for n in PARAMETERS]
            places = [NAMES.index(n) for n in PARAMETERS]
            rows.append([off, np.sqrt(np.diag(spread.covariance)[places]), np.sqrt(np.diag(spread.noise)[places])])
        off, error, noise = np.array(rows).swapaxes(0, 1)
        print(f"pixels of {max(held.step):.3f} mrad, {arguments.experiments} experiments")
        for n, name in enumerate(PARAMETERS):
            inside, alone = ((np.abs(off[:, n]) < e[:, n]).mean() for e in (error, noise))
            print(
                f"  {name:12s} off by {np.sqrt((off[:, n] ** 2).mean()):.4f} rms, mean {off[:, n].mean():+.4f}, stated "
                f"{np.median(error[:, n]):.4f}: {100 * inside:.0f} % inside; noise alone {np.median(noise[:, n]):.4f}: "
                f"{100 * alone:.0f} %"
            )
        print(f"  {time.process_time() - start:.0f} CPU s so far", flush=True)


if __name__ == "__main__":
    main()
