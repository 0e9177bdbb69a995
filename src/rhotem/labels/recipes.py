"""Recipes: a structure in a few words (prototype, elements, vacancies, surface, strain), built always the same."""

import hashlib
from typing import Any, Literal

import ase
import ase.cell
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from rhotem.core import InputError
from rhotem.structure import edits
from rhotem.structure.build import displaced, repeated, strained
from rhotem.structure.model import Structure
from rhotem.structure.phases import reference_compound, structure_types

#: Radii in Å (Shannon 1976, usual valence and coordination, rounded): lattices are scaled by them when elements are
#: replaced.
RADII = {
    "H": 0.3, "Li": 0.76, "Na": 1.02, "K": 1.38, "Mg": 0.72, "Ca": 1.0, "Al": 0.535, "Si": 0.26, "P": 0.17, "B": 0.11,
    "Ti": 0.605, "V": 0.62, "Cr": 0.615, "Mn": 0.645, "Fe": 0.645, "Co": 0.56, "Ni": 0.58, "Cu": 0.73, "Zn": 0.74,
    "Zr": 0.72, "Nb": 0.64, "O": 1.40, "F": 1.33, "N": 1.46, "S": 1.84, "Cl": 1.81, "P-": 2.1, "C": 0.16,
    "Be": 0.27, "Rb": 1.52, "Cs": 1.67, "Sr": 1.18, "Ba": 1.35, "Sc": 0.745, "Y": 0.90, "La": 1.032, "Ce": 0.87,
    "Nd": 0.983, "Hf": 0.71, "Ta": 0.64, "Mo": 0.65, "W": 0.60, "Ru": 0.62, "Rh": 0.665, "Pd": 0.86, "Ag": 1.15,
    "Ir": 0.625, "Pt": 0.625, "Au": 1.37, "Cd": 0.95, "Ga": 0.62, "In": 0.80, "Ge": 0.53, "Sn": 0.69, "Pb": 1.19,
    "As": 0.46, "Sb": 0.60, "Bi": 1.03, "Se": 1.98, "Te": 2.21, "Br": 1.96, "I": 2.20,
}  # fmt: skip

ANIONS = {"O", "F", "N", "S", "Cl", "Se", "Te", "Br", "I"}

#: The prototype of a recipe with two phases.
INTERFACE = "interface"


class Slab(BaseModel):
    """A symmetric surface: Miller indices of the conventional cell, number of layers, vacuum in Å (both sides)."""

    model_config = ConfigDict(extra="forbid")
    miller: tuple[int, int, int]
    layers: int = Field(gt=0)
    vacuum: float = Field(8.0, gt=0)


class Phase(BaseModel):
    """One crystal of an interface: what `Recipe` says of a prototype, and ``layers`` of a plane of its usual cell."""

    model_config = ConfigDict(extra="forbid")
    prototype: str
    miller: tuple[int, int, int]
    layers: int = Field(gt=0)
    replace: dict[str, str] = {}
    scale: float = Field(1.0, gt=0)
    cell: tuple[float, float, float, float, float, float] | None = None

    def crystal(self) -> Structure:
        """The bulk crystal."""
        return Recipe(prototype=self.prototype, replace=self.replace, scale=self.scale, cell=self.cell).build()


class Interface(BaseModel):
    """Two phases in one periodic cell, as `rhotem.structure.coherent.coherent_interface` stacks them."""

    model_config = ConfigDict(extra="forbid")
    lower: Phase
    upper: Phase
    gap: float | None = Field(None, gt=0)
    max_strain: float = Field(0.05, ge=0, lt=0.2)
    share: float = Field(1.0, ge=0, le=1)
    max_area: float = Field(60.0, gt=0)

    def stack(self) -> Structure:
        """The interface; its ``info["phases"]`` says which crystals, for splits by chemistry."""
        from rhotem.structure.coherent import Side, coherent_interface

        crystals = [phase.crystal() for phase in (self.lower, self.upper)]
        sides = [
            Side(crystal, phase.miller, phase.layers)
            for crystal, phase in zip(crystals, (self.lower, self.upper), strict=True)
        ]
        options = self.model_dump(exclude={"lower", "upper"})
        made = coherent_interface(*sides, **options)
        made.info["phases"] = [
            {"prototype": c.info["prototype"], "elements": sorted(set(c.atoms.symbols))} for c in crystals
        ]
        return made


class Recipe(BaseModel):
    """How to build one structure; steps are applied in the order of the fields.

    ``replace`` maps elements of the reference compound (whole sites), ``decorate`` spreads counts of elements over the
    atoms of one element (what is left over keeps it), ``remove`` makes vacancies; which atoms are taken follows from
    ``seed``. ``edits`` are those of `rhotem.structure.edits` by name, with values as `rhotem structure build` takes
    them, sites chosen at random by ``seed``. ``scale`` is a linear factor on top of the one that follows from the
    radii. ``strain`` (largest component) and ``rattle`` (standard deviation, Å) are random by ``seed``. ``charge`` in
    e. The prototype "interface" has its two phases in ``interface``, which say what elements and cells they have.
    """

    model_config = ConfigDict(extra="forbid")
    prototype: str
    replace: dict[str, str] = {}
    scale: float = Field(1.0, gt=0)
    cell: tuple[float, float, float, float, float, float] | None = None
    primitive: bool = True
    supercell: tuple[int, int, int] | list[list[int]] = (1, 1, 1)
    decorate: dict[str, dict[str, int]] = {}
    remove: dict[str, int] = {}
    edits: dict[str, Any] = {}
    slab: Slab | None = None
    strain: float = Field(0.0, ge=0, lt=0.2)
    rattle: float = Field(0.0, ge=0, lt=0.5)
    charge: float = 0.0
    moments: dict[str, float] | Literal["antiferro"] | None = None
    seed: int = 0
    family: str | None = None
    interface: Interface | None = None

    @model_validator(mode="after")
    def _one_host(self) -> "Recipe":
        if (self.prototype == INTERFACE) != (self.interface is not None):
            raise ValueError('the prototype "interface" and the field interface go together')
        if self.interface is not None and (self.replace or self.cell or self.slab or self.scale != 1.0):
            raise ValueError("of an interface, replace, cell and scale belong to its phases, and it has no slab")
        return self

    @model_serializer(mode="wrap")
    def _without_new_fields(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Fields younger than the first plans are left out where unused, so that decided plans keep their names."""
        values = handler(self)
        for name in ("interface", "edits"):
            if not getattr(self, name):
                values.pop(name, None)
        return values

    def build(self) -> Structure:
        """The structure, its ``info`` naming prototype, composition, ordering and family.

        Raises
        ------
        InputError
            If the recipe asks for atoms that are not there, or puts two atoms on top of each other.
        """
        rng = np.random.default_rng(self.seed)
        atoms, made = self._composed(rng)
        name = self.prototype + (f"-slab{''.join(str(i) for i in self.slab.miller)}" if self.slab else "")
        # Ordering is that of the undistorted crystal, so that a rattled copy has the same parent.
        info: dict[str, Any] = {
            "prototype": name,
            "composition": atoms.get_chemical_formula(mode="hill", empirical=True),
            "ordering": ordering_key(atoms),
            "family": self.family or (INTERFACE if self.interface else structure_types()[self.prototype].family),
            "recipe": self.model_dump(exclude_defaults=True, mode="json"),
            **made,
        }
        title = f"{name} {made['name']}" if self.interface else name
        info["name"] = f"{title} {atoms.get_chemical_formula()}" + (f" q={self.charge:+g}" if self.charge else "")
        moments = self._moments(atoms)
        atoms = _distort(atoms, self.strain, self.rattle, rng, self.slab is not None)
        shortest = _shortest(atoms)
        if shortest < 0.65:
            raise InputError(f"recipe {info['name']}: two atoms {shortest:.2f} Å apart; check prototype and scale")
        return Structure(atoms, charge=self.charge, moments=moments, info=info)

    def _composed(self, rng: np.random.Generator) -> tuple[ase.Atoms, dict[str, Any]]:
        """The undistorted atoms, and what an interface says of itself."""
        stack = self.interface.stack() if self.interface else None
        atoms = self._host() if stack is None else _repeat(stack.atoms, self.supercell)
        before = np.array(atoms.get_chemical_symbols(), dtype=object)
        reference = _undo(before, self.replace)
        for element, parts in self.decorate.items():
            _decorate(atoms, element, parts, rng)
        if self.cell is None and stack is None:
            _rescale(atoms, reference)
        for element, count in self.remove.items():
            where = [i for i, s in enumerate(atoms.symbols) if s == element]
            if count > len(where):
                raise InputError(f"recipe {self.prototype}: {count} {element} to remove, only {len(where)} there")
            del atoms[sorted(int(i) for i in rng.choice(where, count, replace=False))]
        cell = atoms.cell.array * self.scale
        if self.slab is not None:
            cell[2] = atoms.cell.array[2]
        atoms.set_cell(cell, scale_atoms=True)
        if self.edits:
            atoms = edits.apply(Structure(atoms), self.edits, edits.Chance(rng, rng)).atoms
        return atoms, {} if stack is None else stack.info

    def _host(self) -> ase.Atoms:
        """The prototype with its elements replaced, repeated or cut."""
        atoms = reference_compound(self.prototype, self.primitive and self.slab is None)
        symbols = np.array(atoms.get_chemical_symbols(), dtype=object)
        for element in self.replace:
            if element not in symbols:
                raise InputError(f"recipe {self.prototype}: no {element} to replace, it has {sorted(set(symbols))}")
        if self.cell is not None:
            if not self.primitive or self.slab is not None:
                atoms.set_cell(self.cell, scale_atoms=True)
            elif structure_types()[self.prototype].cell != self.cell:
                atoms = _with_conventional_cell(self.prototype, atoms, self.cell)
        atoms.set_chemical_symbols([self.replace.get(s, s) for s in symbols])
        atoms = _repeat(atoms, self.supercell) if self.slab is None else _cut(atoms, self.slab, self.supercell)
        del atoms.arrays["site"]
        return atoms

    def _moments(self, atoms: ase.Atoms) -> np.ndarray | None:
        from rhotem.structure.moments import START_MOMENTS

        if self.moments is None:
            return None
        if self.moments == "antiferro":
            moments = np.array([START_MOMENTS.get(s, 0.0) for s in atoms.symbols])
            magnetic = np.flatnonzero(moments)
            # Alternate along the order of heights: adjacent planes antiparallel.
            moments[magnetic[np.argsort(atoms.get_scaled_positions()[magnetic] @ [1.0, 0.1, 0.01])][1::2]] *= -1
            return moments
        return np.array([self.moments.get(s, 0.0) for s in atoms.symbols])


def ordering_key(atoms: ase.Atoms) -> str:
    """Eight hexadecimal digits that name an arrangement of elements, whatever cell, origin or axes describe it.

    Hash of how often each pair of elements occurs at each distance (0.2 Å bins of distances divided by the cube root of
    the volume per atom, out to 2.2 of them), per atom of the formula unit.
    """
    from ase.neighborlist import neighbor_list

    unit = (atoms.get_volume() / len(atoms)) ** (1 / 3)
    i, j, d = neighbor_list("ijd", atoms, 2.2 * unit)
    z = atoms.numbers
    keys, counts = np.unique(
        np.stack([np.minimum(z[i], z[j]), np.maximum(z[i], z[j]), np.floor(d / unit * 10 + 0.25).astype(int)]),
        axis=1,
        return_counts=True,
    )
    text = ";".join(f"{a},{b},{r}:{c / len(atoms):.3f}" for (a, b, r), c in zip(keys.T, counts, strict=True))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _undo(symbols: np.ndarray, replace: dict[str, str]) -> np.ndarray:
    back = {v: k for k, v in replace.items()}
    return np.array([back.get(s, s) for s in symbols], dtype=object)


def _rescale(atoms: ase.Atoms, reference: np.ndarray) -> None:
    """Scale the cell by the mean ratio, over the cations, of the distances to anions expected from the radii."""
    new, old = list(atoms.symbols), [str(s) for s in reference]
    anions = [float(np.mean([RADII[s] for s in kind if s in ANIONS] or [1.4])) for kind in (new, old)]
    pairs = [(RADII.get(n, 1.4), RADII.get(o, 1.4)) for n, o in zip(new, old, strict=True) if o not in ANIONS]
    factor = float(np.mean([(n + anions[0]) / (o + anions[1]) for n, o in pairs])) if pairs else 1.0
    atoms.set_cell(atoms.cell.array * factor, scale_atoms=True)


def _repeat(atoms: ase.Atoms, supercell: tuple[int, int, int] | list[list[int]]) -> ase.Atoms:
    if np.ndim(supercell) == 1:
        return repeated(Structure(atoms), *supercell).atoms
    from ase.build import make_supercell

    return make_supercell(atoms, np.array(supercell))


def _cut(atoms: ase.Atoms, slab: Slab, supercell: Any) -> ase.Atoms:
    from ase.build import surface

    # Periodic only after the cut: ASE would wrap atoms of the lowest plane, at −1e-17, to the top.
    cut = surface(atoms, slab.miller, slab.layers, vacuum=slab.vacuum / 2, periodic=False)
    cut.pbc = True
    return _smallest_in_plane(cut).repeat(supercell)


def _smallest_in_plane(slab: ase.Atoms) -> ase.Atoms:
    """The slab in the smallest cell of the same third vector; `ase.build.surface` starts from the conventional cell."""
    import spglib

    data = spglib.get_symmetry((slab.cell.array, slab.get_scaled_positions(), slab.numbers), symprec=1e-3)
    if data is None:
        raise InputError(f"slab of {slab.get_chemical_formula()}: no symmetry found, atoms overlap; check the cut")
    pure = [t for r, t in zip(data["rotations"], data["translations"], strict=True) if (r == np.eye(3)).all()]
    flat = [t for t in pure if abs(t[2] - np.round(t[2])) < 1e-4]
    shifts = np.array([np.add(t, (i, j, 0)) for t in flat for i in (-1, 0, 1) for j in (-1, 0, 1)])
    shifts[:, 2] = 0.0
    vectors = shifts @ slab.cell.array
    lengths = np.linalg.norm(vectors, axis=1)
    order = [i for i in np.argsort(np.round(lengths, 6), kind="stable") if lengths[i] > 1e-3]
    first = vectors[order[0]]
    area = np.linalg.norm(np.cross(slab.cell[0], slab.cell[1])) / len(flat)
    normal = np.cross(slab.cell[0], slab.cell[1])
    second = next(v for v in vectors[order] if abs(np.cross(first, v) @ normal / np.linalg.norm(normal) - area) < 1e-3)
    cell = np.array([first, second, slab.cell[2]])
    if np.linalg.det(cell) < 0:
        cell[1] *= -1
    fractions = slab.positions @ np.linalg.inv(cell)
    fractions[:, :2] = (fractions[:, :2] + 1e-5) % 1.0 - 1e-5
    _, keep = np.unique(np.column_stack([np.round(fractions, 4), slab.numbers]), axis=0, return_index=True)
    out = slab[sorted(keep)]
    out.set_cell(cell)
    out.set_scaled_positions(fractions[sorted(keep)])
    # First vector along x: GPAW's log draws the cell and cannot draw one that points backwards.
    out.set_cell(ase.cell.Cell.fromcellpar(out.cell.cellpar()), scale_atoms=True)
    if "site" not in out.arrays:
        out.new_array("site", np.zeros(len(out), dtype=int))
    return out


def _decorate(atoms: ase.Atoms, element: str, parts: dict[str, int], rng: np.random.Generator) -> None:
    where = rng.permutation([i for i, s in enumerate(atoms.symbols) if s == element])
    if sum(parts.values()) > len(where):
        raise InputError(f"recipe: {parts} to put on {len(where)} {element} atoms; enlarge the supercell")
    start = 0
    symbols = atoms.get_chemical_symbols()
    for new, count in parts.items():
        for i in where[start : start + count]:
            symbols[i] = new
        start += count
    atoms.set_chemical_symbols(symbols)


def _distort(atoms: ase.Atoms, strain: float, rattle: float, rng: np.random.Generator, slab: bool) -> ase.Atoms:
    if strain:
        e = rng.uniform(-strain, strain, (3, 3))
        e = (e + e.T) / 2
        if slab:
            e[2] = e[:, 2] = 0.0
        atoms = strained(Structure(atoms), e).atoms
    if rattle:
        # Light alkali and hydrogen atoms sit in softer surroundings and move further.
        width = rattle * np.where(atoms.numbers <= 3, 1.5, 1.0)
        atoms = displaced(Structure(atoms), width**2, rng).atoms
    return atoms


def _with_conventional_cell(name: str, primitive: ase.Atoms, cell: tuple[float, ...]) -> ase.Atoms:
    """The primitive cell after the conventional one is changed to ``cell``: a linear map of space."""
    from ase.geometry import cellpar_to_cell

    old = cellpar_to_cell(structure_types()[name].cell)
    change = np.linalg.solve(old, cellpar_to_cell(cell))
    primitive.set_cell(primitive.cell.array @ change, scale_atoms=True)
    return primitive


def _shortest(atoms: ase.Atoms) -> float:
    from ase.neighborlist import neighbor_list

    d = neighbor_list("d", atoms, 2.0)
    return float(d.min()) if len(d) else 2.0
