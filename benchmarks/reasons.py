"""Why columns are missed: what `rhotem segment` finds by how far every single column stands above the noise.

    rhotem dataset make PLAN --out pictures            recipe columns
    rhotem dataset make CLEAN --out clean              the same plan with the recipe denoising: the same pictures
    python benchmarks/reasons.py pictures clean [--network FILE] [--split test] [--step 1]

A column stands above the noise by its height over its surroundings (a blur of 0.25 Å less one of 0.7 Å) in what is
expected, bright or dark, over the standard deviation of the same of the noise. Recall at the network's threshold.
"""

import argparse
from collections import defaultdict

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from rhotem.learned.pictures import load_weights
from rhotem.learned.pictures.normalise import normalised
from rhotem.learned.pictures.score import EDGE, NEAR, Score, compare
from rhotem.learned.pictures.segment import from_logits, logits
from rhotem.library.dataset import open_dataset
from rhotem.library.dataset.scene import SPECIES

ABOVE, INNER, OUTER = (0.0, 1.0, 2.0, 4.0, 8.0, 1e9), 0.25, 0.7


def local(values, pixel):
    """Heights over the surroundings."""
    return gaussian_filter(values, INNER / pixel) - gaussian_filter(values, OUTER / pixel)


def heights(image, clean, places, pixel):
    """How far columns at places (n, 2) in pixels stand above the noise."""
    seen = map_coordinates(local(clean, pixel), places[:, ::-1].T, order=1, mode="nearest")
    return np.abs(seen) / max(local(image - clean, pixel).std(), 1e-30)


def told(table, names):
    """Recalls with their numbers in words."""
    return ", ".join(f"{name} {a / n:.2f} ({n:.0f})" for name, (a, n) in zip(names, table, strict=True) if n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("clean")
    parser.add_argument("--network")
    parser.add_argument("--split", default="test")
    parser.add_argument("--step", type=int, default=1)
    asked = parser.parse_args()
    weights = load_weights(asked.network)
    every, readable = Score(), Score()
    recall = defaultdict(lambda: np.zeros((len(ABOVE) - 1, 2)))
    kinds = defaultdict(lambda: np.zeros((len(SPECIES), 2)))
    pairs = zip(
        open_dataset(asked.dataset).pictures(asked.split), open_dataset(asked.clean).pictures(asked.split), strict=True
    )
    for place, ((arrays, said), (clean, other)) in enumerate(pairs):
        if place % asked.step:
            continue
        image, pixel, table = arrays["image"].astype(float), said["pixel_A"], arrays["table"]
        if not np.array_equal(arrays["image"], clean["image"]) or said["id"] != other["id"]:
            raise SystemExit("these are not the same pictures: make both with one plan and seed")
        found = from_logits(logits(normalised(image, pixel), weights), pixel, weights.header)
        places = table[:, :2].astype(float)
        above = heights(image, clean["clean"].astype(float), places, pixel)
        compare(every, found, table, pixel, image.shape)
        inside = ((places >= EDGE) & (places <= np.array(image.shape[::-1]) - 1 - EDGE)).all(axis=1)
        met = np.zeros(len(places), dtype=bool)
        if len(found.places):
            met = pixel * cKDTree(found.places).query(places)[0] <= NEAR
        readable.hit, readable.missed = (
            readable.hit + int((met & inside & (above > 4)).sum()),
            readable.missed + int((~met & inside & (above > 4)).sum()),
        )
        for rung in range(len(ABOVE) - 1):
            chosen = inside & (above > ABOVE[rung]) & (above <= ABOVE[rung + 1])
            for name in (said["image"], "all"):
                recall[name][rung] += (met[chosen].sum(), chosen.sum())
            if ABOVE[rung] == 4.0:
                chosen = inside & (above > 4)
                for kind in range(1, len(SPECIES)):
                    one = chosen & (table[:, 2] == kind)
                    kinds[said["image"]][kind] += (met[one].sum(), one.sum())
    rungs = [f"{a:.0f}–{b:.0f}" if b < 1e8 else f"over {a:.0f}" for a, b in zip(ABOVE, ABOVE[1:], strict=False)]
    print(f"all: F1 {every.f1:.3f}, precision {every.precision:.3f}, species {every.accuracy:.3f}")
    print(f"within 1, 2 σ: {every.coverage():.2f}, {every.coverage(2):.2f}")
    print("recall (number) by standard deviations of the noise")
    for name, table in sorted(recall.items()):
        print(f"{name:6} {told(table, rungs)}")
    share = readable.hit / max(readable.hit + readable.missed, 1)
    print(f"recall of columns above four standard deviations: {share:.3f}; by species")
    for name, table in sorted(kinds.items()):
        print(f"{name:6} {told(table, SPECIES)}")


if __name__ == "__main__":
    main()
