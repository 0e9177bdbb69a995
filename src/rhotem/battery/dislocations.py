"""Straight dislocations: their elastic field in a periodic cell, and the cells that hold them.

Four dislocations, two of each sign in the order of a chess board, have no field in the mean: the cell keeps its shape.
A row of equal dislocations has a closed form, since Σ 1/(z − nL) = (π/L) cot(πz/L); rows of both signs, half a period
apart, have a field that falls as exp(−2π|y|/L), so that few rows are summed (J. P. Hirth, J. Lothe, Theory of
Dislocations, 2nd ed., chapters 3 and 19).
"""

from dataclasses import dataclass
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.indices import primitive_cell, standard_cell
from rhotem.structure.lattice import coset_representatives
from rhotem.structure.model import Structure
from rhotem.structure.moments import carried, picked_moments

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Rows of dislocations that are summed above and below the cell's own.
ROWS = 3
#: Indices of lattice vectors that are looked through, in primitive vectors; Å that vectors at right angles may lack.
INDICES, EXACT = 8, 1e-3
#: Places of the core along its plane that are compared.
PLACES = 48


def quadrupole(points: Floats, cores: Floats, sides: tuple[float, float], burgers: Floats, poisson: float) -> Floats:
    """Displacement in Å of points in a periodic cell with four dislocations along z, isotropic elasticity.

    Parameters
    ----------
    points : (N, 2) array
        x, y in Å.
    cores : (2,) array
        x, y of the first, with +b; −b at half the width beside it, both exchanged half the height above.
    sides : (float, float)
        Width and height of the cell, Å.
    burgers : (3,) array
        b in Å: its x is the edge part, its z the screw part. y must be 0: the cut, across which atoms are shifted by b,
        lies in the glide plane between a pair, so that no atom is added or taken out.
    poisson : float
        Poisson's ratio ν.

    Returns
    -------
    (N, 3) array
        u(r); around a core with +b, from x to y, it grows by b.
    """
    width, height = sides
    moved = np.zeros((len(points), 3))
    for row in range(-2 * ROWS, 2 * ROWS + 2):
        x = points[:, 0] - cores[0]
        y = points[:, 1] - cores[1] - row * height / 2
        moved += (1 if row % 2 == 0 else -1) * _pair_of_rows(x, y, width, burgers, poisson)
    return moved


def _pair_of_rows(x: Floats, y: Floats, width: float, burgers: Floats, poisson: float) -> Floats:
    """Of dislocations +b at x = n L and −b at (n + ½) L, y = 0."""
    here, there = (np.pi * (x - start) / width + 1j * np.pi * y / width for start in (0.0, width / 2))
    # sin grows as exp(|y|) in both; their ratio does not
    turn = np.exp(2j * np.where(y >= 0, 1, -1) * here)
    logarithm = np.log((1.0 - turn) / (1.0 + turn)) + np.where(y >= 0, -0.5j, 0.5j) * np.pi
    slope = np.pi / width * (_cot(here) - _cot(there))
    angle = (logarithm.imag + np.pi) % (2 * np.pi) - np.pi
    edge = burgers[0] / (2 * np.pi)
    across = edge * (angle + y * slope.real / (2 * (1 - poisson)))
    up = -edge * ((1 - 2 * poisson) * logarithm.real + y * slope.imag) / (2 * (1 - poisson))
    return np.stack([across, up, burgers[2] / (2 * np.pi) * angle], axis=1)


def _cot(z: npt.NDArray[Any]) -> npt.NDArray[np.complex128]:
    """Cotangent without overflow far from the real axis."""
    side = np.where(z.imag >= 0, 1, -1)
    turn = np.exp(2j * side * z)
    return np.asarray(-1j * side * (1 + turn) / (1 - turn))


@dataclass(frozen=True, eq=False)
class Frame:
    """A block of a crystal for dislocations: x in the glide plane across the line, y the plane's normal, z the line.

    ``rows`` (3, 3): its vectors in primitive ones; ``cell`` (3, 3): the same in Å in the frame x, y, z; ``turn``
    (3, 3): ``r' = turn @ r``; ``burgers`` (3,): b in that frame; ``angle``: between b and the line, degrees (90 edge,
    0 screw).
    """

    primitive: Structure
    rows: Ints
    cell: Floats
    turn: Floats
    burgers: Floats
    angle: float

    def block(self, counts: tuple[int, int, int]) -> ase.Atoms:
        """The crystal in the cell, repeated."""
        rows = np.diag(counts) @ self.rows
        shifts = coset_representatives(rows)
        fractional = np.linalg.solve(self.primitive.cell.T, self.primitive.positions.T).T
        placed = (fractional + shifts[:, None]).reshape(-1, 3) @ np.linalg.inv(rows.astype(float))
        cell = np.diag(counts) @ self.cell
        numbers = np.tile(self.primitive.numbers, len(shifts))
        atoms = ase.Atoms(numbers, cell=cell, scaled_positions=(placed + 1e-9) % 1.0, pbc=True)
        return carried(atoms, picked_moments(self.primitive, np.tile(np.arange(len(self.primitive)), len(shifts))))


def frame_of(
    crystal: Structure, plane: tuple[int, ...], burgers: tuple[float, ...], line: tuple[int, ...] | None
) -> Frame:
    """The smallest block with right angles for dislocations of a Burgers vector on a plane.

    Parameters
    ----------
    crystal : Structure
    plane : three int
        Glide plane (hkl) of the conventional cell.
    burgers : three float
        b = [uvw] of the conventional cell, a vector of the lattice: 0.5,0.5,0 in rock salt.
    line : three int, optional
        Direction of the line; without it the one at right angles to b: an edge dislocation.

    Raises
    ------
    InputError
        If b is no vector of the lattice, b or the line do not lie in the plane, or there are no right angles.
    """
    names = standard_cell(crystal)
    primitive, _ = primitive_cell(crystal)
    vectors = np.stack(np.meshgrid(*(np.arange(-INDICES, INDICES + 1),) * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = vectors[np.any(vectors != 0, axis=1)]
    places = vectors @ primitive.cell
    order = np.argsort(np.round(np.linalg.norm(places, axis=1), 6), kind="stable")
    vectors, places = vectors[order], places[order]
    normal = np.linalg.solve(names.cell, np.array(plane, dtype=float))
    normal /= np.linalg.norm(normal)
    b = np.array(burgers, dtype=float) @ names.cell
    said = ",".join(f"{x:g}" for x in burgers)
    if not (np.linalg.norm(places - b, axis=1) < 0.01).any():
        shortest = np.linalg.norm(places[0])
        raise InputError(
            f"dislocation: {said} is no lattice vector of {crystal.formula}, so that a fault would be left; the"
            f" shortest is {shortest:.3f} Å long (halves, as 0.5,0.5,0, where the cell is centred)"
        )
    if abs(b @ normal) > 0.01:
        raise InputError(
            f"dislocation: b = {said} is not in the plane {','.join(map(str, plane))}; it must glide there"
        )
    along = _line(names.cell, line, normal, b, places)
    z = along / np.linalg.norm(along)
    x = np.cross(normal, z)
    turn = np.stack([x, normal, z])
    local = places @ turn.T
    flat = np.abs(local) < EXACT
    sides = [
        np.flatnonzero(flat[:, i] & flat[:, j] & (local[:, k] > 0)) for k, i, j in ((0, 1, 2), (1, 0, 2), (2, 0, 1))
    ]
    if not all(len(side) for side in sides):
        raise InputError(
            f"dislocation: no block of {crystal.formula} with right angles has ({_text(plane)}) and this line as axes;"
            " give another --line"
        )
    rows = np.stack([vectors[side[0]] for side in sides])
    inside = turn @ b
    angle = float(np.degrees(np.arccos(np.clip(abs(inside[2]) / np.linalg.norm(b), 0, 1))))
    return Frame(primitive, rows, np.diag([local[side[0], k] for k, side in enumerate(sides)]), turn, inside, angle)


def _text(indices: tuple[int, ...]) -> str:
    return ",".join(map(str, indices))


def _line(cell: Floats, line: tuple[int, ...] | None, normal: Floats, b: Floats, places: Floats) -> Floats:
    """Direction of the line: the one given, or the shortest lattice vector in the plane at right angles to b."""
    if line is not None:
        along = np.array(line, dtype=float) @ cell
        if abs(along @ normal) > EXACT * np.linalg.norm(along):
            raise InputError(f"dislocation: line {_text(line)} is not in the glide plane")
        return along
    fits = (np.abs(places @ normal) < EXACT) & (np.abs(places @ b) < EXACT * np.linalg.norm(b))
    if not fits.any():
        raise InputError("dislocation: no lattice direction in the plane at right angles to b; give --line")
    return np.asarray(places[np.flatnonzero(fits)[0]])


def core_of(unit: ase.Atoms) -> Floats:
    """Place (x, y) of a core: between the planes that are farthest apart, as far from columns as possible."""
    height, width = float(unit.cell[1, 1]), float(unit.cell[0, 0])
    y = np.sort(unit.positions[:, 1] % height)
    gaps = np.diff(np.append(y, y[0] + height))
    middle = float(y[int(np.argmax(np.round(gaps, 3)))] + gaps.max() / 2)
    tried = np.arange(PLACES) * width / PLACES
    apart = tried[:, None] - unit.positions[:, 0]
    apart -= width * np.rint(apart / width)
    rise = unit.positions[:, 1] - middle
    rise -= height * np.rint(rise / height)
    nearest = np.hypot(apart, rise).min(axis=1)
    return np.array([tried[int(np.argmax(np.round(nearest, 6)))], middle])
