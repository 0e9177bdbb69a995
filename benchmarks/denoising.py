"""Noise taken out of pictures: a small network against Gaussian blur, BM3D and non-local means, over seeds.

    rhotem dataset make examples/datasets/pairs.yaml --library library --out pairs
    python benchmarks/denoising.py pairs NETWORK [NETWORK ...] [--split test] [--step 1]

Chemistries are held out. Each network is one training (`rhotem dataset train pairs --seed n`). Relative error: root
mean square of the difference from what is expected there, over the standard deviation of that. The others are favoured:
for each row the blur, or the σ that they are told (times that of the noise, which is known here), is the best of a few
on these very pictures. BM3D and non-local means see square roots of counts (Anscombe), save for iDPC, whose noise is
not white.
"""

import argparse
import time
from collections import defaultdict

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.restoration import denoise_nl_means

from bm3d import bm3d
from rhotem.learned.pictures.restore import denoised, filtered
from rhotem.learned.pictures.weights import load_weights
from rhotem.library.dataset import open_dataset

DOSES = ((3e3, 3e4), (3e4, 3.1e5))
BLURS, TOLD, TRUSTS = (0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0), (1.0, 1.5), (1.0, 2.0, 4.0, 6.0)
EDGE = slice(6, -6)


def stabilised(image, electrons):
    """Counts with noise of variance 1, and the way back to fractions (unbiased for large counts)."""
    values = 2 * np.sqrt(np.maximum(image * electrons, 0) + 0.375)
    return values, lambda found: ((found / 2) ** 2 - 0.125) / electrons


def others(image, clean, said):
    """Results of the other ways by name and setting."""
    made = {("Wiener", one): filtered(image, (one,))[0] for one in TRUSTS}
    made |= {("Gaussian", blur): gaussian_filter(image, blur / said["pixel_A"], mode="nearest") for blur in BLURS}
    if said["image"] == "iDPC":
        values, back, sigma = image, lambda found: found, float((image - clean).std())
    else:
        values, back = stabilised(image, said["dose_e_per_A2"] * said["pixel_A"] ** 2)
        sigma = 1.0
    for told in TOLD:
        made["BM3D", told] = back(bm3d(values, told * sigma))
        made["non-local means", told] = back(
            denoise_nl_means(values, 5, 9, h=0.7 * told * sigma, sigma=told * sigma, fast_mode=True)
        )
    return made


def relative(found, clean):
    """Relative error of one picture, without its edge."""
    found, clean = found[EDGE, EDGE], clean[EDGE, EDGE]
    return float(np.sqrt(np.mean((found - clean) ** 2)) / clean.std())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--split", default="test")
    parser.add_argument("--step", type=int, default=1)
    asked = parser.parse_args()
    networks = [load_weights(path, "denoising") for path in asked.networks]
    simple, learned = (defaultdict(lambda: defaultdict(list)) for _ in range(2))
    raw, seconds, number = defaultdict(list), 0.0, 0
    for place, (arrays, said) in enumerate(open_dataset(asked.dataset).pictures(asked.split)):
        if place % asked.step:
            continue
        image, clean = arrays["image"].astype(float), arrays["clean"].astype(float)
        key = said["image"], next(d for d in DOSES if d[0] <= said["dose_e_per_A2"] <= d[1])
        raw[key].append(relative(image, clean))
        for name, found in others(image, clean, said).items():
            simple[key][name].append(relative(found, clean))
        for seed, one in enumerate(networks):
            began = time.process_time()
            found = denoised(image, one)
            seconds, number = seconds + time.process_time() - began, number + 1
            learned[key][seed].append(relative(found, clean))
    names = ("Gaussian", "Wiener", "non-local means", "BM3D")
    print(f"image, e/Å²: pictures | noisy | {' '.join(names)} | networks, mean ± standard deviation over seeds")
    for key in sorted(raw):
        best = [min(np.mean(v) for (name, _), v in simple[key].items() if name == wanted) for wanted in names]
        over = [np.mean(learned[key][seed]) for seed in range(len(networks))]
        spread = np.std(over, ddof=1) if len(over) > 1 else float("nan")
        print(
            f"{key[0]:6} {key[1][0]:.0f}–{key[1][1]:.0f}: {len(raw[key]):4d} | {np.mean(raw[key]):6.2f} | "
            f"{' '.join(f'{b:.3f}' for b in best)} | {np.mean(over):.3f} ± {spread:.3f}"
        )
    print(f"{seconds / max(number, 1):.3f} CPU s a picture")


if __name__ == "__main__":
    main()
