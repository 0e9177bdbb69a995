"""Which of five LixCoO2 is it: how often images name the state of charge that was recorded.

    OMP_NUM_THREADS=1 python benchmarks/charge_states.py [--doses 1e4 1e5 1e6] [--trials 10] [--draws 2]
        [--images "HAADF, ABF, iDPC"] [--independent]

LixCoO2 [100], x = 1, 0.75, 0.5, 0.25, 0 in one cell (that of LiCoO2, so that no lattice constant tells), Li taken out
at random, 200 kV, 18 mrad, free atoms, 300 K, 24 x 72 pixels of 0.2 Å (4.8 x 14.4 Å). Thickness (2.4 to 4.2 nm), focus
(0 to 2 nm), source, scan, gains and offsets are unknown. HAADF and ABF, or HAADF and the four quadrants of the ABF
ring, of which ABF is the sum and iDPC the difference. All states share their displacements and, as far as they go,
their vacancies. Recordings: (a) of the hypotheses themselves, which shows counting noise alone; (b) with displacements
and vacancies of their own, twice as many.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from rhotem.analysis import responses, run
from rhotem.analysis.disorder import VacantPotentials
from rhotem.experiment.fit.images import Recorded, State
from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.weigh import ImageHypothesis
from rhotem.experiment.weigh.hypothesis import electrons
from rhotem.microscope.settings import Annular, Segmented
from rhotem.scattering.response import Range, mean_response

SHAPE, PIXEL = (24, 72), 0.2
STATES, THICKNESSES, PHONONS = (1.0, 0.75, 0.5, 0.25, 0.0), (2.0, 2.8, 3.6, 4.5), 4
HAADF, ABF = Annular(name="HAADF", inner=50, outer=120), Annular(name="ABF", inner=9, outer=18)
QUADRANTS = Segmented(inner=9, outer=18, each=True)
SETS = {
    "HAADF, ABF": [(HAADF, None), (ABF, None)],
    "HAADF, ABF, iDPC": [(HAADF, None), *((QUADRANTS, f"segment{n}") for n in range(4))],
}


def responses_of(cut, x, seeds):
    """One response for each set of displacements and vacancies."""
    options = {"thicknesses": THICKNESSES, "range": Range(defocus=(-10, 30)), "edges": [], "error_bar": False}
    made = [VacantPotentials(cut, "Li", 1 - x, phonons=PHONONS, seed=seed) for seed in seeds]
    return tuple(responses.response(cut, one, **options) for one in made)


def drawn(rng, images, dose):
    """A truth."""
    lens = [rng.uniform(24, 42), rng.uniform(0, 20), 0.0, 0.0, rng.uniform(0.7, 1.0)]
    values = np.array([*lens, *rng.uniform(0, 2.8, 2), 0.0, PIXEL, PIXEL, 0.0])  # columns along y, the long side
    return State(values, np.full(images, dose * PIXEL**2), np.zeros(images))


def weighed(hypotheses, truth, blank, dose, rng):
    """Ln evidence of every hypothesis on a recording of ``truth``; fits start near its state, off at random."""
    state = drawn(rng, len(blank), dose)
    expected = np.maximum(Model(truth, blank).shown(state), 0.0)
    data = [
        Recorded(b.detector, electrons(e, rng).reshape(SHAPE), True, image=b.image)
        for b, e in zip(blank, expected, strict=True)
    ]
    off = State(np.r_[rng.normal(0, 3, 2), 0, 0, 0.05], state.gains, state.offsets)
    start = State(state.values + off.values, state.gains, state.offsets)
    return [one.explain(data, start).evidence() for one in hypotheses]


def table(word, chosen, seconds):
    """Rows: recorded x; columns: named x, per cent."""
    right = 100 * np.mean(np.diag(chosen))
    near = 100 * np.mean([sum(row[max(0, k - 1) : k + 2]) for k, row in enumerate(chosen)])
    print(f"{word}: right {right:.0f} %, right or next to it {near:.0f} %; {seconds:.1f} CPU s a recording")
    for x, row in zip(STATES, chosen, strict=True):
        print(f"  x = {x:4.2f}  " + " ".join(f"{100 * share:4.0f}" for share in row), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--doses", type=float, nargs="+", default=[1e4, 1e5, 1e6])
    parser.add_argument("--trials", type=int, default=10, help="recordings of each state")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--images", choices=SETS, nargs="+", default=list(SETS), help="detectors, all without it")
    parser.add_argument("--independent", action="store_true", help="leave recordings of the hypotheses themselves out")
    arguments = parser.parse_args()
    settings = {"energy": 200.0, "convergence": 18.0, "detectors": ["HAADF=50-120", "ABF=9-18", "DPC=9-18"]}
    preset = run.adjusted_preset("layered-oxide", **settings)
    crystal = run.structure(Path(__file__).parents[1] / "examples" / "LiCoO2.cif")
    cut = run.specimen(crystal, zone=(1, 0, 0), thickness=4.7, preset=preset)
    began = time.process_time()
    print(cut, flush=True)
    draws = {x: responses_of(cut, x, range(arguments.draws)) for x in STATES}
    print(f"hypotheses: {time.process_time() - began:.0f} CPU s", flush=True)
    own = {x: mean_response(responses_of(cut, x, range(100, 100 + 2 * arguments.draws))) for x in STATES}
    print(f"recordings: {time.process_time() - began:.0f} CPU s", flush=True)
    hypotheses = [
        ImageHypothesis(f"{x:g}", mean_response(d), [[0.0, PIXEL], [PIXEL, 0.0]], d) for x, d in draws.items()
    ]
    truths_of = {"independent": own} if arguments.independent else {"independent": own, "noise alone": draws}
    for word in arguments.images:
        blank = [Recorded(d, np.zeros(SHAPE), True, image=image) for d, image in SETS[word]]
        for dose in arguments.doses:
            for kind, truths in truths_of.items():
                rng, start = np.random.default_rng(7), time.process_time()
                chosen = np.zeros((len(STATES), len(STATES)))
                for k, x in enumerate(STATES):
                    truth = mean_response(truths[x]) if kind == "noise alone" else truths[x]
                    for _ in range(arguments.trials):
                        chosen[k, int(np.argmax(weighed(hypotheses, truth, blank, dose, rng)))] += 1 / arguments.trials
                each = (time.process_time() - start) / (len(STATES) * arguments.trials)
                table(f"{word}, {dose:.0e} e/Å², {kind}", chosen, each)


if __name__ == "__main__":
    main()
