"""What pooling of two models' densities gains: errors of w · FIRST + (1 − w) · SECOND on held-out labels.

    python benchmarks/pooling.py default gated data/training/split-elements.json [OLDER_SPLIT.json]

Also with w for waves of low |g| alone, which the potential sees: exp(−2π²σ²g²) w. Some 20 million voxels: six
minutes of a core for the gated readout.
"""

import sys
from pathlib import Path
from statistics import fmean

import numpy as np

from rhotem.labels.score import score_label
from rhotem.labels.splits import read_split
from rhotem.learned.model import load_model
from rhotem.training.dataset import read_labels

LABELS = [Path(__file__).parents[1] / "data" / "labels" / kind for kind in ("whole", "voxels", "shards")]
SHARES, SIGMA = (0.0, 0.15, 0.25, 0.33, 0.5, 0.75, 1.0), 0.5


def main(first: str, second: str, split: str, older: str = "") -> None:
    parts, old = read_split(Path(split)), set(read_split(Path(older))["test"]) if older else set()
    models = [load_model(name)[0] for name in (first, second)]
    for model in models:
        model.newcomers = None
    rows = []
    for part in ("test", "validation", "elements", "rattled"):
        for label in read_labels(LABELS, wanted=parts[part]):
            s = label.structure
            a, b = (m.readout.values(m.readout.prepare(s), s, label.grid) for m in models)
            cases = {f"w = {w:g}": w * a + (1.0 - w) * b for w in SHARES}
            low = below(a - b, label.grid)
            cases |= {f"low |g|, w = {w:g}": b + w * low for w in (0.5, 1.0)}
            scores = {name: score_label(values, label) for name, values in cases.items()}
            rows.append((part, label, scores))
            print(part, label.formula, end="  ", file=sys.stderr, flush=True)
    sets = {
        "in family": lambda part, label: part == "test",
        "the cells before": lambda part, label: part == "test" and label.name in old,
        "interfaces": lambda part, label: label.family == "interface",
        "validation": lambda part, label: part == "validation",
        "elements of few labels": lambda part, label: part == "elements",
        "copies": lambda part, label: part == "rattled",
    }
    chosen = {title: [r for r in rows if wanted(*r[:2])] for title, wanted in sets.items()}
    print("\n| Δn, potential | " + " | ".join(f"{t} ({len(r)})" for t, r in chosen.items()) + " |")
    print("|---" * (len(chosen) + 1) + "|")
    for case in rows[0][2]:
        print(f"| {case} | " + " | ".join(shown(own, case) for own in chosen.values()) + " |")


def below(values: np.ndarray, grid) -> np.ndarray:
    """The waves of low |g| of a field."""
    h = np.stack(np.meshgrid(*(np.rint(np.fft.fftfreq(n) * n) for n in grid.shape), indexing="ij"), -1)
    squared = ((h @ grid.reciprocal) ** 2).sum(-1)
    return np.fft.ifftn(np.fft.fftn(values) * np.exp(-2.0 * np.pi**2 * SIGMA**2 * squared)).real


def shown(rows: list, case: str) -> str:
    """Mean errors; the potential's of labels that tell it."""
    if not rows:
        return "–"
    told = [s[case].potential_error_ratio for _, label, s in rows if label.has_coefficients]
    density = fmean(s[case].deformation_error for _, _, s in rows)
    return f"{density:.3f}, {fmean(told):.3f}" if told else f"{density:.3f}, –"


if __name__ == "__main__":
    main(*sys.argv[1:])
