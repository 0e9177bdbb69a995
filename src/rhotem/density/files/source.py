"""`File`: the density source that reads a file and makes a deformation density of it (design: "From files")."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.provenance import file_sha256
from rhotem.density import free_atoms
from rhotem.density.convert import VALENCE_RECORD
from rhotem.density.field import DensityField
from rhotem.density.files.decide import Decision, decide_content
from rhotem.density.files.formats import format_of
from rhotem.density.files.match import matched
from rhotem.density.files.nucleus import filled, with_count
from rhotem.density.files.paw import rebuild
from rhotem.density.files.raw import RawDensity
from rhotem.density.files.read import read_density
from rhotem.structure.model import Structure

KINDS = ("deformation", "valence", "pseudo-valence", "total")
#: Contents that are no electron density of the structure, and what to say.
USELESS = {
    "potential": "holds a potential (LOCPOT), not a density; give CHGCAR or AECCAR2",
    "partial": "holds the density of chosen bands (PARCHG); give CHGCAR or AECCAR2",
    "core": "holds core electrons, which a grid cannot sample; give AECCAR2, cores come from the free-atom table",
    "free-valence": "holds superposed free atoms (AECCAR1), no bonding; give AECCAR2",
    "spin": "holds a spin density; give the electron density",
}


class File:
    """Density source: a CHGCAR, AECCAR2, cube, xsf, npz, npy, zarr or gpw file.

    The deformation density Δn = n − Σ n_free is returned on the file's own grid and integrates to minus the charge.

    Parameters
    ----------
    path : path
        The file, or a folder with VASP's AECCAR2 or CHGCAR.
    core : path, optional
        AECCAR0 belonging to an AECCAR2. Only checked: cores come from the free-atom table, a grid cannot hold them.
    charge : float, optional
        Charge of the cell in e; default is the structure's.
    kind : "deformation", "valence", "pseudo-valence" or "total", optional
        What the file holds, where name and electron count do not settle it. "pseudo-valence" is pseudised inside
        augmentation spheres, as CHGCAR is.
    valence : mapping, optional
        Electrons of elements in the file: ``{"Li": 1, "O": 6}``.
    radii : mapping, optional
        Augmentation radii in Å, ``{"Si": 0.95}``, instead of those of VASP's default PAW sets.
    endpoint : bool, optional
        Overrides the format's convention on whether the last plane repeats the first.
    correct : bool
        Take a density whose electron count misses by up to 5 %, as predicted ones may, and put the count right; without
        it such a file is refused.

    Raises
    ------
    InputError
        One line, for a file that is missing, damaged, of another cell, or whose electron count fits nothing.
    """

    def __init__(
        self,
        path: str | Path,
        core: str | Path | None = None,
        charge: float | None = None,
        kind: str | None = None,
        *,
        valence: Mapping[str, float] | None = None,
        radii: Mapping[str, float] | None = None,
        endpoint: bool | None = None,
        correct: bool = False,
    ) -> None:
        if kind is not None and kind not in KINDS:
            raise InputError(f"density file kind {kind!r}: expected one of {', '.join(KINDS)}")
        self.path = _in_folder(Path(path))
        self.core = None if core is None else Path(core)
        self.charge, self.kind = charge, kind
        self.valence, self.radii, self.endpoint = valence, radii, endpoint
        self.correct = correct

    def __call__(self, structure: Structure, grid: PeriodicGrid | None = None) -> DensityField:
        """Deformation density of ``structure``; the grid asked for is not used, the field has the file's own.

        Raises
        ------
        InputError
            See the class.
        """
        if holder := format_of(self.path).source:
            from rhotem.density.source import get_source

            return get_source(holder, path=self.path)(structure, grid)  # type: ignore[arg-type]  # it has the file's grid
        raw = read_density(self.path, structure, self.endpoint)
        if self.kind is not None:
            raw = replace(raw, content=self.kind)  # type: ignore[arg-type]  # one of KINDS, checked
        if raw.content in USELESS:
            raise InputError(f"{self.path}: {USELESS[raw.content]}")
        charge = self._charge(structure, raw)
        geometry = replace(matched(structure, raw), charge=charge)
        raw = _on_cell(raw, geometry)
        record: dict[str, Any] = {"file": str(self.path), "format": raw.format, "charge": charge}
        if self.path.is_file():
            record["sha256"] = file_sha256(self.path)
        if raw.known.get("endpoint_dropped"):
            record["endpoint_dropped"] = True
        if raw.known.get("notes"):
            record["warnings"] = list(raw.known["notes"])
        if raw.spin is not None:
            record["spin"] = {"total_moment_muB": raw.grid.integrate(raw.spin)}
        if raw.content == "deformation":
            return self._deformation(raw, geometry, record)
        if self.core is not None:
            record["core_file"] = self._check_core(self.core, geometry, raw)
        decision = decide_content(raw, geometry, self.valence, self.kind is not None, self.correct)
        return self._field(raw, geometry, decision, record)

    def _charge(self, structure: Structure, raw: RawDensity) -> float:
        if self.charge is not None:
            return float(self.charge)
        return float(structure.charge or raw.structure.charge)

    def _deformation(self, raw: RawDensity, structure: Structure, record: dict) -> DensityField:
        """A label or one of RhoTEM's own files: nothing to subtract; labels get the treatment near nuclei."""
        identifier = free_atoms.load().identifier
        reference = raw.known.get("reference", identifier)
        if reference != identifier:
            record.setdefault("warnings", []).append(
                f"free atoms subtracted in the file are {reference!r}, those of RhoTEM {identifier!r}"
            )
        values, record["near_nuclei"] = raw.values, "as in the file"
        if "format" not in raw.known and not raw.one_centre:
            before = raw.grid.integrate(values) + structure.charge
            values = filled(raw.grid, values, structure)
            values = with_count(raw.grid, values, structure, -structure.charge, structure.numbers)
            record |= {"near_nuclei": "filled", "count_before_e": before}
        return DensityField(
            "deformation", structure, raw.grid, values, _reordered(raw, structure), raw.spin, reference,
            f"file {self.path.name}", record,
        )  # fmt: skip

    def _field(self, raw: RawDensity, structure: Structure, decision: Decision, record: dict) -> DensityField:
        record |= decision.record
        if decision.pseudised or not decision.assignment.total:
            record[VALENCE_RECORD] = {str(z): n for z, n in decision.assignment.pairs}
        one_centre: tuple = ()
        if decision.pseudised:
            rebuilt = rebuild(raw.grid, decision.deformation, structure, decision.assignment, dict(self.radii or {}))
            values, one_centre = rebuilt.values, rebuilt.one_centre
            record |= rebuilt.record | {"near_nuclei": "rebuilt inside augmentation spheres from moments l <= 4"}
        else:
            treated = filled(raw.grid, decision.deformation, structure, decision.fill_radius)
            weights = np.array([decision.assignment.electrons[int(z)] for z in structure.numbers])
            record["count_before_e"] = raw.grid.integrate(treated) + structure.charge
            values = with_count(raw.grid, treated, structure, -structure.charge, weights)
            record["near_nuclei"] = f"filled within {decision.fill_radius:.2f} Å"
        if raw.spin is not None and decision.pseudised:
            record["spin"]["note"] = "pseudised inside augmentation spheres, moments right"
        return DensityField(
            "deformation", structure, raw.grid, values, one_centre, raw.spin, free_atoms.load().identifier,
            f"file {self.path.name}", record,
        )  # fmt: skip

    def _check_core(self, path: Path, structure: Structure, raw: RawDensity) -> dict[str, Any]:
        """The core file must belong to the same cell and grid; its count shows why it is not used."""
        core = read_density(path, structure, self.endpoint)
        if core.grid.shape != raw.grid.shape:
            raise InputError(f"{core.path}: grid {core.grid.shape}, but {raw.path.name} has {raw.grid.shape}")
        matched(structure, core)
        return {
            "file": str(core.path),
            "electrons_on_grid": core.electrons,
            "use": "checked only; cores are those of the free-atom table",
        }


def _in_folder(path: Path) -> Path:
    """The density file of a VASP folder: AECCAR2 before CHGCAR. Anything else is returned as it is."""
    if not path.is_dir() or path.suffix.lower() == ".zarr":
        return path
    for name in ("AECCAR2", "CHGCAR"):
        found = sorted(p for p in path.iterdir() if name in p.name and not p.name.startswith("."))
        if len(found) > 1:
            raise InputError(f"{path}: holds several {name} files ({', '.join(p.name for p in found)}); name one")
        if found:
            return found[0]
    raise InputError(f"{path}: folder without AECCAR2 or CHGCAR; give the density file itself")


def _on_cell(raw: RawDensity, structure: Structure) -> RawDensity:
    """The same values on the structure's cell; rounding of the file's cell does not change the count."""
    grid = PeriodicGrid(structure.cell, raw.grid.shape)
    scale = raw.grid.volume / grid.volume
    same = abs(scale - 1.0) < 1e-12
    spin = raw.spin if raw.spin is None or same else raw.spin * scale
    return replace(raw, grid=grid, values=raw.values if same else raw.values * scale, spin=spin)


def _reordered(raw: RawDensity, structure: Structure) -> tuple:
    """One-centre terms with the atom numbers of ``structure``."""
    if not raw.one_centre:
        return ()
    inverse = np.linalg.inv(raw.structure.cell)
    wanted = structure.positions @ np.linalg.inv(structure.cell)
    terms = []
    for term in raw.one_centre:
        difference = wanted - raw.structure.positions[term.atom] @ inverse
        difference -= np.rint(difference)
        terms.append(replace(term, atom=int(np.linalg.norm(difference @ structure.cell, axis=1).argmin())))
    return tuple(terms)
