"""Lattices of Quantum ESPRESSO by their index ``ibrav``: primitive vectors from sides and cosines.

Quantum ESPRESSO, INPUT_PW, "ibrav". The vectors matter, not the lattice alone: positions are fractions of them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.contents import Floats

Rows = Sequence[Sequence[float]]


class Sides(NamedTuple):
    """Sides in Å of the conventional cell, and cosines of the angles between b and c, a and c, a and b."""

    a: float
    b: float
    c: float
    bc: float
    ac: float
    ab: float

    @property
    def sine(self) -> float:
        """Of the one angle that is not right, of monoclinic lattices."""
        return float(np.sqrt(1 - (self.ab or self.ac) ** 2))


class Lattice(NamedTuple):
    """What a lattice needs beside a (``b``, ``c``, ``bc``, ``ac``, ``ab``), and its vectors as rows."""

    needs: tuple[str, ...]
    vectors: Callable[[Sides], Rows]


def _star(s: Sides) -> tuple[float, float, float]:
    """Components tx, ty, tz of the three-fold star of a rhombohedron, over a."""
    x, y, z = np.sqrt([(1 - s.ab) / 2, (1 - s.ab) / 6, (1 + 2 * s.ab) / 3])
    return s.a * float(x), s.a * float(y), s.a * float(z)


def _rhombohedral(s: Sides) -> Rows:
    x, y, z = _star(s)
    return ((x, -y, z), (0, 2 * y, z), (-x, -y, z))


def _rhombohedral_111(s: Sides) -> Rows:
    _, y, z = _star(s)
    u, v = (z - 2 * np.sqrt(2) * y) / np.sqrt(3), (z + np.sqrt(2) * y) / np.sqrt(3)
    return ((u, v, v), (v, u, v), (v, v, u))


def _triclinic(s: Sides) -> Rows:
    sine = np.sqrt(1 - s.ab**2)
    height = np.sqrt(max(1 + 2 * s.bc * s.ac * s.ab - s.bc**2 - s.ac**2 - s.ab**2, 0.0)) / sine
    across = (s.bc - s.ac * s.ab) / sine
    return ((s.a, 0, 0), (s.b * s.ab, s.b * sine, 0), (s.c * s.ac, s.c * across, s.c * height))


def _halves(*signs: Sequence[int]) -> Callable[[Sides], Rows]:
    """Vectors of a centred lattice: halves of the sides along x, y and z, with these signs."""
    return lambda s: [(x * s.a / 2, y * s.b / 2, z * s.c / 2) for x, y, z in signs]


#: By ``ibrav``.
LATTICES: dict[int, Lattice] = {
    1: Lattice((), lambda s: np.diag([s.a] * 3).tolist()),
    2: Lattice((), _halves((-1, 0, 1), (0, 1, 1), (-1, 1, 0))),
    3: Lattice((), _halves((1, 1, 1), (-1, 1, 1), (-1, -1, 1))),
    -3: Lattice((), _halves((-1, 1, 1), (1, -1, 1), (1, 1, -1))),
    4: Lattice(("c",), lambda s: ((s.a, 0, 0), (-s.a / 2, s.a * 0.75**0.5, 0), (0, 0, s.c))),
    5: Lattice(("ab",), _rhombohedral),
    -5: Lattice(("ab",), _rhombohedral_111),
    6: Lattice(("c",), lambda s: np.diag([s.a, s.a, s.c]).tolist()),
    7: Lattice(("c",), _halves((1, -1, 1), (1, 1, 1), (-1, -1, 1))),
    8: Lattice(("b", "c"), lambda s: np.diag([s.a, s.b, s.c]).tolist()),
    9: Lattice(("b", "c"), _halves((1, 1, 0), (-1, 1, 0), (0, 0, 2))),
    -9: Lattice(("b", "c"), _halves((1, -1, 0), (1, 1, 0), (0, 0, 2))),
    91: Lattice(("b", "c"), _halves((2, 0, 0), (0, 1, -1), (0, 1, 1))),
    10: Lattice(("b", "c"), _halves((1, 0, 1), (1, 1, 0), (0, 1, 1))),
    11: Lattice(("b", "c"), _halves((1, 1, 1), (-1, 1, 1), (-1, -1, 1))),
    12: Lattice(("b", "c", "ab"), lambda s: ((s.a, 0, 0), (s.b * s.ab, s.b * s.sine, 0), (0, 0, s.c))),
    -12: Lattice(("b", "c", "ac"), lambda s: ((s.a, 0, 0), (0, s.b, 0), (s.c * s.ac, 0, s.c * s.sine))),
    13: Lattice(
        ("b", "c", "ab"), lambda s: ((s.a / 2, 0, -s.c / 2), (s.b * s.ab, s.b * s.sine, 0), (s.a / 2, 0, s.c / 2))
    ),
    -13: Lattice(
        ("b", "c", "ac"), lambda s: ((s.a / 2, s.b / 2, 0), (-s.a / 2, s.b / 2, 0), (s.c * s.ac, 0, s.c * s.sine))
    ),
    14: Lattice(("b", "c", "bc", "ac", "ab"), _triclinic),
}
#: Places in ``celldm`` of triclinic lattices.
CELLDM = {"b": 2, "c": 3, "bc": 4, "ac": 5, "ab": 6}


def place_in_celldm(ibrav: int, name: str) -> int:
    """Index in ``celldm`` of what a lattice needs; the cosine between a and b is the fourth but of triclinic ones."""
    return 4 if name == "ab" and ibrav != 14 else CELLDM[name]


def lattice_vectors(ibrav: int, a: float, more: dict[str, float]) -> Floats:
    """Primitive vectors (rows, Å) of a lattice.

    Parameters
    ----------
    ibrav : int
    a : float
        Å.
    more : dict of str to float
        Sides ``b`` and ``c`` in Å, cosines ``bc``, ``ac``, ``ab``: those that the lattice needs.

    Raises
    ------
    InputError
        For an index that there is none of, what is missing, and sides and angles that make no cell.
    """
    lattice = LATTICES.get(ibrav)
    if lattice is None:
        raise InputError(f"ibrav = {ibrav} is no lattice of Quantum ESPRESSO ({', '.join(map(str, sorted(LATTICES)))})")
    missing = [name for name in lattice.needs if name not in more]
    if missing:
        words = ", ".join(name if len(name) == 1 else f"cos{name.upper()}" for name in missing)
        places = ", ".join(f"celldm({place_in_celldm(ibrav, name)})" for name in missing)
        raise InputError(f"ibrav = {ibrav} needs {words} beside a ({places}, or B, C, cosAB, cosAC, cosBC)")
    usual = {"b": a, "c": a, "bc": 0.0, "ac": 0.0, "ab": 0.0}
    sides = Sides(a, **{name: more[name] if name in lattice.needs else value for name, value in usual.items()})
    cosines = (sides.bc, sides.ac, sides.ab)
    least = -0.5 if ibrav in (5, -5) else -1.0
    if min(sides[:3]) <= 0 or not all(least < cosine < 1 for cosine in cosines):
        raise InputError(f"ibrav = {ibrav}: sides and cosines {', '.join(f'{v:g}' for v in sides)} make no cell")
    return np.array(lattice.vectors(sides), dtype=np.float64)
