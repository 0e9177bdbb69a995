"""Charge that layers at interfaces exchange, in labels and as predicted: held-out interfaces with whole grids.

    python benchmarks/layer_charges.py [MODEL ...]

A layer ends halfway between the outermost atoms of both crystals. Of Δn averaged over the planes: the charge of the
lower layer per area, and the step between the mean potentials of both layers that Δn makes (free atoms have neither).
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rhotem.labels.label import Label
from rhotem.labels.read import read_labels
from rhotem.labels.splits import read_split
from rhotem.learned.model import load_model

DATA = Path(__file__).parents[1] / "data"
#: e/ε0 in V Å.
E_OVER_EPS0 = 180.9512


def profile(values: npt.NDArray) -> npt.NDArray[np.float64]:
    """Mean over the planes across the third axis, e/Å³."""
    return np.asarray(values, dtype=float).mean((0, 1))


def charge_and_step(
    density: npt.NDArray[np.float64], height: float, inside: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """Charge of the layer ``inside`` per area (e/nm²), and how far its mean potential lies above the other's (V)."""
    frequencies = np.fft.fftfreq(len(density), height / len(density))
    waves = np.fft.fft(-density)  # charge
    waves[1:] *= E_OVER_EPS0 / (2.0 * np.pi * frequencies[1:]) ** 2
    waves[0] = 0.0
    potential = np.fft.ifft(waves).real
    charge = -float(density[inside].sum()) * height / len(density)
    return 100.0 * charge, float(potential[inside].mean() - potential[~inside].mean())


def lower_layer(label: Label) -> npt.NDArray[np.bool_]:
    """Planes of the grid in the lower crystal, which begins half a gap below its first atom."""
    elements = [set(phase["elements"]) for phase in label.meta["phases"]]
    symbols = np.array(label.structure.atoms.get_chemical_symbols())
    normal = np.cross(*label.structure.cell[:2])
    z = label.structure.positions @ (normal / np.linalg.norm(normal))
    height = label.structure.volume / np.linalg.norm(normal)
    order = np.argsort(z)
    gap = float(label.meta["interface"]["gap"])
    jumps = [
        k
        for k in range(1, len(order))
        if abs(z[order[k]] - z[order[k - 1]] - gap) < 0.5
        and set(symbols[order[:k]]) <= elements[0]
        and set(symbols[order[k:]]) <= elements[1]
    ]
    k = min(jumps, key=lambda k: abs(z[order[k]] - z[order[k - 1]] - gap))
    middle = 0.5 * (z[order[k]] + z[order[k - 1]])
    planes = np.arange(label.grid.shape[2]) / label.grid.shape[2] * height
    return planes < middle


def main(*names: str) -> None:
    parts = read_split(DATA / "training" / "split.json")
    wanted = {*parts["test"], *parts["validation"]}
    labels = list(read_labels([DATA / "labels" / "whole", DATA / "labels" / "shards"], wanted))
    labels = [x for x in labels if x.family == "interface" and x.complete and "phases" in x.meta]
    models = {name: load_model(name)[0] for name in names or ("default",)}
    print("| interface | charge of the lower layer, e/nm², label | " + " | ".join(models), end="")
    print(" | step, V, label | " + " | ".join(models) + " |")
    print("|---" * (3 + 2 * len(models)) + "|")
    off: list[Sequence[tuple[float, float]]] = []
    for label in labels:
        inside = lower_layer(label)
        area = np.linalg.norm(np.cross(*label.structure.cell[:2]))
        fields = [label.treated]
        for model in models.values():
            fields.append(model.readout.values(model.readout.prepare(label.structure), label.structure, label.grid))
        found = [charge_and_step(profile(f), label.structure.volume / area, inside) for f in fields]
        off.append([(c - found[0][0], s - found[0][1]) for c, s in found])
        cells = [f"{c:+.2f}" for c, _ in found] + [f"{s:+.2f}" for _, s in found]
        print(f"| {' on '.join(''.join(p['elements']) for p in label.meta['phases'])} | {' | '.join(cells)} |")
    for k, name in enumerate(models, 1):
        charge, step = np.abs(np.array([row[k] for row in off])).mean(0)
        print(f"{name}: off by {charge:.2f} e/nm² and {step:.2f} V in the mean of {len(off)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
