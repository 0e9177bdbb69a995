"""MRC files of images (MRC2014): 32-bit, pixel size in Å in the header."""

from pathlib import Path

import numpy as np

from rhotem.core.packages import require
from rhotem.microscope.formats.signal import Signal

#: Characters that a label of an MRC header holds.
LABEL = 80


def write_mrc(signal: Signal, path: Path) -> None:
    """Row 0 is the top of the picture and lies first in the file; IMOD and Fiji's MRC reader show it at the bottom.

    Raises
    ------
    MissingDependencyError
        Without mrcfile.
    """
    require("mrcfile", extra="export", what="MRC files")
    import mrcfile

    data, (y, x) = signal.in_rows()
    with mrcfile.new(str(path), overwrite=True) as file:
        file.set_data(data.astype(np.float32))
        file.voxel_size = (x.step, y.step, 1.0)
        file.header.origin = (x.offset, y.offset, 0.0)
        file.add_label(f"{signal.name} in {signal.quantity}, RhoTEM".encode("ascii", "replace").decode()[:LABEL])
