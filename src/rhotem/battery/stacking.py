"""Slabs of different crystals above each other on one plane lattice, each boundary in its best registry."""

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.assemble import layer, upright
from rhotem.structure.coherent import Boundary, clearance, strained_to
from rhotem.structure.coincidence import match_many, principal, strain_between
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

#: Å from a boundary: atoms that decide the registry.
DEPTH = 6.0


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of a stack: crystal, plane (hkl) that faces its neighbours, least thickness in Å."""

    crystal: Structure
    plane: tuple[int, ...]
    thickness: float


@dataclass(frozen=True, eq=False)
class Stack:
    """A stack of layers.

    ``layer`` (N,): layer of every atom; ``strains`` (L, 2): principal strains in the plane; ``gaps``: distance in Å of
    the outermost atoms above each layer; ``heights`` (L, 2): lowest and highest atom of each, Å; ``area`` in Å².
    """

    atoms: ase.Atoms
    layer: npt.NDArray[np.int64]
    strains: Floats
    gaps: list[float]
    heights: Floats
    area: float


def stacked(
    layers: Sequence[Layer],
    *,
    keep: int | None = None,
    max_strain: float = 0.05,
    max_area: float = 100.0,
    gap: float | None = None,
    vacuum: float = 0.0,
    across: tuple[int, int] = (1, 1),
) -> Stack:
    """Layers above each other along z on the smallest plane lattice that fits all of them.

    Each crystal is turned about z and strained; its thickness follows with Poisson's ratio 0.25. Registries and gaps
    are those of `rhotem.structure.coherent`. Without vacuum the last layer meets the first, by the slant of the third
    vector in its best registry, too.

    Parameters
    ----------
    layers : sequence of Layer
        From below, two or more.
    keep : int, optional
        The layer that is not strained; by default all share the strain in proportion to the thickness of the others.
    max_strain, max_area : float
        Largest principal strain between any two layers; largest area of the common cell in Å².
    gap : float, optional
        Distance in Å between outermost atoms; chosen for each boundary by default.
    vacuum : float
        Empty layer above the stack, Å.
    across : (int, int)
        Repeats of the common cell in the plane.

    Raises
    ------
    InputError
        If numbers are out of range, or no common cell is found.
    """
    _check(layers, keep, max_strain, vacuum)
    units = [layer(each.crystal, each.plane)[0] for each in layers]
    rows = [unit.cell.array[:2, :2] for unit in units]
    matches = match_many(rows, keep or 0, max_strain, max_area)
    target = matches[0].lower @ rows[keep or 0]
    if keep is None:
        weights = np.array([each.thickness for each in layers])
        wish = -sum(w * match.strain for w, match in zip(weights / weights.sum(), matches, strict=True))
        target = target @ (np.eye(2) + wish)
    slabs, strains = [], []
    for unit, plane, match, each in zip(units, rows, matches, layers, strict=True):
        strain = strain_between(match.upper @ plane, target)
        count = max(1, int(np.ceil(each.thickness / float(unit.cell[2, 2]) - 1e-6)))
        slabs.append(strained_to(upright(unit, count), match.upper, target, float(np.trace(strain))))
        strains.append(principal(strain))
    steps = [np.linalg.solve(match.upper, slab.cell.array[:2, :2]) for match, slab in zip(matches, slabs, strict=True)]
    atoms, gaps, heights = _piled(slabs, steps, gap, vacuum)
    index = np.repeat(np.arange(len(slabs)), [len(slab) for slab in slabs])
    atoms, index = atoms.repeat((*across, 1)), np.tile(index, across[0] * across[1])
    return Stack(atoms, index, np.array(strains), gaps, heights, abs(float(np.linalg.det(atoms.cell.array[:2, :2]))))


def _check(layers: Sequence[Layer], keep: int | None, max_strain: float, vacuum: float) -> None:
    if len(layers) < 2 or (keep is not None and not 0 <= keep < len(layers)):
        raise InputError(f"stack: {len(layers)} layers, layer {keep} kept; expected two or more, and one of them")
    if not 0 <= max_strain < 0.2 or not (np.isfinite(vacuum) and vacuum >= 0):
        raise InputError(f"stack: strain {max_strain} and vacuum {vacuum}; expected 0 to 0.2, and a length in Å")
    for each in layers:
        if not (np.isfinite(each.thickness) and each.thickness > 0):
            raise InputError(f"stack: thickness {each.thickness}; expected a positive length in Å")


def _piled(
    slabs: list[ase.Atoms], steps: list[Floats], gap: float | None, vacuum: float
) -> tuple[ase.Atoms, list[float], Floats]:
    """Slabs above each other, the gap above each, and where each lies; ``steps``: plane lattice of each crystal."""
    plane = slabs[0].cell.array[:2, :2]
    pile = ase.Atoms(cell=slabs[0].cell, pbc=True)
    shift, top, gaps, heights = np.zeros(2), 0.0, [], []
    for index, slab in enumerate(slabs):
        if index:
            width, move = _registry(
                slabs[index - 1], slab, min(steps[index - 1], steps[index], key=_area), gap, np.zeros(2)
            )
            shift, top = shift + move, top + width
            gaps.append(width)
        placed = slab.copy()
        placed.positions[:, :2] += shift
        placed.positions[:, 2] += top - slab.positions[:, 2].min()
        heights.append((top, float(placed.positions[:, 2].max())))
        top = heights[-1][1]
        pile += placed
    if vacuum:
        width, slant = vacuum, np.zeros(2)
    else:
        width, move = _registry(slabs[-1], slabs[0], min(steps[-1], steps[0], key=_area), gap, -shift)
        slant = (shift + move) @ np.linalg.inv(plane)
        slant -= np.rint(slant - 1e-6)
    gaps.append(width)
    pile.positions[:, 2] += width / 2
    pile.set_cell([[*plane[0], 0.0], [*plane[1], 0.0], [*(slant @ plane), top + width]])
    pile.wrap(eps=1e-9)
    return pile, gaps, np.array(heights) + width / 2


def _registry(
    below: ase.Atoms, above: ase.Atoms, steps: Floats, gap: float | None, wish: Floats
) -> tuple[float, Floats]:
    """Gap and shift of a boundary; only atoms near it count."""
    width = float(np.mean([clearance(atoms) for atoms in (below, above)])) if gap is None else gap
    lower = below[below.positions[:, 2] > below.positions[:, 2].max() - DEPTH]
    upper = above[above.positions[:, 2] < above.positions[:, 2].min() + DEPTH]
    for attempt in range(2):  # the registry may change with the width
        boundary = Boundary.of(lower, upper, width)
        shift = boundary.best(steps, wish)
        missing = boundary.missing(shift)
        if gap is None and missing > 0 and attempt == 0:
            width += missing
    return width, shift


def _area(rows: Floats) -> float:
    return -abs(float(np.linalg.det(rows)))
