"""Sharp parts of a learned density in the potential, in memory and by way of the disk: CPU seconds over atoms.

LiCoO2 with 2 % Li vacancies and displaced atoms, slices of 2 Å, pixels of 0.045 Å. "Fourier": every atom at every
coefficient up to 8 1/Å, by matrix products (rhotem.density.one_centre). "closed": Gaussians in closed form
(rhotem.potential.sharp); "again" is what a second frozen-phonon configuration takes. "disk": rhotem.potential.stream.

Run: OMP_NUM_THREADS=1 python benchmarks/sharp.py [--sizes 96 191 573 2388] [--fourier-up-to 200]
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from rhotem.core import PeriodicGrid
from rhotem.learned.planes import stream
from rhotem.learned.source import Model
from rhotem.potential import build_potential, sharp
from rhotem.potential.stream import stream_potential
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell
from scaling import licoo2


def timed(work) -> float:
    """CPU seconds of ``work()``."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 191, 573, 2388])
    parser.add_argument("--fourier-up-to", type=int, default=200)
    given = parser.parse_args()
    model = Model(positive="off")
    print("atoms  Fourier  closed  again   disk   (CPU s)")
    for size in [24, *given.sizes]:  # the first compiles and loads
        structure = Structure(licoo2(size))
        cell = ImagingCell.from_orthogonal(structure)
        lx, ly, lz = cell.lengths
        grid = PeriodicGrid(structure.cell, (int(lx / 0.045), int(ly / 0.045), int(np.ceil(lz / 2))))
        field = model(structure, PeriodicGrid.from_spacing(structure.cell, model.spacing))
        sharp.PAIRS = np.inf
        whole = size <= given.fourier_up_to
        build = partial(build_potential, cell, grid, field)
        fourier = timed(build) if whole else np.nan
        sharp.PAIRS = 0.0
        closed, again = timed(build), timed(build)
        planes = stream(model, structure)
        with tempfile.TemporaryDirectory() as folder:
            disk = timed(partial(stream_potential, planes, grid, Path(folder) / "v.zarr"))
        print(f"{len(structure):5d} {fourier:8.2f} {closed:7.2f} {again:6.2f} {disk:6.2f}", flush=True)


if __name__ == "__main__":
    main()
