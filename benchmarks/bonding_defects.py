"""How well point defects of LiNiO2 are seen: detectors x thickness, d′ predicted, some of it measured.

    OMP_NUM_THREADS=1 python benchmarks/bonding_defects.py            # again after an interruption: goes on
    OMP_NUM_THREADS=1 python benchmarks/bonding_defects.py relaxed    # only those whose atoms give way to the defect

Every defect x thickness is a file in runs/bonding. `measured`: 200 noisy images with and 200 without the defect at the
dose at which d′ is predicted to be 3.5, separated by the filter of the prediction, as in benchmarks/detectability.py.
Whole patterns: pattern_observer.py.
"""

import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from pattern_observer import IMAGES, apart, both_patterns, doses, drawn_ssb
from rhotem.analysis import run
from rhotem.analysis.detect.features import Relaxation, parse_feature
from rhotem.analysis.detect.noise import transfer
from rhotem.analysis.detect.observer import seen
from rhotem.analysis.detect.rings import ring_edges
from rhotem.analysis.detect.simulated import Simulated, simulate_feature
from rhotem.analysis.detect.sweep import sweep
from rhotem.battery.relax import relax

RUNS = Path("runs/bonding")
PHASE, ZONE = "LiNiO2", (1, 0, 0)
FEATURES = ("vacancy:Li", "vacancy:O", "antisite:Li/Ni")
THICKNESSES = (2.0, 4.0)
DETECTORS = ("HAADF=60-100", "ABF=11-22", "DPC=6-22", "CoM=44")
#: mrad between edges of the best ring and of the parts weighed at once; Å; configurations.
RINGS, SAMPLING, PHONONS = 11.0, 0.08, 1
#: What is drawn: feature and thickness; images and the d′ they are drawn at; images of each kind.
DRAWN, DRAWN_SSB, WANTED = {("vacancy:O", 2.0)}, {("vacancy:Li", 2.0)}, 3.5


def specimen(nm: float, detectors: tuple[str, ...] = DETECTORS) -> run.Specimen:
    """The crystal, its pixel coarse."""
    preset = run.adjusted_preset("layered-oxide", detectors=detectors)
    return run.specimen(run.structure(PHASE), ZONE, thickness=nm, preset=preset, sampling=SAMPLING)


def predicted(written: str, nm: float, relaxed: Relaxation | None = None) -> dict[str, Any]:
    """Rows of a defect at one thickness in focus, and where asked for what noisy images measure."""
    cut, feature = specimen(nm), parse_feature(written)
    edges = ring_edges(RINGS, cut.preset.microscope.convergence, 100.0)
    began = time.process_time()
    made = simulate_feature(cut, feature, phonons=PHONONS, edges=edges, relaxed=relaxed)
    result = sweep(made, feature, dose=1e4, defocus=[0.0], edges=edges)
    moved = made.pair.moved if made.pair else None
    found = {"rows": [asdict(row) for row in result.rows], "cpu_s": time.process_time() - began, "moved_A": moved}
    if (written, nm) in DRAWN and relaxed is None:
        found["measured"] = measured(made)
    return found


def relaxed(written: str, nm: float) -> dict[str, Any]:
    """The same with atoms that give way to the defect."""
    return predicted(written, nm, lambda structure: relax(structure)[0])


def measured(made: Simulated) -> dict[str, float]:
    """d′ of drawn images at the dose where it is predicted to be `WANTED`."""
    rng, result = np.random.default_rng(5), {}
    plain = [
        replace(one, microscope=one.microscope.model_copy(update={"pixel": None}), _ready={})
        for one in (made.before, made.after)
    ]
    for detector in made.before.detectors:
        after, before, scan, microscope = made.channels(detector)
        for name, factors in transfer(detector, before.names, scan, microscope).items():
            if name != "iCoM":
                continue
            found = seen(after, before, factors)
            dose = WANTED**2 / (found.index * float(np.prod(scan.step)))
            scores = [
                [
                    float((one.images((detector,), scan=scan, rng=rng, dose=dose)[name] * found.template).sum())
                    for _ in range(IMAGES)
                ]
                for one in plain
            ]
            result[name] = apart(*scores)
    return result


def whole_patterns(written: str, nm: float) -> dict[str, Any]:
    """Doses for d′ = 5 of single sidebands and of all pixels to 44 mrad; d′ drawn for single sidebands."""
    before, after = both_patterns(specimen(nm, ("4D=44",)), written, phonons=PHONONS)
    drawn = {"measured": {"SSB": drawn_ssb(before, after, WANTED)}} if (written, nm) in DRAWN_SSB else {}
    return {"patterns": doses(before, after), **drawn}


def main() -> None:
    """Make the files that are not there."""
    RUNS.mkdir(parents=True, exist_ok=True)
    work = [(f"defect-{f}-{t:g}", predicted, f, t) for t in THICKNESSES for f in FEATURES]
    work += [(f"defect-patterns-{f}-{t:g}", whole_patterns, f, t) for t in THICKNESSES for f in FEATURES]
    work += [(f"relaxed-{f}-{t:g}", relaxed, f, t) for t in THICKNESSES for f in FEATURES]
    work.sort(key=lambda piece: piece[3])
    for stem, maker, feature, nm in work:
        path = RUNS / f"{stem.replace('/', '-')}.json"
        if path.exists() or (sys.argv[1:] and sys.argv[1] not in stem):
            continue
        began = time.process_time()
        made = {"feature": feature, "thickness": nm, **maker(feature, nm)}
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(made))
        temporary.rename(path)
        print(f"{stem}: {time.process_time() - began:.0f} CPU s", flush=True)


if __name__ == "__main__":
    main()
