"""Why columns are missed: what `rhotem segment` finds by how far every single column stands above the noise.

    python benchmarks/reasons.py DATASET [--network FILE] [--split test] [--step 1]

A column stands above the noise by its height over its surroundings (a blur of 0.25 Å less one of 0.7 Å) in what is
expected, over the standard deviation of the same of the noise: "above" of the tables. In HAADF and iDPC columns are
bright, in ABF bright or dark. Recall at the network's threshold.
"""

from collections import defaultdict

import numpy as np
from scipy.spatial import cKDTree

from pictures_read import READABLE, options, pictures
from rhotem.learned.pictures.score import EDGE, NEAR, Score, compare
from rhotem.library.dataset.scene import SPECIES

ABOVE = (-1e9, 1.0, 2.0, 4.0, 8.0, 1e9)
RUNGS = ("under 1", "1–2", "2–4", "4–8", "over 8")


def told(table, names):
    """Recalls with their numbers in words."""
    return ", ".join(f"{name} {a / n:.2f} ({n:.0f})" for name, (a, n) in zip(names, table, strict=True) if n)


def main() -> None:
    asked = options(__doc__).parse_args()
    every, ratios = Score(), [[] for _ in RUNGS]
    recall = defaultdict(lambda: np.zeros((len(ABOVE) - 1, 2)))
    kinds = defaultdict(lambda: np.zeros((len(SPECIES), 2)))
    for one in pictures(asked):
        said, pixel, table, image, found = one.said, one.pixel, one.table, one.image, one.found
        places, above = table[:, :2].astype(float), one.above
        compare(every, found, table, pixel, image.shape)
        inside = ((places >= EDGE) & (places <= np.array(image.shape[::-1]) - 1 - EDGE)).all(axis=1)
        met, ratio = np.zeros(len(places), dtype=bool), np.full((len(places), 2), np.nan)
        if len(found.places):
            distance, nearest = cKDTree(found.places).query(places)
            met = pixel * distance <= NEAR
            ratio = np.abs(found.places[nearest] - places) / np.maximum(found.errors[nearest], 1e-9)
        for rung in range(len(ABOVE) - 1):
            chosen = inside & (above > ABOVE[rung]) & (above <= ABOVE[rung + 1])
            ratios[rung].append(ratio[chosen & met])
            for name in (said["image"], "all"):
                recall[name][rung] += (met[chosen].sum(), chosen.sum())
        for kind in range(1, len(SPECIES)):
            chosen = inside & (above > READABLE) & (table[:, 2] == kind)
            kinds[said["image"]][kind] += (met[chosen].sum(), chosen.sum())
    print(f"all: F1 {every.f1:.3f}, precision {every.precision:.3f}, species {every.accuracy:.3f}")
    print(f"places within 1 and 2 σ: {every.coverage():.2f} and {every.coverage(2):.2f}; by how far above the noise")
    for name, some in zip(RUNGS, ratios, strict=True):
        each = np.concatenate(some)
        print(f"  {name:8} {(each <= 1).mean():.2f} {(each <= 2).mean():.2f} ({len(each)})")
    print("recall (number) by standard deviations of the noise")
    for name, table in sorted(recall.items()):
        print(f"{name:6} {told(table, RUNGS)}")
    met, number = sum(kinds.values()).sum(axis=0)
    print(f"recall of columns above four standard deviations: {met / number:.3f} ({number:.0f}); by species")
    for name, table in sorted(kinds.items()):
        print(f"{name:6} {told(table, SPECIES)}")


if __name__ == "__main__":
    main()
