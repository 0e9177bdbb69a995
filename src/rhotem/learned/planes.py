"""The learned density plane by plane, for `rhotem.potential.stream`."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.stream import StreamedDensity, streamed
from rhotem.learned.counting import check_charge
from rhotem.learned.kernels.grid import BlockOnGrid, add_block
from rhotem.learned.loaded import Loaded, encoder_room
from rhotem.learned.outside import remarks
from rhotem.learned.readouts.spherical.predict import SharpTerms
from rhotem.structure.model import Structure

#: The third axis first: planes across it lie together.
ORDER = [2, 0, 1]


@dataclass(frozen=True, eq=False)
class LearnedPlanes:
    """Planes of the wide block's functions.

    Parameters
    ----------
    functions : BlockOnGrid
        On the grid with its third axis first.
    coefficients : (N, functions, (lmax+1)²) array
    """

    functions: BlockOnGrid
    coefficients: npt.NDArray[np.float64]

    def __call__(self, wanted: range) -> npt.NDArray[np.float64]:
        """Values (planes, n1, n2) in e/Å³."""
        out = np.zeros((len(wanted), *self.functions.grid.shape[1:]))
        add_block(out, wanted.start, self.functions, self.coefficients)
        return out


def stream(model: Loaded, structure: Structure, spacing: float = 0.2) -> StreamedDensity:
    """Deformation density of ``structure``, its wide part made when planes are asked for.

    Of elements never trained on the same as in memory (`rhotem.learned.newcomers`).

    Only coefficients are held, 2.3 kB per atom. The electron count is that of the functions; the sum over a grid of
    0.2 Å has it to 1e-6.

    Parameters
    ----------
    model : Loaded
        With a spherical readout.
    structure : Structure
    spacing : float
        Largest step of the grid in Å.

    Raises
    ------
    InputError
        If the readout is another one, a slab is charged, or elements are unknown and the cell is charged or the model
        strict.
    MemoryLimitError
        If the coefficients do not fit into the model's ``memory``.
    """
    readout = model.model.readout
    if not model.model.can.planes:
        raise InputError(f"model {model.name}: its readout is not made of functions around atoms; use a spherical one")
    strangers = model.strangers(structure)
    if strangers.fill(structure.numbers):  # as in memory: free atoms, and a warning
        return streamed(model.free_atoms(structure, PeriodicGrid.from_spacing(structure.cell, spacing), strangers))
    check_charge(structure)
    memory = encoder_room(model.model, structure, 0, model.memory)
    said = remarks(model, structure)
    near, far = readout.prepare(structure, memory, model.announce, reach=model.reach)
    grid = PeriodicGrid.from_spacing(structure.cell, spacing)
    n1, n2, n3 = grid.shape
    turned = PeriodicGrid(grid.cell[ORDER], (n3, n1, n2))
    functions = BlockOnGrid(readout.blocks[1], turned, structure.positions)

    return StreamedDensity(
        structure=structure,
        grid=grid,
        planes=LearnedPlanes(functions, far),
        one_centre=SharpTerms(readout.blocks[0], near),
        source=f"model {model.name}",
        reference=free_atoms.load().identifier,
        record={"model": model.name, "receptive_field_A": readout.receptive_field, **said},
        moments=_moments(model, (near, far)),
    )


def _moments(model: Loaded, coefficients: tuple[npt.NDArray[np.float64], ...]) -> npt.NDArray[np.float64]:
    """Electrons and first moments (N, 4) of every atom's functions; l = 1 stands in the order y, z, x."""
    result = np.zeros((len(coefficients[0]), 4))
    for block, c in zip(model.model.readout.blocks, coefficients, strict=True):
        result[:, 0] += c[:, :, 0] @ block.electrons
        if block.lmax:
            result[:, 1:] += np.einsum("anm,n->am", c[:, :, [3, 1, 2]], block.dipoles)
    return result
