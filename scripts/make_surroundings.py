"""Makes `uncertainty/*-surroundings.npz` beside shipped weights: lengths around atoms that weights were trained on.

`rhotem model calibrate` stores them for a run; this does it for shipped weights whose run is no longer there, from the
structures of their labels alone.

    python scripts/make_surroundings.py fast data/training/split.json data/labels/{whole,voxels,shards}
"""

import json
import sys
from pathlib import Path

from rhotem.labels.read import read_labels
from rhotem.learned.surroundings import learn, save_surroundings
from rhotem.learned.weights import find_model, fingerprint


def main(name: str, split: str, *folders: str) -> None:
    """Structures of the split's training part, in this order: the same file every time."""
    wanted = sorted(json.loads(Path(split).read_text())["parts"]["train"])
    structures = {label.name: label.structure for label in read_labels(folders, wanted)}
    missing = [name for name in wanted if name not in structures]
    known = learn(structures[name] for name in wanted if name in structures)
    weights = find_model(name)
    path = save_surroundings(weights, known, fingerprint(weights))
    print(f"{path}: {len(known.numbers)} atoms, {path.stat().st_size / 1e3:.0f} kB")
    print(f"{len(wanted) - len(missing)} of {len(wanted)} labels; missing: {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
