"""Do the error bars of images cover the difference from DFT? Pixels of held-out structures.

    python benchmarks/image_coverage.py RUN [STRUCTURES] [NM]

RUN is the folder of a calibrated training run (`rhotem model calibrate RUN`). For held-out labels, one of every family,
images from the DFT label and from the model's members are simulated with atoms at rest, and the share of pixels counted
whose difference is within 1.645 σ (90 % intended). As small a difference as that of two grids is not asked for: a
pixel also counts if it differs by less than 0.01 % of the range of the image.
"""

import json
import sys
from pathlib import Path
from statistics import fmean

import numpy as np

from rhotem.analysis import run
from rhotem.analysis.uncertainty import PIXEL, image_uncertainty
from rhotem.core import InputError
from rhotem.density.field import DensityField
from rhotem.models.dataset import Label, read_label
from rhotem.models.source import Model
from rhotem.models.uncertainty import HALF_WIDTH

NUMERICAL = 1e-4
SHOWN = ("HAADF", "ABF", "iDPC", "DPCx", "DPCy")


def held_out(folder: Path) -> list[Label]:
    """One label of every family that the run was not trained on."""
    content = json.loads((folder / "config.json").read_text())
    names = [*content["family"], *content["unseen"]]
    found: dict[str, Label] = {}
    for place in content["config"]["data"]["labels"]:
        for name in names:
            path = Path(place) / f"{name}.npz"
            if path.exists() and (label := read_label(path)).family not in found:
                found[label.family] = label
    return list(found.values())


def coverage(source: Model, label: Label, thickness: float) -> dict[str, float]:
    """Share of the pixels within their 90 % interval, by image."""
    cut = run.specimen(label.structure, thickness=thickness, primitive=False)
    dft = DensityField("deformation", label.structure, label.grid, label.deformation, source="DFT")
    found = image_uncertainty(cut, source, phonons=0, temperature=300.0)
    reference = run.image(cut, run.potential(cut, dft, phonons=0)).resampled(PIXEL)
    result = {}
    for name in SHOWN:
        difference = np.abs(found.mean[name] - reference[name])
        allowed = HALF_WIDTH * found.sigma[name] + NUMERICAL * np.ptp(reference[name])
        result[name] = float((difference <= allowed).mean())
    return result


def main() -> None:
    """Print a table."""
    folder = Path(sys.argv[1])
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 6
    thickness = float(sys.argv[3]) if len(sys.argv) > 3 else 3.0
    source = Model(str(folder), positive="off")
    rows = []
    print("held out                  " + "".join(f"{name:>8s}" for name in SHOWN))
    for label in held_out(folder):
        if len(rows) == most:
            break
        try:
            rows.append(coverage(source, label, thickness))
        except InputError as problem:
            print(f"{label.family} {label.formula}: left out, {problem}")
            continue
        words = "".join(f"{100 * rows[-1][name]:7.1f}%" for name in SHOWN)
        print(f"{label.family + ' ' + label.formula:26s}{words}", flush=True)
    print(f"{'mean':26s}" + "".join(f"{100 * fmean(row[name] for row in rows):7.1f}%" for name in SHOWN))


if __name__ == "__main__":
    main()
