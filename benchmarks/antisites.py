"""Li/Ni antisites of LiNiO2 from images: error of the share against dose, thickness, focus and source unknown.

    OMP_NUM_THREADS=1 python benchmarks/antisites.py [--doses 1e4 1e5 1e6] [--experiments 10] [--draws 3]

LiNiO2 [100], 200 kV, 18 mrad, HAADF and ABF, free atoms, 300 K, 40 x 72 pixels of 0.2 Å (8 x 14.4 Å). Responses at
0, 7, 14 and 20 %, each the mean of some arrangements and displacements, the same at all nodes. Recordings: (a) of the
interpolated model itself, which shows noise alone; (b) of 10 % with arrangements and displacements of
its own, twice as many.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from rhotem.analysis import run
from rhotem.analysis.disorder import ExchangedPotentials
from rhotem.experiment.fit.images import Nodes, Recorded, State, fit_images
from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.fit.images.specimens import Making, exchange_nodes
from rhotem.scattering.response import Range

SHAPE, PIXEL = (40, 72), 0.2
SHARES, TRUTHS, THICKNESSES = (0.0, 0.07, 0.14, 0.20), (0.03, 0.10, 0.17), (2.0, 2.9, 3.7, 4.6)


def drawn(rng, share, dose):
    lens = [rng.uniform(24, 42), rng.uniform(0, 20), 0.0, 0.0, rng.uniform(0.7, 1.0)]
    values = np.array([*lens, *rng.uniform(0, 4, 2), 0.0, PIXEL, PIXEL, 0.0])  # columns along y, the long side
    return State(values, np.full(2, dose * PIXEL**2), np.zeros(2), np.array([share]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--doses", type=float, nargs="+", default=[1e4, 1e5, 1e6])
    parser.add_argument("--experiments", type=int, default=10)
    parser.add_argument("--draws", type=int, default=3)
    arguments = parser.parse_args()
    settings = {"energy": 200.0, "convergence": 18.0, "detectors": ["HAADF=50-120", "ABF=9-18"]}
    preset = run.adjusted_preset("layered-oxide", **settings)
    crystal = run.structure(Path(__file__).parents[1] / "examples" / "LiNiO2.cif")
    cut = run.specimen(crystal, zone=(1, 0, 0), thickness=4.7, preset=preset)
    start = time.process_time()
    making = Making(cut, THICKNESSES, Range(defocus=(-10, 30)), arguments.draws, {"phonons": 4})
    nodes = exchange_nodes(making, ("Li", "Ni"), SHARES)
    print(f"{cut}\n{nodes.base}\nnodes: {time.process_time() - start:.0f} CPU s", flush=True)
    single = [ExchangedPotentials(cut, ("Li", "Ni"), 0.10, phonons=4, seed=100 + n) for n in range(2 * arguments.draws)]
    independent = Nodes.mean([Nodes(making.response(cut, one)) for one in single])
    print(f"truth of 10 %: {time.process_time() - start:.0f} CPU s", flush=True)
    blank = [Recorded(d, np.zeros(SHAPE), True) for d in cut.preset.detectors]
    rng = np.random.default_rng(2)
    for dose in arguments.doses:
        for word, source, shares in (("noise alone", nodes, TRUTHS), ("independent", independent, (0.10,))):
            off, errors = [], []
            began = time.process_time()
            number = arguments.experiments if source is nodes else max(1, arguments.experiments // 3)
            for n in range(number):
                share = shares[n % len(shares)]
                truth = drawn(rng, share, dose)
                seen = truth if source.axes else replace(truth, nodes=np.zeros(0))
                expected = np.maximum(Model(source, blank).shown(seen), 0.0)
                images = [
                    replace(b, values=rng.poisson(e).reshape(SHAPE) * 1.0) for b, e in zip(blank, expected, strict=True)
                ]
                guess = replace(truth, nodes=np.array([0.1]), values=truth.values.copy())
                guess.values[[0, 1, 4]] += 3.0, 3.0, 0.05
                known = nodes if source is independent else replace(nodes, draws=())  # (a): nothing but noise
                fit = fit_images(images, known, [[0.0, PIXEL], [PIXEL, 0.0]], start=guess)
                off.append(fit.state.nodes[0] - share)
                errors.append(fit.error("Li/Ni"))
            inside = np.mean(np.abs(off) < errors)
            print(
                f"{dose:8.0e} e/Å² {word:12s} off by {100 * np.sqrt(np.mean(np.square(off))):6.2f} % rms, mean "
                f"{100 * np.mean(off):+.2f} %, stated {100 * np.median(errors):.2f} %, {100 * inside:.0f} % inside; "
                f"{(time.process_time() - began) / number:.1f} CPU s a fit",
                flush=True,
            )


if __name__ == "__main__":
    main()
