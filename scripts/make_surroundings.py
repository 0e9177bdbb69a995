"""Makes `src/rhotem/learned/shipped/uncertainty/*-surroundings.npz`: lengths around atoms that weights were trained on.

`rhotem model calibrate` stores them for a run; this does it for shipped weights whose run is no longer there, from the
structures of their labels alone.

    python scripts/make_surroundings.py data/training/split.json data/labels/voxels data/labels/whole FIRST

FIRST: folder of the project's first labels (`data/labels/README.md`).
"""

import json
import sys
from pathlib import Path

from rhotem.labels.record import read_record
from rhotem.learned.calibration import fingerprint
from rhotem.learned.surroundings import learn, save_surroundings
from rhotem.learned.weights import find_model


def main(split: str, *folders: str) -> None:
    """Structures of the split's training part, in this order: the same file every time."""
    wanted = sorted(json.loads(Path(split).read_text())["parts"]["train"])
    paths = {path.stem: path for folder in folders for path in sorted(Path(folder).glob("*.npz"))}
    missing = [name for name in wanted if name not in paths]
    known = learn(read_record(paths[name]).structure for name in wanted if name in paths)
    for name in ("default", "fast"):  # trained on the same labels
        weights = find_model(name)
        path = save_surroundings(weights, known, fingerprint(weights))
        print(f"{path}: {len(known.numbers)} atoms, {path.stat().st_size / 1e3:.0f} kB")
    print(f"{len(wanted) - len(missing)} of {len(wanted)} labels; missing: {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
