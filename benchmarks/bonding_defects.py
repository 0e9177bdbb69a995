"""How well point defects of LiNiO2 are seen: detectors x thickness, d′ predicted, some of it measured.

    OMP_NUM_THREADS=1 python benchmarks/bonding_defects.py        # again after an interruption: goes on

Every defect x thickness is a file in runs/bonding. `measured`: 200 noisy images with and 200 without the defect at the
dose at which d′ is predicted to be 3.5, separated by the filter of the prediction, as in benchmarks/detectability.py.
Single sidebands (`ssb`) are linear in the counts, so their scores are drawn from Poisson counts of all pixels.
"""

import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.analysis import run
from rhotem.analysis.alike import ChangedPotentials
from rhotem.analysis.detect.features import make_pair, parse_feature
from rhotem.analysis.detect.noise import transfer
from rhotem.analysis.detect.observer import seen
from rhotem.analysis.detect.rings import ring_edges
from rhotem.analysis.detect.simulated import Simulated, simulate_feature, wide_host
from rhotem.analysis.detect.sweep import ROSE, sweep
from rhotem.microscope.reconstruct.data import ScannedPatterns
from rhotem.microscope.reconstruct.ssb import Band, Detector

RUNS = Path("runs/bonding")
PHASE, ZONE = "LiNiO2", (1, 0, 0)
FEATURES = ("vacancy:Li", "vacancy:O", "antisite:Li/Ni")
THICKNESSES = (2.0, 4.0)
DETECTORS = ("HAADF=60-100", "ABF=11-22", "DPC=6-22", "CoM=44")
#: mrad between edges of the best ring and of the parts weighed at once; Å; configurations.
RINGS, SAMPLING, PHONONS = 11.0, 0.08, 1
#: What is drawn: feature and thickness; images and the d′ they are drawn at; images of each kind.
DRAWN, WANTED, IMAGES = {("vacancy:O", 2.0)}, 3.5, 200
WITH_SSB = 2.0


def specimen(nm: float, detectors: tuple[str, ...] = DETECTORS) -> run.Specimen:
    """The crystal, its pixel coarse."""
    preset = run.adjusted_preset("layered-oxide", detectors=detectors)
    return run.specimen(run.structure(PHASE), ZONE, thickness=nm, preset=preset, sampling=SAMPLING)


def predicted(written: str, nm: float) -> dict[str, Any]:
    """Rows of a defect at one thickness in focus, and where asked for what noisy images measure."""
    cut, feature = specimen(nm), parse_feature(written)
    edges = ring_edges(RINGS, cut.preset.microscope.convergence, 100.0)
    began = time.process_time()
    made = simulate_feature(cut, feature, phonons=PHONONS, edges=edges)
    result = sweep(made, feature, dose=1e4, defocus=[0.0], edges=edges)
    found = {"rows": [asdict(row) for row in result.rows], "cpu_s": time.process_time() - began}
    if (written, nm) in DRAWN:
        found["measured"] = measured(made)
    return found


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


def apart(before: list[float], after: list[float]) -> float:
    """How many standard deviations apart two sets of scores are."""
    return float((np.mean(after) - np.mean(before)) / np.sqrt(0.5 * (np.var(before) + np.var(after))))


def single_sidebands(written: str, nm: float) -> dict[str, Any]:
    """Dose for d′ = 5 of a phase by single sidebands, and d′ drawn."""
    cut = specimen(nm, ("4D=22",))
    pair = make_pair(wide_host(cut), parse_feature(written))
    first = run.potential(pair.before, run.density(pair.before), phonons=PHONONS)
    second = ChangedPotentials(first, pair.after, pair.kept, run.density(pair.after), None)
    shown = [run.image(c, v) for c, v in ((pair.before, first), (pair.after, second))]
    held = [
        ScannedPatterns(s.patterns["4D"], s.scan, s.angular_step, cut.preset.microscope, integrating=False)
        for s in shown
    ]
    weights, pixels = _weights(held[0], held[1])
    data = [h.data[:, :, *pixels.T].astype(float) for h in held]
    mean = 0.5 * (data[0] + data[1])
    signal = float((weights * (data[1] - data[0])).sum())
    index = signal**2 / float((weights**2 * mean).sum())
    area = float(np.prod(held[0].scan.step))
    electrons = WANTED**2 / index
    rng = np.random.default_rng(6)
    scores = [
        [float((weights * rng.poisson(electrons * one)).sum() / electrons) for _ in range(IMAGES)] for one in data
    ]
    return {"enough": ROSE**2 / index / area, "measured": {"SSB": apart(*scores)}}


def _weights(before: ScannedPatterns, after: ScannedPatterns) -> tuple[np.ndarray, np.ndarray]:
    """What every count (nx, ny, pixels of the disc) adds to the score of an SSB phase, whitened by its transfer."""
    band, detector = Band.of(before), Detector.of(before)
    pixels = np.argwhere(detector.disc() > 0)
    i, j = pixels.T
    model = detector.sidebands(band, i, j)  # (frequencies, pixels)
    transferred = (np.abs(model) ** 2).sum(axis=1)
    spectra = [
        np.fft.rfft2(h.data[:, :, i, j].astype(float), axes=(0, 1))[band.rows, band.columns] for h in (before, after)
    ]
    fit = [(model.conj() * g).sum(axis=1) for g in spectra]  # transfer times phase
    kept = transferred > 0.03 * detector.disc().sum()
    # the noise of a fitted phase has the variance 1/transfer: the filter is transfer x change of the phase
    wanted = np.where(kept, fit[1] - fit[0], 0.0)
    whole = np.zeros((len(pixels), before.scan.shape[0], before.scan.shape[1] // 2 + 1), complex)
    whole[:, band.rows, band.columns] = (model * (wanted / np.where(kept, transferred, 1.0))[:, None]).T
    return np.moveaxis(np.fft.irfft2(whole, s=before.scan.shape, axes=(1, 2)), 0, 2), pixels


def main() -> None:
    """Make the files that are not there."""
    RUNS.mkdir(parents=True, exist_ok=True)
    work = [(f"defect-{f}-{t:g}", predicted, f, t) for t in THICKNESSES for f in FEATURES]
    work[len(FEATURES) : len(FEATURES)] = [
        (f"defect-ssb-{f}-{WITH_SSB:g}", single_sidebands, f, WITH_SSB) for f in FEATURES[:2]
    ]
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
