"""Exit waves of focal series: a small network against the linear restoration, on held-out chemistries, over seeds.

    rhotem dataset make examples/datasets/series.yaml --library library --out series
    python benchmarks/exit_waves.py series NETWORK [NETWORK ...] [--split test]

Each network is one training (`rhotem dataset train series --seed n`). Relative error: |ψ − ψ_true| over
|ψ_true − mean|, root mean square over pixels at least 16 from the edge. Linear: Schiske's filter as the network gets
it; and, to favour it, with the noise and the complex factor that are the best for each row on these very pictures.
Gerchberg–Saxton's projections are the nonlinear restoration without a network: amplitudes of all images, averaged.
"""

import argparse
import time
from collections import defaultdict

import numpy as np

from rhotem.core.units import wavelength
from rhotem.learned.pictures.restore import exit_wave, linear_wave, transfer
from rhotem.learned.pictures.weights import load_weights
from rhotem.library.dataset import open_dataset

DOSES = ((2e2, 1e3), (1e3, 5e3), (5e3, 2.1e4))
NOISES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
EDGE, ROUNDS = slice(16, -16), 15


def projected(images, said, start):
    """Gerchberg–Saxton over the foci: amplitudes are replaced by measured ones, waves averaged back at the exit."""
    pixel, length = said["pixel_A"], wavelength(1e3 * said["energy_keV"])
    gy, gx = np.meshgrid(*(np.fft.fftfreq(n, pixel) for n in images.shape[-2:]), indexing="ij")
    g2 = gx**2 + gy**2
    lens = transfer(g2, length, (said["foci_nm"], said["cs_nm"], 0.0))
    passed = g2 <= (1e-3 * said["objective_mrad"] / length) ** 2
    amplitude = np.sqrt(np.maximum(images, 0.0))
    wave = np.fft.fft2(start + np.sqrt(max(images.mean(), 0.1)))
    for _ in range(ROUNDS):
        seen = np.fft.ifft2(lens * wave)
        wave = (np.conj(lens) * np.fft.fft2(amplitude * np.exp(1j * np.angle(seen)))).mean(axis=0) * passed
    found = np.fft.ifft2(wave)
    return found - found.mean()


def best_linear(rows):
    """Least relative error over noises, each with one complex factor for all pictures of a row."""
    found = []
    for place in range(len(NOISES)):
        made = [(one[place], true) for one, true in rows]
        factor = sum(np.vdot(w, t) for w, t in made) / sum(np.vdot(w, w).real for w, _ in made)
        found.append(relative([(factor * w, t) for w, t in made]))
    return min(found)


def relative(pairs):
    """Root mean square over pictures of the relative error."""
    return float(np.sqrt(np.mean([(np.abs(w - t) ** 2).sum() / (np.abs(t) ** 2).sum() for w, t in pairs])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--split", default="test")
    asked = parser.parse_args()
    networks = [load_weights(path, "focal-series") for path in asked.networks]
    rows, each, plain, turns = (defaultdict(list) for _ in range(4))
    seconds = 0.0
    for arrays, said in open_dataset(asked.dataset).pictures(asked.split):
        images, wave = arrays["images"].astype(float), arrays["wave"].astype(float)
        true = (wave[0] + 1j * wave[1])[EDGE, EDGE]
        true = true - true.mean()
        dose = next(d for d in DOSES if d[0] <= said["dose_e_per_A2"] <= d[1])

        def cut(found):
            found = found[EDGE, EDGE]
            return found - found.mean()

        for key in (dose, "all"):
            rows[key].append(([cut(linear_wave(images, said, n)) for n in NOISES], true))
            plain[key].append((cut(linear_wave(images, said)), true))
            turns[key].append((cut(projected(images, said, linear_wave(images, said))), true))
        for number, one in enumerate(networks):
            began = time.process_time()
            found = cut(exit_wave(images, said, one))
            seconds += time.process_time() - began
            for key in (dose, "all"):
                each[key, number].append((found, true))
    print(
        "e/Å² of an image: series | linear, best linear, projections | networks: mean ± standard deviation over seeds"
    )
    for key in (*DOSES, "all"):
        if not plain[key]:
            continue
        over = [relative(each[key, n]) for n in range(len(networks))]
        spread = np.std(over, ddof=1) if len(over) > 1 else float("nan")
        name = key if key == "all" else f"{key[0]:.0f}–{key[1]:.0f}"
        print(
            f"{name:12} {len(plain[key]):4d} | {relative(plain[key]):.3f} {best_linear(rows[key]):.3f} "
            f"{relative(turns[key]):.3f} | {np.mean(over):.3f} ± {spread:.3f}"
        )
    print(f"{seconds / max(len(plain['all']) * len(networks), 1):.3f} CPU s a series")


if __name__ == "__main__":
    main()
