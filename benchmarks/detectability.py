"""Predicted d′ against that of the matched filter on noisy simulations (docs/session.md).

    OMP_NUM_THREADS=1 python benchmarks/detectability.py [NAME ...]

Electrons are drawn as every counted image's are (`rhotem.microscope.counting`), 200 images with and 200 without the
feature, at the dose at which d′ is predicted to be 2, 3.5 and 5; the filter is the one the prediction used.
"""

import sys
import time
from dataclasses import replace

import numpy as np

from rhotem.analysis import run
from rhotem.analysis.detect.features import parse_feature
from rhotem.analysis.detect.noise import transfer
from rhotem.analysis.detect.observer import seen
from rhotem.analysis.detect.simulated import simulate_feature
from rhotem.analysis.detect.sweep import LEFT_OUT

#: Phase, zone axis, feature, thickness in nm, configurations.
CASES = {
    "Li vacancies in LiNiO2": ("LiNiO2", (1, 0, 0), "vacancy:Li:3", 2.0, 1),
    "Li/Ni antisite in LiNiO2": ("LiNiO2", (1, 0, 0), "antisite:Li/Ni", 2.0, 1),
    "bonding in LiCoO2": ("LiCoO2", (1, 0, 0), "density", 2.0, 2),
}
IMAGES = 200


def main(names: list[str]) -> None:
    """Print the table."""
    print("| feature | image | dose (e/Å²) | d′ predicted | d′ measured | CPU s of both simulations |")
    print("|---|---|---|---|---|---|")
    for case in names or CASES:
        phase, zone, written, nm, phonons = CASES[case]
        start = time.process_time()
        cut = run.specimen(run.structure(phase), zone=zone, thickness=nm)
        made = simulate_feature(cut, parse_feature(written), phonons=phonons)
        spent = time.process_time() - start
        rng = np.random.default_rng(1)
        held = [
            replace(one, microscope=one.microscope.model_copy(update={"pixel": None}), _ready={})
            for one in (made.before, made.after)
        ]
        for detector in made.before.detectors:
            after, before, scan, microscope = made.channels(detector)
            for name, factors in transfer(detector, before.names, scan, microscope).items():
                if name.endswith(LEFT_OUT):
                    continue
                found = seen(after, before, factors)
                area = float(np.prod(scan.step))
                for wanted in (2.0, 3.5, 5.0):
                    dose = wanted**2 / (found.index * area)
                    scores = [
                        [
                            float((one.images((detector,), scan=scan, rng=rng, dose=dose)[name] * found.template).sum())
                            for _ in range(IMAGES)
                        ]
                        for one in held
                    ]
                    apart = np.mean(scores[1]) - np.mean(scores[0])
                    measured = apart / np.sqrt(0.5 * (np.var(scores[0]) + np.var(scores[1])))
                    print(f"| {case} | {name} | {dose:.2e} | {wanted} | {measured:.2f} | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
