"""Single atoms of the gated readout left free: what is kept of every atom, and what the atoms around get back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.learned.counting import stays_free
from rhotem.learned.grid import counted_on_grid
from rhotem.learned.radial import Block
from rhotem.learned.removal import Region, find_regions, given_back
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.learned.model import LearnedModel

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LeftFree:
    """Atoms left free, and what that makes of the others.

    Parameters
    ----------
    kept : (N,) array
        Factor of every atom's contribution.
    counted : (N,) array
        1, of atoms without neighbours, which have no part in the electron count, 0.
    regions : list of Region
        Atoms whose learned part is taken away together.
    removed : (N,) bool array
        Atoms of elements that are left free.
    widest : Block
        The functions, l = 0 and 1, that hold what is given back.
    """

    kept: Array
    counted: Array
    regions: list[Region]
    removed: npt.NDArray[np.bool_]
    widest: Block

    def give_back(self, taken: Array, missing: float) -> Array:
        """Coefficients (N, 4) of the widest functions of the atoms around.

        ``taken``: electrons and first moments (N, 4) of what was taken of every atom; ``missing``: what the density
        lacks without it. They differ by what the samples of sharp parts near removed atoms miss, which goes with it.
        """
        if not self.removed.any():
            return np.zeros(taken.shape)
        exact = taken.copy()
        exact[self.removed, 0] += (missing - taken[:, 0].sum()) / self.removed.sum()
        return given_back(self.widest, self.regions, exact)

    def on_grid(self, back: Array, structure: Structure, grid: PeriodicGrid) -> Array:
        """What is given back, e/Å³, its sum exact."""
        return counted_on_grid(self.widest, back[:, None], structure.positions, grid)[0]


def left_free(model: "LearnedModel", structure: Structure, reach: float) -> LeftFree | None:
    """Atoms that the weights have nothing to say of, and those without neighbours; None where there are none.

    ``reach``: of an atom in Å.
    """
    lonely = stays_free(model, structure)
    removed = np.zeros(len(structure), dtype=bool)
    if model.newcomers is not None:
        removed = model.newcomers.left_free(structure.numbers) & ~lonely
    if not (lonely | removed).any():
        return None
    kept, regions = find_regions(structure, removed, reach) if removed.any() else (np.ones(len(structure)), [])
    kept = np.where(lonely, 0.0, kept)
    widest = Block(reach / 3.0, reach / 3.0, 1, 1, reach)
    return LeftFree(kept, np.where(lonely, 0.0, 1.0), regions, removed, widest)
