"""How well the network of `rhotem segment` reads pictures: held-out chemistries by dose, beside maxima of the picture.

    python benchmarks/segment.py DATASET [--network FILE] [--split test] [--step 2]

Maxima: of the picture blurred by a Gaussian of 0.4 Å, dark for ABF, of at least a threshold of its highest values; blur
and threshold are the best of a few on the same pictures, so the comparison favours them.
"""

import argparse
import time
from collections import defaultdict

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter

from rhotem.learned.pictures import load_weights
from rhotem.learned.pictures.normalise import normalised
from rhotem.learned.pictures.score import Score, compare
from rhotem.learned.pictures.segment import Segmentation, from_logits, logits
from rhotem.library.dataset import open_dataset

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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--network")
    parser.add_argument("--split", default="test")
    parser.add_argument("--step", type=int, default=1)
    asked = parser.parse_args()
    weights = load_weights(asked.network)
    network: dict = defaultdict(Score)
    simple: dict = defaultdict(lambda: defaultdict(Score))
    defects: dict = defaultdict(Score)
    every, pictures, seconds = Score(), 0, 0.0
    for arrays, said in open_dataset(asked.dataset).pictures(asked.split):
        pictures += 1
        if pictures % asked.step:
            continue
        dose = next(d for d in DOSES if d[0] <= said["dose_e_per_A2"] <= d[1])
        pixel, table = said["pixel_A"], arrays["table"]
        seen = normalised(arrays["image"], pixel)
        began = time.process_time()
        found = from_logits(logits(seen, weights), pixel, weights.header)
        seconds += time.process_time() - began
        for score in (network[said["image"], dose], every, defects[dose]):
            compare(score, found, table, pixel, seen.shape)
        bright = -seen if said["image"] == "ABF" else seen
        for blur in BLURS:
            for threshold in THRESHOLDS:
                one = simple[said["image"], dose][blur, threshold]
                compare(one, maxima(bright, pixel, blur, threshold), table, pixel, seen.shape)
    print("image, e/Å²: columns | network F1, species, rms Å, within 1 and 2 σ | maxima F1, rms Å")
    for key in sorted(network):
        score, best = network[key], max(simple[key].values(), key=lambda s: s.f1)
        print(
            f"{key[0]:6} {key[1][0]:.0e}–{key[1][1]:.0e}: {score.hit + score.missed:6d} | {score.f1:.3f} "
            f"{score.accuracy:.3f} {score.rms:.3f} {score.coverage():.2f} {score.coverage(2):.2f} | "
            f"{best.f1:.3f} {best.rms:.3f}"
        )
    print("dose: recall of columns with defects at 5 % false alarms (their number)")
    for dose, score in sorted(defects.items()):
        for what in ("vacancy", "antisite"):
            recall, number = score.recall(what)
            print(f"{what:9} {dose[0]:.0e}–{dose[1]:.0e}: {recall:.2f} ({number})")
    each = seconds / max(pictures // asked.step, 1)
    print(f"all: F1 {every.f1:.3f}, precision {every.precision:.3f}, species {every.accuracy:.3f}")
    print(f"{each:.2f} CPU s a picture")


if __name__ == "__main__":
    main()
