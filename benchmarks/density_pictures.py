"""Does it matter of which density training pictures are: free atoms or learned, read on pictures of learned ones.

    python benchmarks/density_pictures.py DATASET --free NETWORK ... --learned NETWORK ... [--split test] [--step 1]

DATASET has learned densities. Networks of both lists are trainings with the same pictures but for the density (same
plan, `density` of the campaigns), in the same order of seeds. F1 and species of each list, mean ± standard deviation
over seeds, and the mean of the differences, learned less free, with its standard error. The threshold is 0.3 for
all, so that calibration has no part in it.
"""

import argparse
from collections import defaultdict

import numpy as np

from rhotem.learned.pictures import load_weights
from rhotem.learned.pictures.score import Score, compare
from rhotem.learned.pictures.segment import from_logits, logits
from rhotem.learned.pictures.view import view
from rhotem.library.dataset import open_dataset

THRESHOLD = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--free", nargs="+", required=True)
    parser.add_argument("--learned", nargs="+", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--step", type=int, default=1)
    asked = parser.parse_args()
    networks = {
        (name, n): load_weights(path)
        for name, paths in (("free", asked.free), ("learned", asked.learned))
        for n, path in enumerate(paths)
    }
    scores = defaultdict(Score)
    for place, (arrays, said) in enumerate(open_dataset(asked.dataset).pictures(asked.split)):
        if place % asked.step:
            continue
        pixel = said["pixel_A"]
        image = arrays["image"]
        for (name, n), weights in networks.items():
            seen = view(image, pixel, said["image"], weights.inputs)
            found = from_logits(logits(seen, weights), pixel, {**weights.header, "threshold": THRESHOLD})
            compare(scores[said["image"], name, n], found, arrays["table"], pixel, image.shape)
    print("image: F1 of free | learned | difference; species of free | learned | difference")
    for image in sorted({key[0] for key in scores}):
        told = []
        for what in ("f1", "accuracy"):
            free, learned = (
                np.array([getattr(scores[image, name, n], what) for n in range(len(paths))])
                for name, paths in (("free", asked.free), ("learned", asked.learned))
            )
            apart = learned - free
            error = apart.std(ddof=1) / np.sqrt(len(apart))
            told.append(
                f"{free.mean():.3f} ± {free.std(ddof=1):.3f} | {learned.mean():.3f} ± {learned.std(ddof=1):.3f} | "
                f"{apart.mean():+.3f} ± {error:.3f}"
            )
        print(f"{image:6}: {'; '.join(told)}")


if __name__ == "__main__":
    main()
