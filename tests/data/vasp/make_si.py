"""Makes `Si.npz` from VASP's Si CHGCAR, AECCAR1 and AECCAR2: the same grids in single precision, 1.5 MB, not 4.7.

python make_si.py FOLDER_WITH_Si.CHGCAR.gz_Si.AECCAR1.gz_Si.AECCAR2.gz
"""

import sys
from pathlib import Path

import numpy as np

from rhotem.density.files import read_density

folder = Path(sys.argv[1])
raw = {name: read_density(folder / f"Si.{name}.gz") for name in ("CHGCAR", "AECCAR1", "AECCAR2")}
structure = raw["CHGCAR"].structure
np.savez_compressed(
    Path(__file__).parent / "Si.npz",
    cell=structure.cell,
    numbers=structure.numbers,
    positions=structure.positions,
    **{name: r.values.astype(np.float32) for name, r in raw.items()},
)
