"""Head of a Gaussian cube: atoms and the box that its grid fills, as one period.

gaussian.com/cubegen: number of atoms and origin, three axes with numbers of points (negative: Å, else Bohr), atoms.
"""

import numpy as np

from rhotem.core import InputError
from rhotem.core.units import BOHR
from rhotem.structure.read.contents import Contents, Text
from rhotem.structure.read.elements import of_symbol


def read_cube(text: Text) -> Contents:
    """Structure of a cube.

    Raises
    ------
    InputError
        A head that is none; dummy atoms.
    """
    text.need("a title")
    text.need("a second title")
    count = abs(text.ints("the number of atoms and the origin", 1)[0])
    axes = np.array([text.floats(f"grid axis {i}: points and step", 4) for i in (1, 2, 3)])
    points = axes[:, :1]
    if (points == 0).any() or (points != np.rint(points)).any():
        raise text.fail("a number of points")
    unit = np.where(points < 0, 1.0, BOHR)
    symbols, positions = [], []
    for n in range(count):
        values = text.floats(f"atom {n + 1} of {count}: Z, charge, x y z", 5)
        reading = of_symbol(str(int(values[0]))) if values[0] == int(values[0]) else None
        if reading is None:
            raise InputError(f"{text.path}: atom {n + 1} has atomic number {values[0]:g}, not among H to Cm")
        symbols.append(reading.symbol)
        positions.append(values[2:])
    if not symbols:
        raise InputError(f"{text.path}: lists no atoms")
    return Contents(np.abs(points) * axes[:, 1:] * unit, np.array(positions) * float(unit[0, 0]), tuple(symbols))
