"""One-centre densities of cells with many atoms in closed form, slice by slice; work linear in the atoms.

In Fourier space every atom meets every coefficient, and both grow with the cell. `rhotem.potential.stream_sharp` splits
one-centre densities into Gaussians that go on the density's own grid and a short-ranged potential whose slices are
closed forms; here both are added to what is made in memory.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rhotem.core import is_rectangular
from rhotem.density.field import DensityField
from rhotem.density.harmonics import LMAX
from rhotem.potential.deformation import SHARPEST, check_field

if TYPE_CHECKING:
    from rhotem.potential.stream_sharp import Gaussians
    from rhotem.structure.orient import ImagingCell

#: Pairs of a one-centre part and a Fourier coefficient above which slices are made in closed form: 4 s, some 100 atoms.
PAIRS = 1e8
#: Largest step in Å of a density's grid that can take the wide Gaussians.
COARSEST = 0.5
#: Largest error in V of Gaussians; tables with a cusp, like those of free atoms, are worse.
FIT = 0.5


@dataclass(frozen=True, eq=False)
class SharpSlices:
    """Short-ranged potential of one-centre parts in an imaging cell.

    Parameters
    ----------
    gaussians : list of Gaussians
        In V, around the atoms of the imaging cell.
    level : float
        Its mean in V, which is taken off: the deformation has none (docs/conventions.md).
    lengths : (3,) array
        Sides of the imaging cell in Å.
    slices : int
    error : float
        Largest error in V of the Gaussians before they are smeared.
    """

    gaussians: "list[Gaussians]"
    level: float
    lengths: npt.NDArray[np.float64]
    slices: int
    error: float

    def add(self, wanted: range, out: npt.NDArray) -> None:
        """Add slices in V·Å to ``out`` (slices, n_x, n_y)."""
        from rhotem.potential.stream_sharp import add_to_plane

        thickness = float(self.lengths[2]) / self.slices
        for s, plane in zip(wanted, out, strict=True):
            values = np.full(plane.shape, -self.level * thickness)
            for part in self.gaussians:
                add_to_plane(values, part, self.lengths, (s * thickness, (s + 1) * thickness))
            plane += values.astype(plane.dtype)


def is_in_closed_form(field: DensityField) -> bool:
    """Whether one-centre parts of a density can be put into slices in closed form, and are sooner there."""
    cell, terms = field.grid.cell, field.one_centre
    if len(terms) * 2.0 * np.pi / 3.0 * SHARPEST**3 * field.grid.volume < PAIRS or find_spec("numba") is None:
        return False
    orthogonal = is_rectangular(cell) and (np.diag(cell) > 0).all()
    return bool(orthogonal and field.grid.spacing.max() <= COARSEST and max(term.lmax for term in terms) <= LMAX)


@lru_cache(maxsize=2)
def in_closed_form(
    cell: "ImagingCell", field: DensityField, slices: int, damping: float = 0.0
) -> tuple[DensityField, SharpSlices | None]:
    """A density without one-centre parts, on its own grid, and the slices that their rest makes.

    The density as it is and None where Gaussians do not fit its parts within `FIT`.

    Parameters
    ----------
    cell : ImagingCell
        Its crystal may be rotated against ``field.structure``; strain is not followed by what is sharp.
    field : DensityField
        One of which `is_in_closed_form` is true.
    slices : int
        Of the imaging cell.
    damping : float
        ⟨u²⟩ in Å² along one axis that smears both, of the density where its coefficients are used.

    Notes
    -----
    The last two results are kept: frozen-phonon configurations share them.
    """
    from rhotem.potential.stream_sharp import Gaussians, add_to_plane, split_one_centre

    check_field(field, cell.crystal)
    grid, atoms, index = field.grid, field.structure, np.asarray(cell.atom_index)
    every, step = np.arange(len(field.one_centre)), float(grid.spacing.max())
    # placed below: until then indices of atoms stand for positions
    short, wide, error = split_one_centre(field.one_centre, np.arange(float(len(atoms)))[:, None], every, step)
    if error > FIT:
        return field, None
    values = np.array(np.moveaxis(field.values, 2, 0), dtype=float)
    for part in wide:
        own = replace(part, positions=atoms.positions[part.positions[:, 0].astype(int)])
        for k, plane in enumerate(values):
            z = k * grid.cell[2, 2] / grid.shape[2]
            add_to_plane(plane, own, np.diag(grid.cell), (z, z))
    turn = _rotation(grid.cell, cell.crystal.cell)
    order, placed = np.argsort(index, kind="stable"), []
    for part in short:
        first, last = (np.searchsorted(index[order], part.positions[:, 0], side) for side in ("left", "right"))
        copies = np.concatenate([order[a:b] for a, b in zip(first, last, strict=True)])
        polynomials = np.repeat(part.polynomials, last - first, axis=0)
        moved = Gaussians(cell.structure.positions[copies], part.sigma, polynomials)
        placed.append(moved.turned(turn).smeared(damping))
    level = sum(part.integral() for part in placed) / cell.structure.volume
    smooth = replace(field, values=np.ascontiguousarray(np.moveaxis(values, 0, 2)), one_centre=())
    return smooth, SharpSlices(placed, level, cell.lengths, slices, error)


def _rotation(given: npt.NDArray[np.float64], turned: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """R of r' = R r that turns one cell (rows) into another, which may also be strained a little."""
    left, _, right = np.linalg.svd(np.linalg.solve(given, turned))
    return np.asarray((left @ right).T)
