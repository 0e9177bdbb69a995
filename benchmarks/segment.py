"""How well the network of `rhotem segment` reads pictures: held-out chemistries by dose, beside maxima of the picture.

    python benchmarks/segment.py DATASET [--network FILE] [--split test] [--step 2]

Defects: false alarms are counted on the other columns of pictures of cells with defects, so that columns of the same
crystals are compared. Beside the recall of vacancies at 5 % false alarms stands that of an observer who knows how high
the column would be without a vacancy and sees it through the filter of "above" (blurs of 0.25 and 0.7 Å): what is
missing stands above · share / (1 - share) standard deviations above the noise, all sites of a column counted alike.

Maxima: of the blurred picture, dark for ABF, of at least a threshold of its highest values; blur and threshold are the
best of a few on the same pictures, so the comparison favours them.
"""

from collections import defaultdict

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.stats import norm

from pictures_read import options, pictures
from rhotem.learned.pictures.score import SHARE, Score, compare
from rhotem.learned.pictures.segment import Segmentation
from rhotem.library.dataset.store import TABLE

DOSES = ((2e3, 1e4), (1e4, 5e4), (5e4, 4e5))
BLURS, THRESHOLDS = (0.3, 0.45), (0.1, 0.2, 0.3, 0.45, 0.6)


def maxima(picture, pixel, blur, threshold) -> Segmentation:
    """Maxima of a blurred picture as columns without a class."""
    smooth = gaussian_filter(picture, blur / pixel)
    low, high = np.percentile(smooth, (5, 99.5))
    size = 2 * max(round(0.35 / pixel), 1) + 1
    peaks = (smooth == maximum_filter(smooth, size)) & (smooth > low + threshold * (high - low))
    places = np.argwhere(peaks)[:, ::-1].astype(float)
    n, none = len(places), np.zeros(len(places))
    return Segmentation(places, np.ones((n, 2)), none, np.zeros((n, 4)), none, none, np.zeros((n, 3)), smooth)


def main() -> None:
    asked = options(__doc__).parse_args()
    network: dict = defaultdict(Score)
    simple: dict = defaultdict(lambda: defaultdict(Score))
    defects, observed = defaultdict(Score), defaultdict(list)
    every, seconds, number = Score(), 0.0, 0
    for one in pictures(asked):
        dose = next(d for d in DOSES if d[0] <= one.said["dose_e_per_A2"] <= d[1])
        pixel, image, shape = one.pixel, one.said["image"], one.image.shape
        seconds, number = seconds + one.seconds, number + 1
        for score in (network[image, dose], every):
            compare(score, one.found, one.table, pixel, shape)
        for name in (image, "all") if one.said["defect"] else ():
            compare(defects[dose, name], one.found, one.table, pixel, shape)
            observed[dose, name] += observer(one)
        bright = -one.image if image == "ABF" else one.image
        for blur in BLURS:
            for threshold in THRESHOLDS:
                found = maxima(bright, pixel, blur, threshold)
                compare(simple[image, dose][blur, threshold], found, one.table, pixel, shape)
    told_columns(network, simple)
    told_defects(defects, observed)
    print(f"all: F1 {every.f1:.3f}, precision {every.precision:.3f}, species {every.accuracy:.3f}", end="; ")
    print(f"within 1 and 2 σ: {every.coverage():.3f} {every.coverage(2):.3f}")
    print(f"{number} pictures, {seconds / max(number, 1):.2f} CPU s a picture")


def told_columns(network, simple) -> None:
    """Print columns by image and dose, beside the best of the maxima."""
    print("image, e/Å²: columns | network F1, species, rms Å, within 1 and 2 σ | maxima F1, rms Å")
    for key in sorted(network):
        score, best = network[key], max(simple[key].values(), key=lambda s: s.f1)
        print(
            f"{key[0]:6} {key[1][0]:.0e}–{key[1][1]:.0e}: {score.hit + score.missed:6d} | {score.f1:.3f} "
            f"{score.accuracy:.3f} {score.rms:.3f} {score.coverage():.2f} {score.coverage(2):.2f} | "
            f"{best.f1:.3f} {best.rms:.3f}"
        )


def observer(one) -> list[float]:
    """Chance that each column with vacancies is found at 5 % false alarms by who knows how high it should be."""
    share = one.table[:, TABLE.index("vacant")]
    chosen = (share >= SHARE) & (share < 1)
    missing = np.maximum(one.above[chosen], 0) * share[chosen] / (1 - share[chosen])
    return norm.cdf(missing - norm.ppf(0.95)).tolist()


def told_defects(defects, observed) -> None:
    """Print recalls of columns with defects, of those found, with the error of counting."""
    print("dose, image: recall of columns with defects at 5 % false alarms ± standard error (their number)")
    for (dose, image), score in sorted(defects.items()):
        told = []
        for what in ("vacancy", "antisite"):
            recall, number = score.recall(what)
            error = np.sqrt(recall * (1 - recall) / number) if number else float("nan")
            told.append(f"{what} {recall:.2f} ± {error:.2f} ({number})")
        if seen := observed.get((dose, image)):
            told.append(f"observer of vacancies {np.mean(seen):.2f} ({len(seen)})")
        print(f"{dose[0]:.0e}–{dose[1]:.0e} {image:9}: {'; '.join(told)}")


if __name__ == "__main__":
    main()
