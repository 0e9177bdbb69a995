"""Coverage of occupancies and mistilts of scanned images: how often 68 % intervals hold the truth.

    OMP_NUM_THREADS=1 python benchmarks/image_nodes.py occupancy|tilt [--experiments 100] [--dose 1e5] [--sets 10]

``occupancy``: Li/Ni antisites of LiNiO2 [100], 200 kV, 18 mrad, HAADF and ABF, 300 K, 40 x 72 pixels of 0.2 Å, nodes at
0, 7, 14, 20 %, of four draws of one arrangement with one set of displacements each. What these are decides the error
more than electrons do and is the same for all fits with one set of nodes: experiments are shared out over ``--sets``
of them. Truths are the mean of 24 arrangements of their own. ``tilt``: SrTiO3 [001], atoms at rest, 40 x 40 pixels,
nodes at -6, -3, 0, 3, 6 mrad along x; truths lie between nodes. Every
experiment has its own thickness, focus, source, scan, drift that settles (0.1 Å high, standard deviation), inner angles
wrong by 2 % (which fits know as a doubt) and Poisson noise.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from image_fits import Settling, cut_for, drawn_part, wrong
from rhotem.analysis import run
from rhotem.analysis.disorder import ExchangedPotentials
from rhotem.experiment.fit.images import Recorded, State, fit_images
from rhotem.experiment.fit.images.specimens import Making, exchange_nodes, tilt_nodes
from rhotem.scattering.response import Range

PIXEL, DETECTOR, BEND = 0.2, 0.02, 0.1
DRAWS, ARRANGEMENTS = 4, 24
PARAMETERS = ("thickness", "defocus", "source_size", "x_column", "y_row", "x_bend", "y_bend")
PARTS = [DETECTOR * n for n in (-2, -1.5, -1, -0.5, 0.5, 1, 1.5, 2)]


def edges_of(cut):
    return [d.inner * (1 + part) for d in cut.preset.detectors for part in PARTS]


def antisites(sets):
    """Sets of nodes of shares, and responses at shares between."""
    settings = {"energy": 200.0, "convergence": 18.0, "detectors": ["HAADF=50-120", "ABF=9-18"]}
    preset = run.adjusted_preset("layered-oxide", **settings)
    crystal = run.structure(Path(__file__).parents[1] / "examples" / "LiNiO2.cif")
    cut = run.specimen(crystal, zone=(1, 0, 0), thickness=4.7, preset=preset)
    held = (2.0, 2.9, 3.7, 4.6), Range(defocus=(-10, 30))
    made = []
    for number in range(sets):
        making = Making(cut, *held, DRAWS, {"phonons": 1, "seed": 100 * number}, edges=edges_of(cut))
        made.append(exchange_nodes(making, ("Li", "Ni"), (0.0, 0.07, 0.14, 0.20)))
    making = Making(cut, *held, edges=edges_of(cut))
    between = [
        (share, making.response(cut, ExchangedPotentials(cut, ("Li", "Ni"), share, phonons=ARRANGEMENTS, seed=9000)))
        for share in (0.03, 0.105, 0.17)
    ]
    return cut, made, between


def tilts(sets):
    """Nodes of mistilts along x, one set, and responses between."""
    cut = cut_for(6.3)
    making = Making(
        cut, (2.0, 3.0, 4.0, 5.0, 6.0), Range(defocus=(-20, 40)), edges=edges_of(cut), moving={"phonons": 0}
    )
    between = (-4.5, -1.5, 1.5, 4.5)
    responses = tilt_nodes(making, "free-atoms", between).axes[0].responses
    nodes = tilt_nodes(making, "free-atoms", (-6.0, -3.0, 0.0, 3.0, 6.0))
    return cut, [nodes], list(zip(between, responses, strict=True))


def drawn(rng, kind, electrons):
    """A truth, all but what nodes are of."""
    if kind == "occupancy":
        depth, focus, scan = rng.uniform(24, 42), rng.uniform(0, 20), [0.0, PIXEL, PIXEL, 0.0]
    else:
        depth, focus, scan = rng.uniform(27, 53), rng.uniform(-10, 30), [PIXEL, 0.0, 0.0, PIXEL]
    scan = np.array(scan) + 0.006 * PIXEL * rng.normal(size=4)
    bend = np.clip(BEND * rng.normal(size=2), -0.5, 0.5)
    values = np.array([depth, focus, 0.0, 0.0, rng.uniform(0.6, 1.1), *rng.uniform(0, 3.9, 2), *scan, *bend])
    return State(values, np.full(2, electrons), np.zeros(2))


def experiment(rng, kind, nodes, between, detectors, dose):
    """Deviations in errors: of what nodes are of, then of `PARAMETERS`; and the residuals."""
    place = int(rng.integers(len(between)))
    value, response = between[place]
    truth, shape = drawn(rng, kind, dose * PIXEL**2), (40, 72 if kind == "occupancy" else 40)
    real = [Recorded(wrong(d, drawn_part(rng, DETECTOR)), np.zeros(shape)) for d in detectors]
    expected = np.maximum(Settling(response, real, rng.uniform(1, 4)).shown(truth), 0.0)
    counts = [rng.poisson(one).reshape(shape).astype(float) for one in expected]
    images = [Recorded(d, c, True, doubt=wrong(d, DETECTOR)) for d, c in zip(detectors, counts, strict=True)]
    matrix = [[0.0, PIXEL], [PIXEL, 0.0]] if kind == "occupancy" else [[PIXEL, 0.0], [0.0, PIXEL]]
    start = replace(truth, nodes=np.array([value]))
    fit = fit_images(images, nodes, matrix, start=start)
    (name,) = nodes.names
    own = (fit.state.nodes[0] - value) / fit.error(name)
    rest = [(getattr(fit.state, n) - getattr(truth, n)) / fit.error(n) for n in PARAMETERS]
    return [own, *rest], fit.excess, fit.error(name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("occupancy", "tilt"))
    parser.add_argument("--experiments", type=int, default=100)
    parser.add_argument("--sets", type=int, default=10, help="of nodes, for occupancies")
    parser.add_argument("--dose", type=float, default=1e5, help="electrons per square angstrom")
    arguments = parser.parse_args()
    start = time.process_time()
    cut, sets, between = (antisites if arguments.kind == "occupancy" else tilts)(arguments.sets)
    print(f"{cut}\nnodes and truths: {time.process_time() - start:.0f} CPU s", flush=True)
    rng, pulls, excess, errors = np.random.default_rng(5), [], [], []
    start = time.process_time()
    for number in range(arguments.experiments):
        nodes = sets[number % len(sets)]
        found = experiment(rng, arguments.kind, nodes, between, cut.preset.detectors, arguments.dose)
        for kept, one in zip((pulls, excess, errors), found, strict=True):
            kept.append(one)
    each = (time.process_time() - start) / arguments.experiments
    inside, size = (np.abs(pulls) < 1).mean(axis=0), np.sqrt(np.mean(np.square(pulls), axis=0))
    print(
        f"{arguments.experiments} experiments, {arguments.dose:g} e/Å², residuals {np.mean(excess):.3f} of the noise, "
        f"error of {nodes.names[0]} {np.median(errors):.3g}; {each:.2f} CPU s a fit"
    )
    for name, share, spread in zip((nodes.names[0], *PARAMETERS), inside, size, strict=True):
        print(f"  {name:12s} {100 * share:5.1f} % inside 68 % intervals, deviation {spread:.2f} errors")


if __name__ == "__main__":
    main()
