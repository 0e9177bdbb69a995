"""Things made of crystals: layered stackings, slabs with vacuum, interfaces and grain boundaries."""

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.displacement_tensors import alike, attached, deformed, detached, known_at, picked, transformed
from rhotem.structure.indices import IDENTITY, NamedCell, primitive_cell, standard_cell, three_indices
from rhotem.structure.lattice import complete, coset_representatives, integer_inverse
from rhotem.structure.model import Structure
from rhotem.structure.moments import carried, of_parts, picked_moments, taken
from rhotem.structure.ordering import formal_charge
from rhotem.structure.orient import ImagingCell

Floats = npt.NDArray[np.float64]

#: Close-packed letters of each slab, bottom oxygen, metal, top oxygen, and of the alkali above it; C. Delmas,
#: C. Fouassier, P. Hagenmuller, Physica B+C 99, 81 (1980). In P2 the alkali takes the site that shares only edges.
STACKINGS = {
    "O1": [("A", "C", "B", "C")],
    "O3": [("A", "C", "B", "A"), ("C", "B", "A", "C"), ("B", "A", "C", "B")],
    "P2": [("A", "C", "B", "A"), ("B", "C", "A", "B")],
    "P3": [("A", "C", "B", "A"), ("B", "A", "C", "B"), ("C", "B", "A", "C")],
}
LETTERS = {"A": (0.0, 0.0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}


def layered_oxide(
    metal: str,
    alkali: str | None,
    stacking: str,
    a: float,
    slab: float,
    gap: float,
) -> Structure:
    """A layered oxide AMO2 (or MO2 without alkali) of a given stacking in its hexagonal cell.

    Parameters
    ----------
    metal, alkali : str
        Elements; ``alkali=None`` leaves the sites empty.
    stacking : "O1", "O3", "P2" or "P3"
        Delmas's symbols: octahedral or prismatic alkali, number of slabs in the cell.
    a : float
        In-plane lattice constant in Å.
    slab, gap : float
        Distances in Å between the oxygen planes of one slab and of neighbouring slabs; c = n (slab + gap).
    """
    if stacking not in STACKINGS:
        raise InputError(f"stacking {stacking}: expected one of {', '.join(STACKINGS)}")
    if min(a, slab, gap) <= 0:
        raise InputError("layered oxide: a, slab and gap must be positive lengths in Å")
    layers = STACKINGS[stacking]
    symbols, positions = [], []
    height = 0.0
    for bottom, middle, top, guest in layers:
        above = [("O", bottom, 0.0), (metal, middle, slab / 2), ("O", top, slab), (alkali, guest, slab + gap / 2)]
        for symbol, letter, z in above:
            if symbol:
                symbols.append(symbol)
                positions.append((*LETTERS[letter], (height + z) / (len(layers) * (slab + gap))))
        height += slab + gap
    cell = [[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, height]]
    name = f"{stacking}-{alkali or ''}{metal}O2"
    return Structure(
        ase.Atoms(symbols, cell=cell, scaled_positions=positions, pbc=True),
        info={"name": name, "class": "layered oxide", "notes": [f"{stacking} stacking built from layers"]},
    )


def slab(
    structure: Structure,
    plane: tuple[int, ...],
    thickness: float,
    vacuum: float = 15.0,
    basis: str = "conventional",
) -> Structure:
    """A slab of a crystal cut along a lattice plane, with vacuum; third cell vector along the surface normal.

    Among all cuts between atomic planes the one with the smallest dipole of formal charges is taken, then the widest
    gap. Composition is that of the crystal. If every cut is polar the note says so with its dipole.

    Parameters
    ----------
    plane : three or four int
        (hkl) of the surface, in the conventional standard cell or that of the input.
    thickness : float
        Least thickness in Å; whole repeats of the smallest layer.
    vacuum : float
        Thickness in Å of the empty layer.
    """
    if not (np.isfinite(thickness) and thickness > 0 and np.isfinite(vacuum) and vacuum >= 0):
        raise InputError(f"slab: thickness {thickness} and vacuum {vacuum} must be positive lengths in Å")
    unit, dipole = layer(structure, plane, basis)
    spacing = float(unit.cell[2, 2])
    layers = max(1, int(np.ceil(thickness / spacing - 1e-6)))
    atoms = upright(unit, layers, vacuum)
    area = abs(float(np.linalg.det(atoms.cell.array[:2, :2])))
    polar = abs(dipole) > 1e-3
    text = ",".join(map(str, plane))
    note = f"({text}) slab of {layers} layers, {layers * spacing:.2f} Å, {vacuum:g} Å vacuum" + (
        f"; polar, every cut has a dipole (formal charges: {layers * dipole / area:+.3f} e/Å)" if polar else ""
    )
    kept = {key: value for key, value in structure.info.items() if not key.startswith("parent_")}
    info = {**kept, "notes": [*structure.info.get("notes", []), note], "polar": polar}
    charge = structure.charge * len(atoms) / len(structure)
    return Structure(atoms, charge, taken(atoms), info, detached(atoms))


def layer(structure: Structure, plane: tuple[int, ...], basis: str = "conventional") -> tuple[ase.Atoms, float]:
    """The thinnest layer of a crystal between two cuts along a lattice plane, and its dipole of formal charges (e·Å).

    The plane is xy, the cut of `slab` is at z = 0, and the third vector spans one spacing with the slant of the
    lattice: repeats along it are the crystal. Displacements and moments of the crystal come as arrays of the atoms
    (`rhotem.structure.displacement_tensors.attached`, `rhotem.structure.moments.carried`).
    """
    names = standard_cell(structure) if basis == "conventional" else NamedCell(structure.cell, IDENTITY, 1, "")
    indices, _ = three_indices(plane, True, names.hexagonal)
    small, reduced = primitive_cell(structure)  # thinnest layers
    unit = _layer(small, names.seen_from(reduced).plane_to_structure(indices))
    height, dipole, _ = min(cuts(unit), key=lambda cut: (round(abs(cut[1]), 3), -round(cut[2], 3)))
    fractional = unit.get_scaled_positions(wrap=False)
    fractional[:, 2] = (fractional[:, 2] - height / unit.cell[2, 2]) % 1.0
    unit.set_scaled_positions(fractional)
    return unit, dipole


def upright(unit: ase.Atoms, layers: int, vacuum: float = 0.0) -> ase.Atoms:
    """``layers`` of a `layer` above each other in a cell with the third vector along z, ``vacuum`` Å around them."""
    atoms = unit.repeat((1, 1, layers))
    height = layers * float(unit.cell[2, 2]) + vacuum
    atoms.set_cell([unit.cell.array[0], unit.cell.array[1], [0.0, 0.0, height]])
    atoms.positions[:, 2] += vacuum / 2
    atoms.wrap(eps=1e-9)
    return atoms


def interface(
    lower: ImagingCell,
    upper: ImagingCell,
    widths: tuple[float, float] = (20.0, 20.0),
    gap: float = 0.0,
    max_strain: float = 0.03,
    merge: float = 1.0,
) -> ImagingCell:
    """Two oriented crystals above each other along y, seen edge-on: an interface, or a grain boundary of one crystal.

    Both are repeated along x until their lengths agree; the upper one is strained along x and z to the lower one.
    The boundaries (two, the cell is periodic) are flat, unrelaxed starting points.

    Parameters
    ----------
    lower, upper : ImagingCell
        Crystals as they face each other, beam along z.
    widths : tuple of two float
        Least extent along y of each in Å.
    gap : float
        Extra distance in Å at both boundaries.
    max_strain : float
        Largest strain of the upper crystal along x or z.
    merge : float
        Atoms of the upper crystal nearer than this (Å) to one of the lower are taken out.

    Raises
    ------
    InputError
        If no repeats up to 12 match within the strain.
    """
    nx, mx, ex = _matched(lower.lengths[0], upper.lengths[0], max_strain, "x")
    nz, mz, ez = _matched(lower.lengths[2], upper.lengths[2], max_strain, "z")
    rows = [max(1, int(np.ceil(w / c.lengths[1] - 1e-9))) for w, c in zip(widths, (lower, upper), strict=True)]
    parts = lower.repeated(nx, rows[0], nz).structure, upper.repeated(mx, rows[1], mz).structure
    below, above = (
        carried(attached(part.atoms, part.displacements), moments)
        for part, moments in zip(parts, of_parts(parts), strict=True)
    )
    lx, ly, lz = np.diag(below.cell.array)
    deformed(above, np.diag([lx / above.cell.array[0, 0], 1.0, lz / above.cell.array[2, 2]]))
    above.set_cell(np.diag([lx, above.cell.array[1, 1], lz]), scale_atoms=True)
    alike(below, above)
    above.positions[:, 1] += ly + gap
    atoms = below + above
    atoms.set_cell(np.diag([lx, ly + above.cell.array[1, 1] + 2 * gap, lz]))
    clash = _clashes(atoms, len(below), merge)
    keep = [i for i in range(len(atoms)) if i not in clash]
    names = [c.structure.info.get("name", c.structure.atoms.get_chemical_formula()) for c in (lower, upper)]
    note = (
        f"{names[0]} below {names[1]}: {nx}:{mx} repeats along x, {nz}:{mz} along z, upper crystal strained by"
        f" {100 * ex:+.2f} % and {100 * ez:+.2f} %, {len(clash)} atoms merged, not relaxed"
    )
    info = {"name": f"{names[0]}|{names[1]}", "notes": [note], **known_at(*parts)}
    charge = lower.structure.charge * nx * rows[0] * nz + upper.structure.charge * mx * rows[1] * mz
    atoms = atoms[keep]
    return ImagingCell.from_orthogonal(Structure(atoms, charge, taken(atoms), info, detached(atoms)))


def _layer(structure: Structure, plane: npt.NDArray[np.int64]) -> ase.Atoms:
    """One layer of the crystal: first two vectors in the plane along x and the xy plane, third spans one spacing.

    The third vector keeps its slant, so that repeats along it are the crystal.
    """
    transform, frame = layer_vectors(structure.cell, plane)
    rows = transform @ structure.cell
    fractional = np.linalg.solve(structure.cell.T, structure.positions.T).T
    shifts = coset_representatives(transform)
    placed = (fractional[None] + shifts[:, None]).reshape(-1, 3) @ np.linalg.inv(transform.astype(float))
    index = np.tile(np.arange(len(structure)), len(shifts))
    unit = ase.Atoms(structure.numbers[index], cell=rows @ frame.T, scaled_positions=placed % 1.0, pbc=True)
    carried(unit, picked_moments(structure, index))
    return attached(unit, picked(transformed(structure.displacements, frame), index))


def layer_vectors(cell: Floats, plane: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Floats]:
    """Integer vectors (rows) of a layer of a plane (hkl) of ``cell``, and the rotation that lays the plane flat.

    The first two vectors are the shortest in the plane, the third spans one spacing; right-handed. The rotation brings
    the first to x and the normal to z.
    """
    transform = integer_inverse(complete(plane)).T
    rows = transform @ cell
    normal = np.cross(rows[0], rows[1])
    if normal @ rows[2] < 0:
        transform[2] *= -1
    from ase.geometry import minkowski_reduce

    _, change = minkowski_reduce(transform @ cell, pbc=[True, True, False])
    transform = np.asarray(change, dtype=np.int64) @ transform
    if np.linalg.det(transform @ cell) < 0:
        transform[[0, 1]] = transform[[1, 0]]
    return transform, flat_frame(transform @ cell)


def flat_frame(rows: Floats) -> Floats:
    """Rotation (rows: new axes) that brings the first of three vectors to x and the normal of the first two to z."""
    x = rows[0] / np.linalg.norm(rows[0])
    z = np.cross(rows[0], rows[1])
    z /= np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z])


def cuts(unit: ase.Atoms) -> list[tuple[float, float, float]]:
    """Possible cuts of one layer: height in Å, dipole (formal charges, e·Å) of the layer above it, width of the gap."""
    spacing = float(unit.cell.array[2, 2])
    z = np.sort(unit.positions[:, 2] % spacing)
    planes = [z[0]]
    for height in z[1:]:
        if height - planes[-1] > 0.05:
            planes.append(height)
    following = [*planes[1:], planes[0] + spacing]
    charges = np.array([formal_charge(symbol) for symbol in unit.get_chemical_symbols()])
    charges -= charges.mean()
    cuts = []
    for low, high in zip(planes, following, strict=True):
        height = (low + high) / 2
        cuts.append((height, float(charges @ ((unit.positions[:, 2] - height) % spacing)), float(high - low)))
    return cuts


def _matched(one: float, two: float, max_strain: float, axis: str) -> tuple[int, int, float]:
    """Fewest repeats of two lengths that agree within the strain of the second."""
    for total in range(2, 25):
        for n in range(1, total):
            m = total - n
            strain = n * one / (m * two) - 1
            if max(n, m) <= 12 and abs(strain) <= max_strain:
                return n, m, float(strain)
    raise InputError(
        f"interface: {one:.3f} and {two:.3f} Å along {axis} do not match within {100 * max_strain:g} % for up to 12"
        " repeats; allow more strain or turn one crystal"
    )


def _clashes(atoms: ase.Atoms, first: int, merge: float) -> set[int]:
    from ase.neighborlist import neighbor_list

    i, j = neighbor_list("ij", atoms, merge) if merge > 0 else (np.empty(0, int), np.empty(0, int))
    return {int(b) for a, b in zip(i, j, strict=True) if a < first <= b}
