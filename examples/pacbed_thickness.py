"""Position-averaged patterns at any thickness, aperture and mistilt from one propagation.

    python examples/pacbed_thickness.py [patterns.png]

SrTiO3 along [001], 200 kV, free atoms, atoms at rest: a montage of thickness and mistilt.
"""

import sys
import time
from pathlib import Path

import numpy as np

from rhotem.analysis import patterns, run
from rhotem.analysis.montage import draw_montage

HERE = Path(__file__).parent
THICKNESSES = [3.0, 6.0, 9.0, 12.0]
TILTS = [0.0, 1.0, 2.0, 4.0]


def main() -> None:
    """Make and draw it."""
    preset = run.adjusted_preset("pacbed", energy=200.0, convergence=13.6, detectors=["PACBED=30"], camera_step=0.8)
    cut = run.specimen(run.structure(HERE / "SrTiO3.cif"), zone=(0, 0, 1), thickness=12, preset=preset)
    potentials = run.potential(cut, run.density(cut, "free-atoms"), phonons=0)
    held = patterns.patterns(cut, potentials, tilt=max(TILTS), announce=print)
    start = time.process_time()
    rows = [held.pacbed(thickness=[10.0 * t for t in THICKNESSES], tilt=(tilt, 0.0)) for tilt in TILTS]
    step = held.step
    tiles = [
        [(np.log10(np.maximum(row[n], 1e-5)), (step[0] * row.shape[1], step[1] * row.shape[2])) for row in rows]
        for n in range(len(THICKNESSES))
    ]
    path = sys.argv[1] if len(sys.argv) > 1 else "patterns.png"
    labels = [f"{t:g} nm" for t in THICKNESSES], [f"{t:g} mrad" for t in TILTS]
    draw_montage(tiles, path, rows=labels[0], columns=labels[1], title="PACBED: mistilt to the right (log scale)")
    print(f"{len(THICKNESSES) * len(TILTS)} patterns and the picture: {time.process_time() - start:.1f} CPU s; {path}")


if __name__ == "__main__":
    main()
