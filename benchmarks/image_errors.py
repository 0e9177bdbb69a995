"""Errors of images by density, free atoms 1: held-out labels, models beside each other, atoms at rest.

    python benchmarks/image_errors.py RUN MOST MODEL [MODEL ...]

RUN is the folder of a training run, which says what was held out; of every family the label with the smallest imaging
cell, MOST of them. Per detector Σ(image − DFT's)² over Σ(free atoms' − DFT's)², square root; and CPU seconds of the
density. HAADF hardly sees bonding and is left out.
"""

import sys
import time
from pathlib import Path
from statistics import fmean, median

import numpy as np

from image_coverage import cases
from rhotem.analysis import run
from rhotem.analysis.specimen import Specimen
from rhotem.density.field import DensityField
from rhotem.density.source import get_source
from rhotem.learned.source import Model

SHOWN = ("ABF", "iDPC", "DPCx", "DPCy", "CoMx", "CoMy")


def main(folder: str, most: str, *names: str) -> None:
    models = {name: Model(name, novelty=False) for name in names}
    errors: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    print(f"| part, family, formula | model | {' | '.join(SHOWN)} | CPU s |\n|{'---|' * (len(SHOWN) + 3)}")
    for part, label, cut in cases(Path(folder))[: int(most)]:
        dft = DensityField("deformation", label.structure, label.grid, label.treated, source="DFT")
        reference, free = pictures(cut, dft), pictures(cut, get_source("free-atoms")(label.structure, label.grid))
        for name, model in models.items():
            began = time.process_time()
            field = model(label.structure, run.density_grid(model, label.structure))
            spent, found = time.process_time() - began, pictures(cut, field)
            row = {n: float(rms(found[n] - reference[n]) / rms(free[n] - reference[n])) for n in SHOWN}
            row = {n: value for n, value in row.items() if rms(free[n] - reference[n]) > 1e-5 * np.ptp(reference[n])}
            errors[name].append(row)
            words = " | ".join(f"{row[n]:.3f}" if n in row else "–" for n in SHOWN)
            print(f"| {part}, {label.family}, {label.formula} | {name} | {words} | {spent:.1f} |", flush=True)
    for name, rows in errors.items():
        each = [[row[n] for row in rows if n in row] for n in SHOWN]
        print(f"| mean (median) | {name} | {' | '.join(f'{fmean(e):.3f} ({median(e):.3f})' for e in each)} | |")


def pictures(cut: Specimen, field: DensityField) -> dict[str, np.ndarray]:
    """Images by detector; what has no meaning in a mean is taken off."""
    image = run.image(cut, run.potential(cut, field, phonons=0))
    return {n: image[n] - (image[n].mean() if n == "iDPC" else 0.0) for n in SHOWN}


def rms(values: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


if __name__ == "__main__":
    main(*sys.argv[1:])
