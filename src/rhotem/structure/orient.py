"""Turn any crystal along any zone axis into an orthogonal cell that a beam can be sent through."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, is_rectangular
from rhotem.structure.displacement_tensors import picked, repeated_tensors, transformed
from rhotem.structure.indices import (
    IDENTITY,
    NamedCell,
    is_too_large,
    label,
    primitive_cell,
    standard_cell,
    three_indices,
)
from rhotem.structure.lattice import coset_representatives, search, stretch
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Basis = Literal["conventional", "input"]

#: Most atoms in a repeated cell before one is asked to think again.
MAX_ATOMS = 5_000_000


@dataclass(frozen=True, eq=False)
class ImagingCell:
    """An orthogonal cell of a crystal, beam along +z, and how it was made (docs/conventions.md, docs/structures.md).

    ``structure.cell == transform @ crystal.cell`` exactly, with integer ``transform``: Fourier coefficients of a
    density of ``crystal`` move to the imaging cell by the index map ``H = transform @ h``; nothing is interpolated.

    Parameters
    ----------
    structure : Structure
        Atoms in the orthogonal cell diag(lx, ly, lz); the zone axis is along −z, against the beam.
    transform : (3, 3) int array
        P, rows are the imaging vectors in units of the crystal's; det P > 0 for a right-handed input cell.
    crystal : Structure
        The input rotated and, where needed, strained: same atom order and fractional coordinates as the input.
    origin : Structure
        The input as it was given.
    rotation : (3, 3) array
        Proper rotation R, ``r' = R r``.
    strain : (3, 3) array
        Symmetric strain e in the input frame: ``crystal.cell == origin.cell @ (1 + e) @ R.T``.
    zone_input, zone_conventional : (3,) int arrays
        Lattice direction that points to the source (−z), in the input cell and in the conventional standard cell.
    axes_input, axes_conventional : (3, 3) int arrays
        Directions of +x, +y, +z, rows, coprime.
    space_group : str
        Symbol of the input's space group.
    atom_index : (N,) int array
        Index in ``crystal`` of each atom of ``structure``.
    plane_conventional : (3,) int array or None
        (hkl) if the cell was asked for by a plane normal.
    notes : tuple of str
        Remarks for the user.
    """

    structure: Structure
    transform: Ints
    crystal: Structure
    origin: Structure
    rotation: Floats
    strain: Floats
    zone_input: Ints
    zone_conventional: Ints
    axes_input: Ints
    axes_conventional: Ints
    space_group: str
    atom_index: Ints
    plane_conventional: Ints | None = None
    notes: tuple[str, ...] = ()

    @property
    def max_strain(self) -> float:
        """Largest principal strain, without sign."""
        return float(np.abs(np.linalg.eigvalsh(self.strain)).max())

    @property
    def unrotated(self) -> Structure:
        """``crystal`` before rotation and strain, in the input's frame: what a density is calculated or read for.

        Fractional coordinates and order of atoms are those of ``crystal``, so Fourier indices carry over.
        """
        back = np.linalg.inv(np.eye(3) + self.strain)
        cell = self.crystal.cell @ self.rotation @ back
        atoms = self.crystal.atoms.copy()
        atoms.set_cell(cell)
        atoms.set_positions(np.linalg.solve(self.crystal.cell.T, self.crystal.positions.T).T @ cell)
        motion = transformed(self.crystal.displacements, back @ self.rotation.T)
        return replace(self.crystal, atoms=atoms, info=dict(self.origin.info), displacements=motion)

    @property
    def lengths(self) -> Floats:
        """Sides (lx, ly, lz) in Å."""
        return np.diag(self.structure.cell).copy()

    @property
    def labels(self) -> dict[str, str]:
        """How to label a picture: conventional directions of ``x``, ``y``, ``up`` (−y) and ``zone`` (to the source).

        With ``plane=True`` there is also ``plane``, the indices of the plane that the beam meets head on.
        """
        names = {"x": label(self.axes_conventional[0]), "y": label(self.axes_conventional[1])}
        names["up"] = label(-self.axes_conventional[1])
        names["zone"] = label(self.zone_conventional)
        if self.plane_conventional is not None:
            names["plane"] = label(self.plane_conventional, "()")
        return names

    def repeated(self, nx: int, ny: int, nz: int) -> "ImagingCell":
        """The cell repeated along its three sides; everything said about it stays true."""
        counts = np.array([nx, ny, nz])
        if counts.min() < 1:
            raise InputError(f"repeats {nx} x {ny} x {nz}: expected three positive whole numbers")
        atoms = len(self.structure) * nx * ny * nz
        if atoms > MAX_ATOMS:
            raise InputError(f"{nx} x {ny} x {nz} repeats hold {atoms} atoms; ask for less width or thickness")
        image = self.structure.atoms.repeat(tuple(counts.tolist()))
        copies = int(counts.prod())
        moments = self.structure.moments
        structure = Structure(
            image,
            self.structure.charge * copies,
            None if moments is None else np.tile(moments, copies),
            dict(self.structure.info),
            repeated_tensors(self.structure.displacements, copies),
        )
        return replace(
            self,
            structure=structure,
            transform=np.diag(counts) @ self.transform,
            atom_index=np.tile(self.atom_index, copies),
        )

    def record(self) -> dict:
        """What a result should remember of it, JSON-ready."""
        return {
            "space_group": self.space_group,
            "zone_conventional": self.zone_conventional.tolist(),
            "zone_input": self.zone_input.tolist(),
            "plane_conventional": None if self.plane_conventional is None else self.plane_conventional.tolist(),
            "labels": self.labels,
            "transform": self.transform.tolist(),
            "lengths_angstrom": self.lengths.tolist(),
            "atoms": len(self.structure),
            "rotation": self.rotation.tolist(),
            "strain": self.strain.tolist(),
            "max_strain": self.max_strain,
            "notes": list(self.notes),
        }

    @classmethod
    def from_orthogonal(cls, structure: Structure) -> "ImagingCell":
        """Take a structure whose cell is already diag(lx, ly, lz) as it is, beam along its third vector."""
        cell = structure.cell
        if not is_rectangular(cell) or np.diag(cell).min() <= 0:
            raise InputError("the cell is not orthogonal along x, y, z; orient the structure along a zone axis first")
        identity = np.eye(3, dtype=np.int64)
        conventional = standard_cell(structure)
        own = NamedCell(cell.copy(), IDENTITY, conventional.number, conventional.symbol)
        made = _Making(structure, np.zeros((3, 3)), np.eye(3), own, conventional)
        return _build(made, structure, identity, np.diag(cell).copy())


def orient(
    structure: Structure,
    zone: Sequence[int] = (0, 0, 1),
    basis: Basis = "conventional",
    *,
    plane: bool = False,
    up: Sequence[int] | None = None,
    max_strain: float = 0.01,
    max_atoms: int = 5000,
    primitive: bool = False,
) -> ImagingCell:
    """The smallest orthogonal cell of a crystal with a zone axis against the beam.

    A cell that needs no strain is taken if one exists within ``max_atoms``; otherwise the smallest one whose principal
    strains stay below ``max_strain``. Among the sides, y is the longer one and runs towards +c, +b or +a of the
    conventional cell, the first that it has a component of.

    Parameters
    ----------
    structure : Structure
        Any crystal: triclinic, left-handed cell, atoms outside the cell.
    zone : three or four int
        Direction [uvw] (or [uvtw]) that points against the beam, towards the source; with ``plane`` the indices (hkl)
        of the plane whose normal does. Common factors are removed.
    basis : "conventional" or "input"
        Whether the indices refer to the conventional standard cell (spglib) or to the vectors of the structure.
    plane : bool
        ``zone`` is a plane normal.
    up : three or four int, optional
        Direction (same basis) that −y must follow in projection: pictures have y downwards.
    max_strain : float
        Largest principal strain that may be applied to close the cell.
    max_atoms : int
        Largest imaging cell that is looked for; never less than the structure itself has.
    primitive : bool
        Reduce the input to its primitive cell first: smaller pictures, but ``crystal`` then has other vectors and fewer
        atoms than ``origin``. Right whenever the density is computed afterwards, wrong for a density read from a file.

    Raises
    ------
    InputError
        If the indices are no direction, ``up`` is parallel to the zone, or no cell is found within the limits.
    """
    from rhotem.structure.check import check

    if basis not in ("conventional", "input"):
        raise InputError(f"zone basis {basis!r}: expected 'conventional' or 'input'")
    if not 0 <= max_strain <= 0.1:
        raise InputError(f"max_strain {max_strain}: expected a fraction between 0 and 0.1")
    check(structure)
    origin = structure
    conventional = standard_cell(structure)
    own = NamedCell(structure.cell.copy(), IDENTITY, conventional.number, conventional.symbol)
    if primitive:
        structure, reduced = primitive_cell(structure)
        conventional, own = conventional.seen_from(reduced), own.seen_from(reduced)
    names = conventional if basis == "conventional" else own
    indices, notes = three_indices(zone, plane, names.hexagonal)
    if basis == "conventional" and conventional.number == 1:
        notes += (_no_symmetry(structure),)
    axis = names.plane_to_structure(indices) if plane else names.direction_to_structure(indices)
    normal: Floats = np.linalg.solve(structure.cell, axis.astype(float)) if plane else axis @ structure.cell
    upward = None if up is None else _upward(up, names, normal)
    found = search(
        structure.cell,
        axis,
        plane=plane,
        max_strain=max_strain,
        max_volume=max(max_atoms / len(structure), 1.0 + 1e-6) * structure.volume,
        up=upward,
    )
    if found is None:
        what = f"{'plane' if plane else 'zone axis'} {','.join(map(str, zone))}"
        limits = f"{max(max_atoms, len(structure))} atoms and {100 * max_strain:g} % strain"
        raise InputError(
            f"{what}: no orthogonal cell with at most {limits}; allow more strain or atoms"
            + ("" if up is None else ", or leave the upward direction free")
        )
    transform = _ordered(found.vectors, structure.cell, normal, conventional.cell, upward)
    lengths, strain, rotation = stretch(transform @ structure.cell)
    made = _Making(origin, strain, rotation, own, conventional)
    cell = _build(made, structure, transform, lengths)
    hkl = conventional.plane_from_structure(axis) if plane else None
    return replace(cell, plane_conventional=hkl, notes=notes)


def _no_symmetry(structure: Structure) -> str:
    if is_too_large(structure):
        return (
            f"{len(structure)} atoms that do not repeat: symmetry was not looked for, the conventional cell is the "
            "given one"
        )
    return "no symmetry found: the conventional cell is the given one"


@dataclass(frozen=True, eq=False)
class _Making:
    """What stays the same when a cell is repeated."""

    origin: Structure
    strain: Floats
    rotation: Floats
    own: NamedCell
    conventional: NamedCell


def _upward(up: Sequence[int], names: NamedCell, normal: Floats) -> Floats:
    """Cartesian direction of −y, upwards in pictures."""
    indices, _ = three_indices(up, False, names.hexagonal)
    direction = indices @ names.cell
    unit = normal / np.linalg.norm(normal)
    flat = direction - (direction @ unit) * unit
    if np.linalg.norm(flat) < 1e-3 * np.linalg.norm(direction):
        raise InputError(f"upward direction {','.join(map(str, up))} is along the zone axis; give one across it")
    return flat


def _ordered(vectors: Ints, cell: Floats, normal: Floats, standard: Floats, upward: Floats | None) -> Ints:
    """Rows x, y, z: z against ``normal``, y the longer side (or the one against ``upward``), right-handed in space."""
    a, b, c = vectors
    if (c @ cell) @ normal > 0:
        c = -c
    lengths = np.linalg.norm(np.stack([a, b]) @ cell, axis=1)
    if upward is not None:
        swap = abs(a @ cell @ upward) / lengths[0] > abs(b @ cell @ upward) / lengths[1]
    else:
        swap = lengths[0] > lengths[1] * (1 + 1e-6)
    x, y = (b, a) if swap else (a, b)
    guides = [upward] if upward is not None else [standard[2], standard[1], standard[0]]
    side = y @ cell
    for guide in guides:
        component = side @ guide / np.linalg.norm(side) / np.linalg.norm(guide)
        if abs(component) > 0.05:
            y = -y if component > 0 else y
            break
    if np.linalg.det(np.stack([x, y, c]) @ cell) < 0:
        x = -x
    return np.stack([x, y, c])


def _build(made: _Making, structure: Structure, transform: Ints, lengths: Floats) -> ImagingCell:
    """The imaging cell of ``structure`` (unrotated) whose sides are ``lengths``."""
    crystal_cell = np.linalg.solve(transform.astype(float), np.diag(lengths))
    fractional = np.linalg.solve(structure.cell.T, structure.positions.T).T
    atoms = structure.atoms.copy()
    atoms.set_cell(crystal_cell)
    atoms.set_positions(fractional @ crystal_cell)
    atoms.set_pbc(True)
    info = dict(structure.info)
    if "parent_cell" in info:
        info["parent_cell"] = (np.array(info["parent_cell"]) @ (np.eye(3) + made.strain) @ made.rotation.T).tolist()
    motion = transformed(structure.displacements, made.rotation @ (np.eye(3) + made.strain))
    crystal = Structure(atoms, structure.charge, structure.moments, info, motion)
    shifts = coset_representatives(transform)
    index = np.tile(np.arange(len(structure)), len(shifts))
    placed = (fractional[None] + shifts[:, None]).reshape(-1, 3) @ np.linalg.inv(transform.astype(float))
    placed -= np.floor(placed + 1e-9)
    image = ase.Atoms(structure.numbers[index], cell=np.diag(lengths), scaled_positions=placed, pbc=True)
    moments = None if structure.moments is None else np.asarray(structure.moments)[index]
    charge = structure.charge * len(shifts)
    axes = [[named.direction_from_structure(row) for row in transform] for named in (made.own, made.conventional)]
    return ImagingCell(
        structure=Structure(image, charge, moments, dict(info), picked(motion, index)),
        transform=transform,
        crystal=crystal,
        origin=made.origin,
        rotation=made.rotation,
        strain=made.strain,
        zone_input=-axes[0][2],
        zone_conventional=-axes[1][2],
        axes_input=np.array(axes[0]),
        axes_conventional=np.array(axes[1]),
        space_group=made.conventional.symbol,
        atom_index=index,
    )
