"""How well a change of the specimen is seen in whole diffraction patterns: single sidebands, and all pixels at once.

Used by bonding_defects.py and seed_cases.py. Indices are d′² for one electron a position, as those of
`rhotem.analysis.detect.observer`. `ssb`: the ideal observer of the phase by single sidebands, which is linear in the
counts. `pixels`: Σ (change)²/mean over all pixels and positions, which no reconstruction from these patterns exceeds,
iterative ptychography with one slice or many included.
"""

import numpy as np

from rhotem.analysis import run
from rhotem.analysis.alike import ChangedPotentials
from rhotem.analysis.detect.features import make_pair, parse_feature
from rhotem.analysis.detect.simulated import wide_host
from rhotem.analysis.detect.sweep import ROSE
from rhotem.analysis.specimen import Specimen
from rhotem.microscope.images import ImageSet
from rhotem.microscope.reconstruct.data import ScannedPatterns
from rhotem.microscope.reconstruct.ssb import Band, Detector

#: Images of each kind that are drawn.
IMAGES = 200


def both_patterns(cut: Specimen, written: str, source: str | None = None, phonons: int = 1) -> list[ScannedPatterns]:
    """Patterns of the specimen before and after a feature; ``cut`` has one detector, 4D."""
    feature = parse_feature(written)
    if feature.kind == "density":
        pairs = [(cut, run.potential(cut, run.density(cut, s), phonons=phonons)) for s in ("free-atoms", source)]
    else:
        pair = make_pair(wide_host(cut), feature)
        first = run.potential(pair.before, run.density(pair.before, source), phonons=phonons)
        second = ChangedPotentials(first, pair.after, pair.kept, run.density(pair.after, source), None)
        pairs = [(pair.before, first), (pair.after, second)]
    return [patterns_of(one, run.image(one, potentials)) for one, potentials in pairs]


def patterns_of(cut: Specimen, shown: ImageSet) -> ScannedPatterns:
    """The patterns of simulated images, single beams without noise."""
    optics = cut.preset.microscope
    return ScannedPatterns(shown.patterns["4D"], shown.scan, shown.angular_step, optics, integrating=False)


def indices(before: ScannedPatterns, after: ScannedPatterns) -> dict[str, float]:
    """d′² for one electron a position."""
    weights, pixels = ssb_weights(before, after)
    data = [h.data[:, :, *pixels.T].astype(float) for h in (before, after)]
    signal = float((weights * (data[1] - data[0])).sum())
    noise = float((weights**2 * 0.5 * (data[0] + data[1])).sum())
    mean = 0.5 * (before.data + after.data).astype(float)
    change = (after.data - before.data).astype(float)
    lit = mean > 1e-12 * mean.max()
    return {"SSB": signal**2 / noise, "pixels": float((change[lit] ** 2 / mean[lit]).sum())}


def doses(before: ScannedPatterns, after: ScannedPatterns) -> dict[str, float]:
    """e/Å² for d′ = 5."""
    area = float(np.prod(before.scan.step))
    return {name: ROSE**2 / index / area for name, index in indices(before, after).items()}


def drawn_ssb(before: ScannedPatterns, after: ScannedPatterns, wanted: float) -> float:
    """d′ of single sidebands from drawn counts at the dose at which it is predicted to be ``wanted``."""
    weights, pixels = ssb_weights(before, after)
    data = [h.data[:, :, *pixels.T].astype(float) for h in (before, after)]
    electrons, rng = wanted**2 / indices(before, after)["SSB"], np.random.default_rng(6)
    scores = [
        [float((weights * rng.poisson(electrons * one)).sum() / electrons) for _ in range(IMAGES)] for one in data
    ]
    return apart(*scores)


def apart(before: list[float], after: list[float]) -> float:
    """How many standard deviations apart two sets of scores are."""
    return float((np.mean(after) - np.mean(before)) / np.sqrt(0.5 * (np.var(before) + np.var(after))))


def ssb_weights(before: ScannedPatterns, after: ScannedPatterns) -> tuple[np.ndarray, np.ndarray]:
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
