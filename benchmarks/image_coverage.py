"""Do the error bars of images cover the difference from DFT? Pixels of held-out structures, by detector and family.

    python benchmarks/image_coverage.py RUN [FOLDER] [MOST]

RUN is the folder of a calibrated training run (`rhotem model calibrate RUN`). For one held-out label of every family,
the smallest imaging cells first, images from the DFT label and from the model's members are simulated with atoms at
rest, along the cell vector that gives the smallest picture. Counted are pixels whose difference from DFT is within
1.645 σ (90 % intended). Below a hundredth of a per cent of the range of the image two grids differ as much; such
pixels count as covered. Every structure's result is kept in FOLDER (runs/image-coverage) and not made again.
"""

import json
import sys
from pathlib import Path
from statistics import fmean

import numpy as np

from rhotem.analysis import run
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.uncertainty import image_uncertainty
from rhotem.core import InputError
from rhotem.density.field import DensityField
from rhotem.labels.label import Label
from rhotem.learned.calibration import HALF_WIDTH, LEVEL, uncertainty_path
from rhotem.learned.source import Model
from rhotem.learned.weights import fingerprint
from rhotem.training.dataset import read_labels
from rhotem.training.error_bars.fit import family_shares, weighted_quantile

DETECTORS = ("HAADF=68-120", "ABF=11-22", "DPC=6-22", "CoM=22")
SHOWN = ("HAADF", "ABF", "iDPC", "DPCx", "DPCy", "CoMx", "CoMy")
#: nm; share of the range below which two grids differ; Å² above which a picture costs too much.
THICKNESS, NUMERICAL, LARGEST = 3.0, 1e-4, 80.0

Pixels = dict[str, np.ndarray]


def cases(folder: Path) -> list[tuple[str, Label, Specimen]]:
    """Part, label and specimen: the smallest picture of every family in the calibration and in the test part."""
    content = json.loads((folder / "config.json").read_text())
    found: dict[tuple[str, str], tuple[float, str, Label, Specimen]] = {}
    for part in ("validation", "family", "unseen"):
        for name in content.get(part, ()):
            (label,) = read_labels(content["config"]["data"]["labels"], wanted=[name])
            if not label.complete:
                continue
            cut = smallest(label)
            area = float(np.prod(cut.cell.lengths[:2])) if cut else np.inf
            if cut and area < found.get((part, label.family), (LARGEST,))[0]:
                found[part, label.family] = (area, part, label, cut)
    return [case[1:] for case in sorted(found.values(), key=lambda case: case[0])]


def smallest(label: Label) -> Specimen | None:
    """Along one of its cell vectors; none where no orthogonal cell closes."""
    preset = run.adjusted_preset("layered-oxide", detectors=DETECTORS)
    made = []
    for zone in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        try:
            made.append(
                run.specimen(label.structure, zone, basis="input", thickness=THICKNESS, preset=preset, primitive=False)
            )
        except InputError:
            continue
    return min(made, key=lambda cut: float(np.prod(cut.cell.lengths[:2])), default=None)


def pixels(source: Model, label: Label, cut: Specimen) -> Pixels:
    """Difference of the mean from DFT, σ, and the range of the DFT image, by image."""
    dft = DensityField("deformation", label.structure, label.grid, label.treated, source="DFT")
    found = image_uncertainty(cut, source, phonons=0, temperature=300.0)
    reference = run.image(cut, run.potential(cut, dft, phonons=0))
    reference = reference.resampled(max(found.mean.scan.step))
    result = {}
    for name in SHOWN:
        difference = found.mean[name] - reference[name]
        if name == "iDPC":  # its mean has no meaning
            difference = difference - difference.mean()
        result[f"{name} difference"] = np.abs(difference).ravel()
        result[f"{name} sigma"] = found.sigma[name].ravel()
        result[f"{name} range"] = np.array(np.ptp(reference[name]))
    return result


def covered(kept: Pixels, name: str, factor: float = 1.0) -> float:
    """Share of the pixels within their 90 % interval."""
    allowed = factor * HALF_WIDTH * kept[f"{name} sigma"] + NUMERICAL * kept[f"{name} range"]
    return float((kept[f"{name} difference"] <= allowed).mean())


def needed(kept: list[Pixels], families: list[str], name: str) -> float:
    """Factor on σ that makes 90 % intervals hold, every family counting alike."""
    excess = [np.maximum(k[f"{name} difference"] - NUMERICAL * k[f"{name} range"], 0.0) for k in kept]
    ratio = [e / (HALF_WIDTH * k[f"{name} sigma"] + 1e-30) for e, k in zip(excess, kept, strict=True)]
    return weighted_quantile(np.concatenate(ratio), family_shares(families, ratio), LEVEL)


def main() -> None:
    """Print tables."""
    folder = Path(sys.argv[1])
    keep = Path(sys.argv[2] if len(sys.argv) > 2 else "runs/image-coverage")
    most = int(sys.argv[3]) if len(sys.argv) > 3 else 100
    keep.mkdir(parents=True, exist_ok=True)
    source = Model(str(folder), positive="off")
    weights, calibration = fingerprint(source.path)[:12], fingerprint(uncertainty_path(source.path))[:12]
    trained = source.header["info"].get("labels", "?")
    print(f"weights {weights}, {trained} labels, calibration {calibration}; {THICKNESS:g} nm, atoms at rest")
    print(f"{'part, family, formula':40s} cell Å      " + "".join(f"{name:>8s}" for name in SHOWN))
    rows: list[tuple[str, str, Pixels]] = []
    for part, label, cut in cases(folder)[:most]:
        path = keep / f"{label.name}-{weights}-{calibration}.npz"
        if not path.exists():
            np.savez(path, **pixels(source, label, cut))
        with np.load(path) as data:
            rows.append((part, label.family, dict(data)))
        lengths = "{:.1f} x {:.1f}".format(*cut.cell.lengths[:2])
        words = "".join(f"{100 * covered(rows[-1][2], name):7.0f}%" for name in SHOWN)
        print(f"{f'{part} {label.family} {label.formula}':40s} {lengths:11s} {words}", flush=True)
    print(f"{'mean':52s} " + "".join(f"{100 * fmean(covered(r[2], n) for r in rows):7.0f}%" for n in SHOWN))
    watched = [r for r in rows if r[0] == "validation"]
    test = [r for r in rows if r[0] != "validation"]
    if len(watched) < 3 or not test:
        return
    factors = {n: needed([r[2] for r in watched], [r[1] for r in watched], n) for n in SHOWN}
    print(f"{'factor on σ from the validation part':52s} " + "".join(f"{factors[n]:8.2f}" for n in SHOWN))
    after = {n: fmean(covered(r[2], n, factors[n]) for r in test) for n in SHOWN}
    print(f"{'with it, mean over the others':52s} " + "".join(f"{100 * after[n]:7.0f}%" for n in SHOWN))


if __name__ == "__main__":
    main()
