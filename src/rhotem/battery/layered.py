"""Layered oxides as slabs MO2 with mobile ions between them, and their stackings.

Oxygen planes are close-packed: letters A, B, C are shifts of 0, 1, 2 times p in the plane. A slab of positive sense has
its metal at bottom + 2 and its top at bottom + 1; one of negative sense is its mirror image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import ase
import numpy as np
import numpy.typing as npt

from rhotem.battery.framework import averaged
from rhotem.core import InputError
from rhotem.structure.assemble import layer
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

ALKALI = ("Li", "Na", "K")
#: Kinds of gaps between slabs (C. Delmas, C. Fouassier, P. Hagenmuller, Physica B+C 99, 81 (1980)): whether the next
#: slab is turned over, and its bottom letter, counted from the top letter of the slab below in the sense of that slab.
GAPS = {"O3": (False, 1), "O1": (False, -1), "P3": (False, 0), "P2": (True, 0), "O2": (True, 1)}
#: Å within which heights are one plane.
PLANE = 0.6


@dataclass(frozen=True, eq=False)
class Sheet:
    """Atoms of one slab, or of one gap, moved to letter A: elements, places in the plane and heights above the bottom.

    Of a slab, heights are counted from the bottom oxygen plane and the sense is positive; of a gap, from its middle.
    """

    symbols: list[str]
    places: Floats
    heights: Floats


@dataclass(frozen=True, eq=False)
class Layered:
    """A layered oxide taken apart.

    ``plane`` (2, 2): lattice in the plane, rows, Å; ``step`` (2,): p; ``slabs`` and ``gaps``: `Sheet`; ``thickness``
    and ``gap``: mean distances of oxygen planes within a slab and between two, Å.
    """

    plane: Floats
    step: Floats
    slabs: list[Sheet]
    gaps: list[Sheet]
    thickness: float
    gap: float


def taken_apart(crystal: Structure) -> Layered:
    """A layered oxide as slabs and gaps; the plane of slabs is (001) of its conventional cell.

    Raises
    ------
    InputError
        If it has no oxygen planes with metals and mobile ions between them in turn.
    """
    unit, _ = layer(averaged(crystal), (0, 0, 1))
    spacing, plane = float(unit.cell[2, 2]), unit.cell.array[:2, :2]
    symbols = np.array(unit.get_chemical_symbols())
    z = unit.positions[:, 2] % spacing
    edges = _planes(z[symbols == "O"], spacing) if "O" in symbols else []
    if len(edges) < 2 or len(edges) % 2:
        raise _refused(crystal)
    slant = unit.cell.array[2, :2]
    parts = []
    for low, high in zip(edges, [*edges[1:], edges[0] + spacing], strict=True):
        up = (z - low + PLANE / 2) % spacing - PLANE / 2
        inside = np.flatnonzero((up < high - low + PLANE / 2) & (up > -PLANE / 2))
        turns = np.rint((low + up[inside] - unit.positions[inside, 2]) / spacing)
        places = unit.positions[inside, :2] + turns[:, None] * slant
        parts.append((high - low, symbols[inside], places, up[inside]))
    metals = [sum(s not in (*ALKALI, "O") for s in part[1]) for part in parts]
    first = 0 if metals[0] > 0 else 1
    if any((n > 0) != (i % 2 == first) for i, n in enumerate(metals)):
        raise _refused(crystal)
    bands = [parts[(first + i) % len(parts)] for i in range(len(parts))]
    return _normalised(plane, bands)


def _refused(crystal: Structure) -> InputError:
    return InputError(
        f"stacking: {crystal.formula} is no layered oxide: no oxygen planes with metals and mobile ions in turn along c"
    )


def _planes(heights: Floats, spacing: float) -> list[float]:
    """Mean heights of planes, lowest first."""
    ordered = np.sort(heights).tolist()
    groups = [[ordered[0]]]
    for height in ordered[1:]:
        if height - groups[-1][-1] > PLANE:
            groups.append([])
        groups[-1].append(height)
    if len(groups) > 1 and groups[0][0] + spacing - groups[-1][-1] < PLANE:
        groups[0] = [h - spacing for h in groups.pop()] + groups[0]
    return [float(np.mean(group)) for group in groups]


def _normalised(plane: Floats, bands: list[tuple]) -> Layered:
    _, symbols, places, heights = bands[0]
    low = (symbols == "O") & (heights < PLANE)
    high = (symbols == "O") & (heights > PLANE)
    origin = places[low][0]
    step = _shortest(places[high] - origin, plane)
    if not np.linalg.norm(step) > 0.5:
        raise InputError("stacking: oxygen planes of a slab are not shifted against each other; no close packing")
    slabs, gaps = [], []
    for index, (width, kinds, where, up) in enumerate(bands):
        oxygen = kinds == "O"
        if index % 2 == 0:
            bottom = _letter(where[oxygen & (up < PLANE)][0] - origin, plane, step)
            top = _letter(where[oxygen & (up > PLANE)][0] - origin, plane, step)
            if (top - bottom) % 3 == 2:  # negative sense: turned over
                up, bottom = width - up, top
            slabs.append(Sheet(kinds.tolist(), where - origin - bottom * step, up))
        else:
            guests = ~oxygen
            at = _letter(where[guests][0] - origin, plane, step) if guests.any() else 0
            gaps.append(Sheet(kinds[guests].tolist(), where[guests] - origin - at * step, up[guests] - width / 2))
    widths = [band[0] for band in bands]
    return Layered(plane, step, slabs, gaps, float(np.mean(widths[::2])), float(np.mean(widths[1::2])))


def _shortest(vectors: Floats, plane: Floats) -> Floats:
    """The shortest of vectors modulo a plane lattice."""
    images = np.array([(i, j) for i in range(-3, 4) for j in range(-3, 4)]) @ plane
    every = (vectors[:, None] + images).reshape(-1, 2)
    return every[np.argmin(np.round(np.linalg.norm(every, axis=1), 4))]


def _letter(vector: Floats, plane: Floats, step: Floats) -> int:
    """Which of 0, 1, 2 steps a vector is, modulo the close-packed lattice: spanned by 3p and p turned by 120°."""
    turned = np.array([[-0.5, np.sqrt(0.75)], [-np.sqrt(0.75), -0.5]])
    packed = np.array([step - step @ turned, step - step @ turned.T])
    off = []
    for n in range(3):
        fraction = np.linalg.solve(packed.T, vector - n * step)
        off.append(float(np.linalg.norm((fraction - np.rint(fraction)) @ packed)))
    return int(np.argmin(off))


@dataclass(frozen=True, eq=False)
class Restacked:
    """Atoms of a new stacking; ``slab`` (N,): number of the slab, or of the slab below for ions in gaps."""

    atoms: ase.Atoms
    slab: npt.NDArray[np.int64]
    guest: npt.NDArray[np.bool_]
    middles: list[float]


def restacked(parts: Layered, kinds: Sequence[str], scale: float, thickness: float, gap: float) -> Restacked:
    """Slabs above each other with gaps of the kinds given (`GAPS`), periodic.

    Parameters
    ----------
    parts : Layered
    kinds : sequence of str
        Of the gap above each slab.
    scale : float
        Factor of lengths in the plane.
    thickness, gap : float
        Distances of oxygen planes, Å.

    Raises
    ------
    InputError
        If slabs do not come back to their sense after the last gap.
    """
    if sum(GAPS[kind][0] for kind in kinds) % 2:
        raise InputError("stacking: P2 and O2 gaps turn slabs over; an even number of them must be in the cell")
    step, plane = scale * parts.step, scale * parts.plane
    symbols: list[str] = []
    positions, slab, guest, middles = [], [], [], []
    bottom, sense, height = 0, 1, 0.0
    for number, kind in enumerate(kinds):
        sheet, ions = parts.slabs[number % len(parts.slabs)], parts.gaps[number % len(parts.gaps)]
        up = sheet.heights * thickness / parts.thickness
        base = bottom if sense > 0 else bottom - 1
        up = up if sense > 0 else thickness - up
        positions.append(np.column_stack([scale * sheet.places + base % 3 * step, height + up]))
        turned, ahead = GAPS[kind]
        top, metal = bottom + sense, bottom + 2 * sense
        following = top + sense * ahead
        free = ({0, 1, 2} - {top % 3, following % 3 if following % 3 != top % 3 else metal % 3}).pop()
        middles.append(height + thickness + gap / 2)
        positions.append(np.column_stack([scale * ions.places + free * step, ions.heights + middles[-1]]))
        symbols += [*sheet.symbols, *ions.symbols]
        slab += [number] * (len(sheet.symbols) + len(ions.symbols))
        guest += [False] * len(sheet.symbols) + [True] * len(ions.symbols)
        height += thickness + gap
        bottom, sense = following, -sense if turned else sense
    slant = bottom % 3 * step @ np.linalg.inv(plane)
    slant -= np.rint(slant - 1e-6)
    cell = [[*plane[0], 0.0], [*plane[1], 0.0], [*(slant @ plane), height]]
    atoms = ase.Atoms(symbols, np.concatenate(positions), cell=cell, pbc=True)
    atoms.wrap(eps=1e-9)
    return Restacked(atoms, np.array(slab), np.array(guest), middles)
