"""A montage of defocus and thickness from one propagation.

    python examples/defocus_thickness.py [montage.png]

LiCoO2 along [100], free atoms, atoms at rest: 13 foci at 5 thicknesses, 65 images of each detector.
"""

import sys
import time
from pathlib import Path

import numpy as np

from rhotem.analysis import responses, run
from rhotem.scattering.response import Range

HERE = Path(__file__).parent
THICKNESSES = [2.0, 4.0, 6.0, 8.0, 10.0]


def main() -> None:
    """Make and draw it."""
    cut = run.specimen(run.structure(HERE / "LiCoO2.cif"), zone=(1, 0, 0), thickness=10)
    potentials = run.potential(cut, run.density(cut, "free-atoms"), phonons=0)
    held = responses.response(
        cut, potentials, thicknesses=THICKNESSES, range=Range(defocus=(-60, 60)), edges=[], announce=print
    )
    start = time.process_time()
    path = sys.argv[1] if len(sys.argv) > 1 else "montage.png"
    depths = [0.1 * t for t in held.thicknesses]
    responses.montage(held, "ABF", path, thicknesses=np.round(depths, 2), defocus=np.linspace(-6, 6, 13))
    print(f"65 settings and the picture: {time.process_time() - start:.1f} CPU s; {path}")


if __name__ == "__main__":
    main()
