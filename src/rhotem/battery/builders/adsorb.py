"""Molecules on a surface, one or many: adsorbates and the first layer of an electrolyte."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.battery.builders.table import REQUIRED, Builder, Generator, Option
from rhotem.battery.specimen import HOST, Specimen
from rhotem.core import InputError
from rhotem.structure.model import Structure
from rhotem.structure.moments import beside

Floats = npt.NDArray[np.float64]

#: Atoms that touch are this share of the sum of their van der Waals radii apart; Å where a radius is not known.
TOUCH, RADIUS = 0.8, 2.0
#: Places that are tried for each molecule; Å of vacuum that must stay above.
TRIES, CLEAR = 200, 4.0
#: Å of vacuum around a molecule that is a reference of distances.
BOX = 12.0


def adsorbed(surface: Structure, molecule: ase.Atoms, count: int, rng: Generator) -> Specimen:
    """Molecules let down on a slab until they touch it, turned and placed at random, none on top of another.

    Parameters
    ----------
    surface : Structure
        A slab with vacuum along the third vector, which is upright.
    molecule : ase.Atoms
    count : int
    rng : Generator

    Raises
    ------
    InputError
        If there is no vacuum above, or no room for so many.
    """
    if count < 1:
        raise InputError(f"adsorb: {count} molecules; expected at least 1")
    height = float(surface.cell[2, 2])
    if np.abs(surface.cell[2, :2]).max() > 1e-6 or np.abs(surface.cell[:2, 2]).max() > 1e-6:
        raise InputError("adsorb: the surface must lie in the plane of the first two vectors, the third across it")
    atoms = surface.atoms.copy()
    atoms.wrap(eps=1e-6)
    z = np.sort(atoms.positions[:, 2])
    bottom, top = float(z[0]), float(z[-1])
    if len(z) > 1 and np.diff(z).max() > height - top + bottom:
        raise InputError("adsorb: the slab is cut in two by the end of its cell; move it to the middle")
    sides = np.linalg.det(surface.cell[:2, :2]) / np.linalg.norm(surface.cell[:2, :2], axis=1)
    if molecule.get_all_distances().max() + TOUCH * 2 * RADIUS > np.abs(sides).min():
        raise InputError(
            f"adsorb: a surface {np.abs(sides).min():.1f} Å wide, the molecule would touch its own image; repeat it "
            "first: rhotem structure build SLAB --repeat 3,2,1 -o wide.cif"
        )
    region = [0] * len(atoms)
    for number in range(1, count + 1):
        placed = _let_down(atoms, molecule, top, rng)
        if placed is None:
            raise InputError(f"adsorb: no room for molecule {number} of {count}; take fewer or a wider surface")
        if placed.positions[:, 2].max() > height + bottom - CLEAR:
            raise InputError(
                f"adsorb: the cell ends {CLEAR:g} Å or less above the molecules; give the slab more vacuum"
            )
        atoms += placed
        region += [number] * len(placed)
    name, formula = str(surface.info.get("name") or surface.formula), molecule.get_chemical_formula()
    notes = [*surface.info.get("notes", []), f"{count} {formula} on it, let down until they touch, not relaxed"]
    regions = [{"name": name, "phase": surface.formula}]
    regions += [{"name": f"{formula} {n}", "phase": formula} for n in range(1, count + 1)]
    index = np.array(region)
    defects = [
        {"kind": "molecule", "position_A": atoms.positions[index == n].mean(axis=0).tolist()}
        for n in range(1, count + 1)
    ]
    role = np.where(index > 0, "molecule", HOST).astype(object)
    alone = molecule.copy()
    alone.set_cell(np.ptp(molecule.positions, axis=0) + BOX)
    made = Structure(atoms, surface.charge, beside(surface, len(atoms)), {**surface.info, "notes": notes})
    return Specimen(made, regions, index, role, defects, [surface, Structure(alone)])


def _let_down(atoms: ase.Atoms, molecule: ase.Atoms, top: float, rng: Generator) -> ase.Atoms | None:
    """The molecule where it touches, in the first of some places where it touches the slab rather than a molecule."""
    from scipy.spatial.transform import Rotation

    plane = atoms.cell.array[:2, :2]
    images = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]) @ plane
    touch = TOUCH * np.add.outer(radii(molecule), radii(atoms))
    for _ in range(TRIES):
        placed = molecule.copy()
        turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
        placed.positions = (molecule.positions - molecule.positions.mean(axis=0)) @ turn.T
        placed.positions[:, :2] += rng.uniform(size=2) @ plane
        flat = placed.positions[:, None, :2] - atoms.positions[None, :, :2]
        square = ((flat[None] + images[:, None, None]) ** 2).sum(axis=3).min(axis=0)
        below = atoms.positions[None, :, 2] - placed.positions[:, None, 2]
        lift = np.where(square < touch**2, below + np.sqrt(np.maximum(touch**2 - square, 0.0)), -np.inf)
        placed.positions[:, 2] += lift.max()
        if placed.positions[:, 2].min() < top + TOUCH * 2 * RADIUS:
            return placed
    return None


def radii(atoms: ase.Atoms) -> Floats:
    """Van der Waals radii in Å (S. Alvarez, Dalton Trans. 42, 8617 (2013)), `RADIUS` where none is known."""
    from ase.data.vdw_alvarez import vdw_radii

    radii = np.asarray(vdw_radii[atoms.numbers], dtype=float)
    return np.where(np.isfinite(radii), radii, RADIUS)


def molecule_of(text: str) -> ase.Atoms:
    """A molecule from a file, or by the name that ASE has it under (H2O, CO2, C2H4, …).

    Raises
    ------
    InputError
        If it is neither.
    """
    import ase.io
    from ase.build import molecule

    if Path(text).is_file():
        try:
            read = ase.io.read(text)
        except Exception as error:  # whatever a reader of ASE meets in a damaged file
            raise InputError(f"molecule {text}: not read ({error}); give an xyz file") from error
        found = read[-1] if isinstance(read, list) else read
        if not len(found):
            raise InputError(f"molecule {text}: there is no atom in it; give an xyz file")
    else:
        try:
            found = molecule(text)
        except (KeyError, NotImplementedError) as error:
            raise InputError(f"molecule {text!r}: no file, and no molecule of that name; give an xyz file") from error
    return ase.Atoms(found.numbers, found.positions)


def molecules(
    name: str, help: str, place: Callable[[Structure, ase.Atoms, int, Generator], Specimen], of: str, argument: str
) -> Builder:
    """Row of a builder that puts molecules, such as ``of``, somewhere: on a slab, into pores."""

    def build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
        return place(load(texts[0]), molecule_of(options["molecule"]), options["count"], rng)

    return Builder(
        name,
        help,
        build,
        [
            Option("molecule", REQUIRED, f"FILE|{of}", "An xyz file, or the name of a small molecule."),
            Option("count", 1, "N", "How many."),
        ],
        argument,
    )


BUILDER = molecules("adsorb", "Molecules on a slab, turned and placed at random.", adsorbed, "H2O", "SLAB")
