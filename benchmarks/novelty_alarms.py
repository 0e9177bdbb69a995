"""How novel strained crystals are, and how often held-out labels are called so: docs/uncertainty.md.

python benchmarks/novelty_alarms.py [SPLIT LABELS ...]
"""

import json
import sys
from pathlib import Path

import numpy as np

from rhotem.labels.read import read_labels
from rhotem.learned.outside import remarks
from rhotem.learned.source import Model
from rhotem.structure.model import Structure
from rhotem.structure.phases import names, phase

DATA = ("data/training/split.json", "data/labels/whole", "data/labels/voxels", "data/labels/shards")
#: Strains that are told.
FACTORS = (0.75, 0.85, 0.9, 0.95, 1.05, 1.1, 1.15, 1.25)


def strained(name: str, factor: float, axis: int | None = None) -> Structure:
    """A ready phase with its cell scaled, or one axis of it."""
    atoms = phase(name).atoms.copy()
    cell = atoms.cell.array.copy()
    cell[slice(None) if axis is None else axis] *= factor
    atoms.set_cell(cell, scale_atoms=True)
    return Structure(atoms)


def main(split: str = DATA[0], *places: str) -> None:
    model = Model()
    known = set(model.model.settings.elements)

    def novelty(structure: Structure) -> float:
        return float(remarks(model, structure)["novelty"]["value"])

    print("| × | " + " | ".join(f"{f:g}" for f in FACTORS) + " |\n|" + "---|" * (len(FACTORS) + 1))
    for name in ("Li", "Na", "Si", "Li2O", "LiF", "NaF", "LiCoO2", "TiO2", "LiFePO4"):
        print(f"| {name} | " + " | ".join(f"{novelty(strained(name, f)):.1f}" for f in FACTORS) + " |")
    layers = [(d, novelty(strained("graphite", d / 3.35, 2))) for d in (2.4, 2.8, 3.0, 3.35, 4.2, 5.0, 6.0)]
    print("graphite, layers apart (Å): " + ", ".join(f"{d:g}: {n:.1f}" for d, n in layers))
    rng, ordinary = np.random.default_rng(2), []
    for name in names():
        crystal = phase(name)
        if set(crystal.numbers.tolist()) <= known:
            moved = crystal.atoms.repeat(2 if len(crystal) < 12 else 1)
            moved.positions += rng.normal(0.0, 0.085, moved.positions.shape)
            rows = (crystal, strained(name, 0.98), strained(name, 1.02), Structure(moved))
            ordinary += [(novelty(s), name) for s in rows]
    print(f"ready phases, strained by 2 %, moved by 0.085 Å: largest {sorted(ordinary)[-3:]}")
    parts = json.loads(Path(split).read_text())["parts"]
    for part in ("test", "validation"):
        labels = [x for x in read_labels(places or DATA[1:], parts[part]) if set(x.structure.numbers.tolist()) <= known]
        rows = sorted(((novelty(x.structure), x.formula, x.family) for x in labels), reverse=True)
        print(f"{part}: {sum(r[0] >= 1 for r in rows)} of {len(rows)} at 1 or more:")
        print("  " + ", ".join(f"{formula} {family} {n:.1f}" for n, formula, family in rows if n >= 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
