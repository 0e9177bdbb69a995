"""What the electron count asks of every atom, one wide function each, on a grid that follows atoms from frame to frame.

From frame to frame it changes by nearly the same share everywhere: a multiple of one grid, and few atoms that differ.
"""

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.learned.kernels.grid import BlockOnGrid, add_block
from rhotem.learned.radial import Block

Array = npt.NDArray[np.float64]

#: Share of the atoms from which on all are drawn anew instead of taken off and put on.
MOST = 0.4
#: e/Å³ at an atom by which its function may be off before it is drawn again.
FAINT = 3e-9


class CountGrid:
    """One wide function of every atom on a grid, as a multiple of one set of coefficients and a rest.

    Parameters
    ----------
    block : Block
        Of that function alone.
    grid : PeriodicGrid
    count : int
        Number of atoms.
    """

    def __init__(self, block: Block, grid: PeriodicGrid, count: int) -> None:
        self.block, self.grid = block, grid
        peak = float(block.radial(np.zeros(1))[0, 0]) / np.sqrt(4.0 * np.pi)
        self.least = FAINT / peak
        self.shares, self.rest = np.zeros((2, count))
        self.unit, self.values = np.zeros((2, *grid.shape))
        self.positions: Array | None = None

    def _add(self, values: Array, coefficients: Array, positions: Array) -> None:
        if len(positions):
            add_block(values, 0, BlockOnGrid(self.block, self.grid, positions), coefficients[:, None, None])

    def drawn(self, wanted: Array, shares: Array, positions: Array) -> Array:
        """Values in e/Å³ of coefficients ``wanted`` (N,), whose change is nearly in proportion to ``shares`` (N,)."""
        if self.positions is None:
            self.positions = positions
            self._add(self.unit, shares, positions)
            self.shares = shares.copy()
        new = np.flatnonzero((self.positions != positions).any(axis=1) | (self.shares != shares))
        self._add(self.unit, -self.shares[new], self.positions[new])
        self._add(self.unit, shares[new], positions[new])
        left = wanted - self.rest
        factor = float(left @ shares / (shares @ shares))
        off = np.abs(left - factor * shares) > self.least
        off[new] = True
        rows = np.flatnonzero(off)
        if len(rows) > MOST * len(wanted):
            self.values[:], factor, rest = 0.0, 0.0, wanted
            self._add(self.values, wanted, positions)
        else:
            rest = self.rest.copy()
            rest[rows] = (wanted - factor * shares)[rows]
            self._add(self.values, -self.rest[rows], self.positions[rows])
            self._add(self.values, rest[rows], positions[rows])
        self.shares, self.rest, self.positions = shares.copy(), rest.copy(), positions.copy()
        return np.asarray(self.values + factor * self.unit)
