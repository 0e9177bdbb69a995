"""Where `rhotem segment` fails: at interfaces, and under drift.

    python benchmarks/segment_failures.py DATASET --of interfaces [--network FILE] [--split test] [--step 1]
    python benchmarks/segment_failures.py DATASET --of drift ...

Interfaces: columns within 2 Å of a place where the map ``region`` changes, and all others of the same pictures. Drift:
by how far the specimen moves while the picture is taken. HAADF and iDPC; recall is that of columns that stand four
standard deviations above the noise. Errors: standard
error over pictures.
"""

from collections import defaultdict

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.spatial import cKDTree

from pictures_read import READABLE, options, pictures
from rhotem.learned.pictures.score import EDGE, NEAR

REACH, RUNGS = 2.0, (0.0, 0.3, 1.0, 3.0, 10.0, 1e9)


def counts(found, table, pixel, shape):
    """Places, and whether each is right: of columns found, and of those there with how they stand above the noise."""
    truth = table[:, :2].astype(float)

    def inside(places):
        return ((places >= EDGE) & (places <= np.array(shape[::-1]) - 1 - EDGE)).all(axis=1)

    if not len(found.places) or not len(truth):
        return found.places, np.zeros(len(found.places), bool), truth, np.zeros(len(truth), bool), inside
    distance, nearest = cKDTree(truth).query(found.places)
    back = cKDTree(found.places).query(truth)[1]
    right = (back[nearest] == np.arange(len(nearest))) & (distance * pixel <= NEAR)
    met = np.zeros(len(truth), bool)
    met[nearest[right]] = True
    return found.places, right, truth, met, inside


def zone(region, places, pixel):
    """Whether places are near a boundary of regions."""
    side = 2 * round(REACH / pixel) + 1
    near = maximum_filter(region, side) != minimum_filter(region, side)
    index = np.clip(np.rint(places).astype(int), 0, np.array(region.shape[::-1]) - 1)
    return near[index[:, 1], index[:, 0]]


def moved(said):
    """Å by which the specimen drifts over a picture of square shape."""
    pixels = 128
    return 1e-2 * said["drift_pm_per_s"] * said["dwell_us"] * 1e-6 * pixels**2


def f1(rows):
    """F1 and recall of what is above the noise, from sums of hits, false, missed, hits above, all above."""
    hit, false, missed, high, all_high = np.sum(rows, axis=0)
    return 2 * hit / max(2 * hit + false + missed, 1), high / max(all_high, 1), int(hit + missed)


def spread(rows):
    """Standard error of F1 over groups of pictures."""
    each = [f1([row])[0] for row in rows if row[0] + row[2] > 0]
    return np.std(each, ddof=1) / np.sqrt(len(each)) if len(each) > 1 else float("nan")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--of", choices=("interfaces", "drift"), required=True)
    asked, groups = parser.parse_args(), defaultdict(list)

    def wanted(said):
        boundary = "twin" in said["defect"] or "boundary" in said["defect"]
        return said["image"] != "ABF" and (boundary or asked.of == "drift")

    for one in pictures(asked, wanted):
        said, pixel, table, image, found = one.said, one.pixel, one.table, one.image, one.found
        places, right, truth, met, inside = counts(found, table, pixel, image.shape)
        high = one.above > READABLE
        if asked.of == "drift":
            rung = int(np.searchsorted(RUNGS, moved(said)) - 1)
            masks = {f"{RUNGS[rung]:g}–{RUNGS[rung + 1]:g} Å": (np.ones(len(places), bool), np.ones(len(truth), bool))}
        else:
            of_found = zone(one.arrays["region"], places, pixel) if len(places) else np.zeros(0, bool)
            of_truth = zone(one.arrays["region"], truth, pixel)
            masks = {"within 2 Å": (of_found, of_truth), "farther": (~of_found, ~of_truth)}
        for name, (chosen, there) in masks.items():
            chosen, there = (chosen & inside(places)) if len(places) else chosen, there & inside(truth)
            row = (right & chosen).sum(), (~right & chosen).sum(), (~met & there).sum()
            groups[said["image"], name].append((*row, (met & there & high).sum(), (there & high).sum()))
    print("image, where: columns | F1 ± standard error | recall above the noise")
    for key, rows in sorted(groups.items()):
        value, recall, number = f1(rows)
        print(f"{key[0]:6} {key[1]:12} {number:6d} in {len(rows)} | {value:.3f} ± {spread(rows):.3f} | {recall:.3f}")


if __name__ == "__main__":
    main()
