"""Polycrystals and bicrystals: a block cut into grains of one crystal, whose lattices are turned against each other.

Grains are Voronoi cells of their seeds. Along a periodic side of the block they continue into its next image, along a
free side (with vacuum) seeds are mirrored, so that cells end at the face. Every lattice runs through one point, the
middle of the block: grains of equal orientation are one crystal. Boundaries are not relaxed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Literal

import ase
import numpy as np
import numpy.typing as npt

from rhotem.battery.axes import direction_in, grain_frame, periodic_tilt, whole_repeats
from rhotem.battery.faces import Block, balance, neutralise
from rhotem.battery.overlaps import without_overlaps
from rhotem.battery.voronoi import Cell, voronoi_cells
from rhotem.core import InputError
from rhotem.structure.check import check
from rhotem.structure.displacement_tensors import known_at, of_grains
from rhotem.structure.indices import primitive_cell
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Triple = tuple[float, float, float]

#: Most atoms before one is asked to think again.
MAX_ATOMS = 5_000_000


@dataclass(frozen=True, eq=False)
class Polycrystal:
    """A block of grains and where each atom is from.

    Parameters
    ----------
    structure : Structure
        Orthogonal cell, vacuum included; the array ``grain`` of its atoms is kept by extended xyz files.
    grain, site : (N,) int arrays
        Grain of every atom, and its index in the crystal.
    depth : (N,) array
        Distance in Å to the nearest face of its grain.
    seeds : (G, 3) array
        In Å, in the cell.
    rotations : (G, 3, 3) array
        ``r' = R r`` from vectors of the crystal as it was given to those of the grain.
    origin : (3,) array
        Where a lattice point of every grain is, in Å.
    volumes : (G,) array
        Å³.
    removed : dict
        Atoms taken out: ``opening``, ``overlap``, ``stoichiometry`` and ``polarity``, each element -> number.
    """

    structure: Structure
    grain: Ints
    site: Ints
    depth: Floats
    seeds: Floats
    rotations: Floats
    origin: Floats
    volumes: Floats
    removed: dict[str, dict[str, int]] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """What a result should remember of it, JSON-ready."""
        from scipy.spatial.transform import Rotation

        turns = Rotation.from_matrix(self.rotations).as_quat(canonical=True)
        counts = np.bincount(self.grain, minlength=len(self.seeds))
        grains = [
            {"seed_A": s.tolist(), "rotation_xyzw": q.tolist(), "volume_A3": float(v), "atoms": int(n)}
            for s, q, v, n in zip(self.seeds, turns, self.volumes, counts, strict=True)
        ]
        return {"origin_A": self.origin.tolist(), "grains": grains, "removed": self.removed}


def polycrystal(
    crystal: Structure,
    size: Triple,
    grains: int,
    rng: np.random.Generator,
    *,
    columnar: bool = False,
    zone: Sequence[int] = (0, 0, 1),
    up: Sequence[int] | None = None,
    vacuum: Triple = (0.0, 0.0, 0.0),
    closest: float = 0.7,
    stoichiometric: bool = True,
) -> Polycrystal:
    """Grains of random size and orientation (Poisson–Voronoi).

    Parameters
    ----------
    crystal : Structure
        Any cell of the crystal, neutral.
    size : tuple of three float
        Sides of the block in Å, without vacuum.
    grains : int
    rng : numpy Generator
        Seeds uniform in the block, orientations uniform among all rotations.
    columnar : bool
        Columns along z: all grains have ``zone`` along the beam and are turned about it (a fibre texture). The third
        side is then rounded to whole repeats of the crystal.
    zone, up : three or four int
        Lattice directions [uvw] of the conventional standard cell that point towards the source (−z) and to +y before
        a grain is turned; ``up=None``: +c, else +b.
    vacuum : tuple of three float
        Empty layer in Å along x, y and z. Where it is zero the block is periodic, elsewhere it ends in free surfaces.
    closest : float
        Atoms of two grains nearer than this fraction of the shortest distance that their elements have in the crystal:
        one is taken out.
    stoichiometric : bool
        Take out the least bound atoms of elements that are left in excess at faces, then formula units where faces are
        charged (`rhotem.battery.faces`).

    Raises
    ------
    InputError
        If a number is out of range, the crystal is charged, or directions are none.
    """
    from scipy.spatial.transform import Rotation

    if grains < 1:
        raise InputError(f"polycrystal: {grains} grains; expected at least 1")
    size = _sizes(size, vacuum)
    frame, repeat = grain_frame(crystal, zone, up)
    seeds = rng.uniform(size=(grains, 3)) * size
    if columnar:
        size = (size[0], size[1], whole_repeats(size[2], repeat))
        seeds[:, 2] = size[2] / 2
        angles = rng.uniform(0.0, 2.0 * np.pi, grains)
        turns = Rotation.from_rotvec(angles[:, None] * [0.0, 0.0, 1.0])
    else:
        turns = Rotation.from_quat(rng.normal(size=(grains, 4)))
    kind = "columnar " if columnar else ""
    note = f"{grains} {kind}grains (Voronoi cells of random seeds)"
    how: dict[str, Any] = {"vacuum": vacuum, "closest": closest, "stoichiometric": stoichiometric}
    return cut_grains(crystal, size, seeds, turns.as_matrix() @ frame, note=note, **how)


def bicrystal(
    crystal: Structure,
    size: Triple,
    misorientation: float,
    *,
    axis: Sequence[int] | None = None,
    normal: Literal["x", "y", "z"] = "x",
    zone: Sequence[int] = (0, 0, 1),
    up: Sequence[int] | None = None,
    vacuum: Triple = (0.0, 0.0, 0.0),
    closest: float = 0.7,
    stoichiometric: bool = True,
) -> Polycrystal:
    """Two grains of a crystal turned against each other about a lattice direction: a grain boundary.

    Each grain is turned by half the angle, in opposite senses. An axis in the boundary makes a symmetric tilt boundary,
    one along its normal a twist boundary. A block that is periodic along the normal has two boundaries. Where a tilt
    boundary about the beam has a period (`rhotem.battery.tilts`), the side along it is rounded to whole periods;
    otherwise grains meet themselves across a side without vacuum, and a note says at which angle near by they do not.

    Parameters
    ----------
    misorientation : float
        Degrees, from −180 to 180.
    axis : three or four int
        Direction [uvw] of the conventional standard cell; None: ``zone``, so that both grains are seen along it. The
        third side is then rounded to whole repeats of the crystal.
    normal : "x", "y" or "z"
        Normal of the boundary.
    crystal, size, zone, up, vacuum, closest, stoichiometric
        As `polycrystal`.

    Raises
    ------
    InputError
        As `polycrystal`.
    """
    from scipy.spatial.transform import Rotation

    if not (np.isfinite(misorientation) and abs(misorientation) <= 180):
        raise InputError(f"misorientation {misorientation}: expected an angle from -180 to 180 degrees")
    if normal not in ("x", "y", "z"):
        raise InputError(f"boundary normal {normal!r}: expected x, y or z")
    size = _sizes(size, vacuum)
    frame, repeat = grain_frame(crystal, zone, up)
    about = frame @ direction_in(crystal, zone if axis is None else axis)
    about /= np.linalg.norm(about)
    across, seam = "xyz".index(normal), ""
    if abs(about[2]) > 1 - 1e-9:
        size = (size[0], size[1], whole_repeats(size[2], repeat))
        if across < 2 and not vacuum[1 - across]:
            lattice = primitive_cell(crystal)[0].cell @ frame.T
            size, misorientation, seam = periodic_tilt(lattice, size, misorientation, 1 - across)
    seeds = np.tile(np.array(size) / 2, (2, 1))
    seeds[:, across] *= (0.5, 1.5)
    turns = Rotation.from_rotvec(np.deg2rad(misorientation) * np.array([[-0.5], [0.5]]) * about)
    cosine = abs(about[across])
    kind = "twist" if cosine > 1 - 1e-6 else "tilt" if cosine < 1e-6 else "mixed"
    text = ",".join(str(i) for i in (zone if axis is None else axis))
    note = f"{kind} boundary across {normal}, {misorientation:.6g}° about [{text}]{seam}"
    how: dict[str, Any] = {"vacuum": vacuum, "closest": closest, "stoichiometric": stoichiometric}
    return cut_grains(crystal, size, seeds, turns.as_matrix() @ frame, note=note, **how)


def cut_grains(
    crystal: Structure,
    size: Triple,
    seeds: npt.ArrayLike,
    rotations: npt.ArrayLike,
    *,
    vacuum: Triple = (0.0, 0.0, 0.0),
    closest: float = 0.7,
    stoichiometric: bool = True,
    note: str = "",
    opening: Callable[[Floats], Floats] | None = None,
) -> Polycrystal:
    """Grains of given seeds and orientations; other arguments as `polycrystal`.

    Parameters
    ----------
    seeds : (G, 3) array
        In Å, inside the block.
    rotations : (G, 3, 3) array
        ``r' = R r`` from the crystal's frame to the grain's.
    opening : callable, optional
        Depth in Å of points (N, 3) of the block below the faces of what is empty in it, a crack or what surrounds a
        particle; negative where nothing is.

    Raises
    ------
    InputError
        If seeds lie outside or on each other, matrices are no rotations, or numbers are out of range.
    """
    size = _sizes(size, vacuum)
    points, turns = np.asarray(seeds, dtype=float).reshape(-1, 3), np.asarray(rotations, dtype=float).reshape(-1, 3, 3)
    _check(crystal, size, points, turns, closest)
    sides, free = np.array(size), np.array(vacuum) > 0
    cells = voronoi_cells(points, sides, free)
    middle = sides / 2
    parts = [_atoms_in(crystal, turn, middle, cell) for turn, cell in zip(turns, cells, strict=True)]
    grain = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    positions, site, depth = (np.concatenate([part[i] for part in parts]) for i in range(3))
    for _ in range(2):  # once more, for −1e-17 % L is L
        positions[:, ~free] %= sides[~free]
    box = np.where(free, 0.0, sides)
    numbers = crystal.numbers[site]
    removed: dict[str, dict[str, int]] = {}
    if opening is not None:
        below = opening(positions)
        inside = np.flatnonzero(below > 0)
        removed["opening"] = _counted(numbers, inside)
        grain, positions, site, numbers = grain[inside], positions[inside], site[inside], numbers[inside]
        depth = np.minimum(depth, below)[inside]
    keep = without_overlaps(crystal, numbers, positions, depth, box, closest)
    removed["overlap"] = _counted(numbers, keep)
    if stoichiometric:
        block = Block(crystal, numbers[keep], positions[keep], depth[keep], box, sides + vacuum)
        for name, work in (("stoichiometry", balance), ("polarity", neutralise)):
            before = keep[block.alive]
            work(block)
            removed[name] = _counted(numbers[before], np.flatnonzero(np.isin(before, keep[block.alive])))
        keep = keep[block.alive]
    grain, site, depth, numbers = grain[keep], site[keep], depth[keep], numbers[keep]
    half = np.array(vacuum) / 2
    atoms = ase.Atoms(numbers, positions[keep] + half, cell=np.diag(sides + 2 * half), pbc=True)
    atoms.set_array("grain", grain)
    moments = None if crystal.moments is None else np.asarray(crystal.moments)[site]
    info = {"name": f"{crystal.info.get('name', crystal.formula)}-polycrystal", **known_at(crystal)}
    made = Polycrystal(
        Structure(atoms, 0.0, moments, info, of_grains(crystal.displacements, turns, grain, site)),
        grain,
        site,
        depth,
        points + half,
        turns,
        middle + half,
        np.array([cell.volume for cell in cells]),
        removed,
    )
    notes = [text for text in (note, *_remarks(crystal, made)) if text]
    return replace(made, structure=replace(made.structure, info={**info, "notes": notes}))


def _atoms_in(crystal: Structure, turn: Floats, origin: Floats, cell: Cell) -> tuple[Floats, Ints, Floats]:
    """Positions, sites and depths of a turned crystal's atoms in a cell; one layer of unit cells at a time."""
    vectors = crystal.cell @ turn.T
    basis = crystal.atoms.get_scaled_positions(wrap=True)
    corners = (cell.vertices - origin) @ np.linalg.inv(vectors)
    low, high = np.floor(corners.min(axis=0) - 1e-9) - 1, np.floor(corners.max(axis=0) + 1e-9)
    second, third = (np.arange(a, b + 1) for a, b in zip(low[1:], high[1:], strict=True))
    layer = np.stack(np.meshgrid(second, third, indexing="ij"), axis=-1).reshape(-1, 2)
    reach = float(max(np.linalg.norm(np.array(c) @ vectors) for c in product((0, 1), repeat=3)))
    found: list[tuple[Floats, Ints, Floats]] = []
    for first in np.arange(low[0], high[0] + 1):
        cells = np.insert(layer, 0, first, axis=1)
        cells = cells[cell.depth(cells @ vectors + origin) > -reach]
        points = ((cells[:, None] + basis).reshape(-1, 3)) @ vectors + origin
        depth = cell.depth(points) if len(points) else np.zeros(0)
        inside = depth > 0
        found.append((points[inside], np.tile(np.arange(len(basis)), len(cells))[inside], depth[inside]))
    return tuple(np.concatenate([f[i] for f in found]) for i in range(3))  # type: ignore[return-value]  # three of them


def _sizes(size: Triple, vacuum: Triple) -> Triple:
    for name, three, least in (("size", size, "positive"), ("vacuum", vacuum, "not negative")):
        given = np.asarray(three, dtype=float)
        wrong = given.shape != (3,) or not np.isfinite(given).all()
        if wrong or (given.min() <= 0 if name == "size" else given.min() < 0):
            raise InputError(f"polycrystal: {name} {three}; expected three lengths in Å, {least}")
    return float(size[0]), float(size[1]), float(size[2])


def _check(crystal: Structure, size: Triple, seeds: Floats, rotations: Floats, closest: float) -> None:
    check(crystal)
    if crystal.charge:
        raise InputError(f"polycrystal: crystal with charge {crystal.charge:+g} e; boundaries need a neutral one")
    if not 0 <= closest < 1:
        raise InputError(f"polycrystal: closest {closest}; expected a fraction of the shortest distances, below 1")
    if len(seeds) < 1 or len(seeds) != len(rotations):
        raise InputError(f"polycrystal: {len(seeds)} seeds and {len(rotations)} rotations; expected one each per grain")
    if not ((seeds > 0) & (seeds < size)).all():
        raise InputError(f"polycrystal: a seed lies outside the block of {size} Å, or on its faces")
    if len(np.unique(seeds.round(6), axis=0)) < len(seeds):
        raise InputError("polycrystal: two seeds at one place; move one")
    if (
        not np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3), atol=1e-9)
        or np.linalg.det(rotations).min() < 0
    ):
        raise InputError("polycrystal: a matrix is no proper rotation; expected R R^T = 1 and det R = 1")
    atoms = len(crystal) * float(np.prod(size)) / crystal.volume
    if atoms > MAX_ATOMS:
        raise InputError(f"polycrystal: a block of {size} Å holds {atoms:.0f} atoms; ask for less than {MAX_ATOMS}")


def _counted(numbers: Ints, keep: Ints) -> dict[str, int]:
    """Atoms by element that are not kept."""
    from ase.data import chemical_symbols

    gone = np.bincount(numbers) - np.bincount(numbers[keep], minlength=int(numbers.max()) + 1)
    return {chemical_symbols[z]: int(n) for z, n in enumerate(gone) if n}


def _remarks(crystal: Structure, made: Polycrystal) -> list[str]:
    """What was taken out and what composition is left, in words."""
    notes = []
    why = {
        "opening": "in the opening",
        "overlap": "overlapping at boundaries",
        "stoichiometry": "in excess at boundaries and surfaces",
        "polarity": "whole formula units from charged boundaries and surfaces",
    }
    for key, counts in made.removed.items():
        if counts:
            notes.append(f"taken out, {why[key]}: " + ", ".join(f"{n} {e}" for e, n in counts.items()))
    wanted, got = (np.bincount(s.numbers, minlength=120) / len(s) for s in (crystal, made.structure))
    off = float(np.abs(wanted - got).max())
    notes.append(
        "composition that of the crystal" if off < 1e-12 else f"composition off by {100 * off:.2g} % of the atoms"
    )
    notes.append("not relaxed")
    return notes
