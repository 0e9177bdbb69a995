"""Fits of scanned images: how often 68 % intervals hold the truth, and what a fit costs against simulating again.

    OMP_NUM_THREADS=1 python benchmarks/image_fits.py [--experiments 200] [--dose 1e5] [--bend 0.1] [--detector 0.02]
        [--settling]

SrTiO3 [001], 200 kV, 18 mrad, free atoms at rest, HAADF and ABF. One response answers for all: every experiment has
thickness, defocus, astigmatism, source, scan and Poisson noise of its own, drawn at random; gains and offsets are
fitted, too. Fits start at the truth: this is about errors, not about the search. CPU seconds are those of this process;
the direct run is what a fit would repeat for every evaluation. Drift bends the scan (standard deviation of the height):
a parabola, which is what is fitted, or drift that settles with a time constant of a quarter to all of the scan, which
is not. Inner angles of the detectors are wrong (standard deviation 2 %, each by itself), which fits know as a doubt.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from rhotem.analysis import responses, run
from rhotem.experiment.fit.images import Recorded, State, fit_images
from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.fit.images.state import NAMES
from rhotem.scattering.response import Range

SHAPE, PIXEL = (40, 40), 0.2
THICKNESSES = [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
PARAMETERS = ("thickness", "defocus", "C12a", "C12b", "source_size", "x_column", "y_row", "x_bend", "y_bend")


def cut_for(thickness):
    settings = {"energy": 200.0, "convergence": 18.0, "detectors": ["HAADF=68-200", "ABF=9-18"]}
    preset = run.adjusted_preset("layered-oxide", **settings)
    crystal = run.structure(Path(__file__).parents[1] / "examples" / "SrTiO3.cif")
    return run.specimen(crystal, zone=(0, 0, 1), thickness=thickness, preset=preset)


def drawn(rng, dose):
    """A truth: everything at random, electrons per pixel as gains."""
    turn, size, shear = rng.uniform(0, 2 * np.pi), rng.uniform(3, 14), 0.006 * rng.normal(size=4)
    scan = [PIXEL + shear[0], shear[1], shear[2], PIXEL + shear[3]]
    lens = [rng.uniform(27, 73), rng.uniform(-15, 45), size * np.cos(turn), size * np.sin(turn), rng.uniform(0.6, 1.1)]
    electrons = dose * PIXEL**2
    return State(np.array([*lens, *rng.uniform(0, 3.9, 2), *scan]), np.full(2, electrons), np.zeros(2))


def drawn_part(rng, deviation):
    """A relative error that the response holds: steps of half a deviation."""
    return deviation * float(np.clip(np.round(2 * rng.normal()) / 2, -2, 2)) if deviation else 0.0


class Settling(Model):
    """A scan bent by drift that dies down exponentially; ``rate`` is the scan's duration over the time constant.

    Line and parabola that lie nearest to it are those of the state: pixel and bend of such a scan.
    """

    def __init__(self, response, images, rate):
        super().__init__(response, images)
        along = np.arange(self.shape[0]) / (self.shape[0] - 1)
        gone = np.expm1(-rate * along) / np.expm1(-rate) - along
        nearest = np.stack([np.ones_like(along), along, 4 * along * (1 - along)], axis=1)
        level, slope, height = np.linalg.lstsq(nearest, gone, rcond=None)[0]
        self.bow = ((gone - level - slope * along) / height)[self.rows]


def wrong(detector, part):
    """A detector with another inner angle."""
    return detector.model_copy(update={"inner": detector.inner * (1 + part)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--dose", type=float, default=1e5, help="electrons per square angstrom")
    parser.add_argument("--bend", type=float, default=0.0, help="drift that bends the scan, angstrom")
    parser.add_argument("--settling", action="store_true", help="drift that dies down, no parabola")
    parser.add_argument("--detector", type=float, default=0.0, help="relative error of inner angles, 0.02")
    parser.add_argument("--no-direct", action="store_true", help="leave the direct run out")
    arguments = parser.parse_args()
    cut = cut_for(max(THICKNESSES) + 0.3)  # whole cells, not below the thickest
    potentials = run.potential(cut, run.density(cut, "free-atoms"), phonons=0)
    start = time.process_time()
    span = Range(defocus=(-30, 60), aberrations={"C12": 20})
    detectors, off = cut.preset.detectors, arguments.detector
    parts = [off * n for n in (-2, -1.5, -1, -0.5, 0.5, 1, 1.5, 2)] if off else []
    edges = [d.inner * (1 + part) for d in detectors for part in parts]
    held = responses.response(cut, potentials, thicknesses=THICKNESSES, range=span, edges=edges)
    made = time.process_time() - start
    print(f"{held}\nresponse: {made:.1f} CPU s", flush=True)
    rng, pulls, evaluations, excess = np.random.default_rng(0), [], [], []
    start = time.process_time()
    for _ in range(arguments.experiments):
        truth = drawn(rng, arguments.dose)
        real = [wrong(d, drawn_part(rng, off)) for d in detectors]
        truth.values[-2:] = np.clip(arguments.bend * rng.normal(size=2), -0.5, 0.5)
        blank = [Recorded(d, np.zeros(SHAPE)) for d in real]
        blank = Settling(held, blank, rng.uniform(1, 4)) if arguments.settling else Model(held, blank)
        expected = np.maximum(blank.shown(truth), 0.0)
        images = [
            Recorded(d, rng.poisson(e).reshape(SHAPE).astype(float), True, doubt=wrong(d, off) if off else None)
            for d, e in zip(detectors, expected, strict=True)
        ]
        fit = fit_images(images, held, [[PIXEL, 0.0], [0.0, PIXEL]], start=truth)
        pulls.append([(getattr(fit.state, n) - getattr(truth, n)) / fit.error(n) for n in PARAMETERS])
        evaluations.append(fit.best.evaluations)
        excess.append(fit.excess)
    each = (time.process_time() - start) / arguments.experiments
    inside, size = (np.abs(pulls) < 1).mean(axis=0), np.sqrt(np.mean(np.square(pulls), axis=0))
    print(f"{arguments.experiments} experiments, {arguments.dose:g} e/Å², residuals {np.mean(excess):.3f} of the noise")
    for name, share, spread in zip(PARAMETERS, inside, size, strict=True):
        assert name in NAMES
        print(f"  {name:12s} {100 * share:5.1f} % inside 68 % intervals, deviation {spread:.2f} errors")
    print(f"a fit: {each:.2f} CPU s, {np.mean(evaluations):.1f} evaluations", flush=True)
    if arguments.no_direct:
        return
    start = time.process_time()
    run.image(cut, potentials)
    direct = time.process_time() - start
    print(f"a direct run: {direct:.1f} CPU s; so many for one fit: {direct * np.mean(evaluations) / each:.0f} times it")


if __name__ == "__main__":
    main()
