"""The density source ``gpaw``: a self-consistent PBE(+U) density for a structure, or one read from a ``.gpw`` file."""

import hashlib
import json
import os
import tempfile
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core import ConvergenceError, InputError, PeriodicGrid, Progress, silent
from rhotem.core.provenance import file_sha256, versions
from rhotem.density.field import DensityField
from rhotem.labels.gpaw_settings import DftSettings, dft_atoms, make_calculator, moments, parameters, require_gpaw
from rhotem.labels.start import begin
from rhotem.structure.model import Structure

#: Plane-wave cutoff in eV of densities that go straight into a picture. Labels are made with 400, which misses up to
#: 15 % of the bonding part of V (docs/validation-dft.md).
SOURCE_CUTOFF = 600.0
#: Largest distance in Å between an atom asked for and the same atom of a ``.gpw`` file.
POSITION_TOLERANCE = 1e-3


class Gpaw:
    """Density source: DFT with GPAW, plane waves and PAW.

    Parameters
    ----------
    path : path or None
        A ``.gpw`` file to read instead of calculating; its structure must be the one asked for.
    settings : DftSettings or None
        Settings of the calculation; None: those of the labels with a cutoff of `SOURCE_CUTOFF`.
    cache : path or None
        Directory where converged calculations are kept as ``.gpw`` and found again by structure and settings.
    log : path, "-" or None
        GPAW's own log; "-" is standard output.
    progress : Progress
        Called with the self-consistency step.

    Raises
    ------
    MissingDependencyError
        When called without GPAW installed.
    ConvergenceError
        When the self-consistency does not converge.
    InputError
        When the file is not a GPAW file, is of another structure, or no PAW set exists for an element.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        settings: DftSettings | None = None,
        cache: str | Path | None = None,
        log: str | Path | None = None,
        progress: Progress = silent,
    ) -> None:
        self.path = Path(path) if path is not None else None
        self.settings = settings or DftSettings(ecut=SOURCE_CUTOFF)
        self.cache = Path(cache) if cache is not None else None
        self.log = str(log) if log is not None else None
        self.progress = progress

    def __call__(self, structure: Structure, grid: PeriodicGrid) -> DensityField:
        """Deformation density; the field's grid is ``grid`` or GPAW's own, whichever is finer along each axis."""
        from rhotem.labels.gpaw_density import deformation_field

        if grid is not None and not np.allclose(grid.cell, structure.cell, rtol=0, atol=1e-6):
            raise InputError("GPAW source: the grid has another cell than the structure; make the grid on its cell")
        if self.path is not None:
            calculation = open_gpw(self.path)
            _check_same(structure, structure_of(calculation), self.path)
            record: dict[str, Any] = {"file": str(self.path), "sha256": file_sha256(self.path)}
        else:
            calculation = self.calculate(structure)
            record = {"settings": self.settings.as_dict()}
        field = deformation_field(calculation, structure, grid)
        record |= {"energy_eV": float(calculation.results["energy"]), "versions": versions()}
        return replace(field, record=field.record | record)

    def calculate(self, structure: Structure) -> Any:
        """Converged GPAW calculator of ``structure``, from the cache where it is there."""
        require_gpaw()
        target = None
        if self.cache is not None:
            target = self.cache / f"{structure_key(structure, self.settings)}.gpw"
            if target.exists():
                return open_gpw(target)
        calculation = run(structure, self.settings, self.log, self.progress)
        if target is not None:
            _write(calculation, target)
        return calculation


def run(structure: Structure, settings: DftSettings, log: str | None = None, progress: Progress = silent) -> Any:
    """Run GPAW to self-consistency and return its calculator.

    Raises
    ------
    ConvergenceError
        With the settings that usually help.
    InputError
        If an element has no PAW data set.
    """
    gpaw = require_gpaw()
    atoms = dft_atoms(structure, settings)
    try:
        calculation = make_calculator(structure, settings, log)
        calculation.hooks["scf_step"] = lambda step: progress("DFT", int(step.niter), settings.max_iterations)
        with warnings.catch_warnings():
            # Plane waves do not mind sharp cells: LiCoO2 at 33° and reduced agree to 2e-4 (docs/validation-dft.md).
            warnings.filterwarnings("ignore", message="The angles between your unit-cell vectors")
            # Advice about speed, and grids that GPAW mends by itself.
            warnings.filterwarnings(
                "ignore", message=r"\s*(Initial realspace grid|Using symmetrized grid|Using OMP_NUM)"
            )
            begin(calculation, atoms, settings)
            calculation.calculate(atoms, ["energy"])
    except gpaw.KohnShamConvergenceError as error:
        raise ConvergenceError(
            f"GPAW on {atoms.get_chemical_formula()}: not self-consistent after {settings.max_iterations} steps "
            f"({' '.join(str(error).split())[:120]}); try a larger Fermi width, other starting moments or more steps"
        ) from error
    except FileNotFoundError as error:
        raise InputError(
            f"GPAW on {atoms.get_chemical_formula()}: no PAW data set ({' '.join(str(error).split())[:160]}); "
            "install gpaw-data or set GPAW_SETUP_PATH"
        ) from error
    return calculation


def open_gpw(path: str | Path) -> Any:
    """GPAW calculator of a ``.gpw`` file."""
    gpaw = require_gpaw()
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; give a .gpw file written by GPAW")
    try:
        return gpaw.GPAW(Path(path), txt=None)
    except Exception as error:  # GPAW raises whatever its file layer raises: ulm, numpy, struct or parameter errors
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: not a GPAW file that this GPAW can read ({reason}); expected a .gpw file") from error


def structure_of(calculation: Any) -> Structure:
    """The structure a GPAW calculation belongs to, with its charge and converged moments."""
    atoms = calculation.get_atoms().copy()
    atoms.calc = None
    own = calculation.results.get("magmoms")
    return Structure(
        atoms=atoms,
        charge=float(calculation.params.charge or 0.0),
        moments=None if own is None or not np.any(own) else np.array(own, dtype=float),
        info={"source": "GPAW"},
    )


def read_gpw(path: str | Path, grid: PeriodicGrid | None = None) -> DensityField:
    """Deformation density and structure of a ``.gpw`` file; see `gpaw_density.deformation_field`.

    Raises
    ------
    InputError
        If the file cannot be read or is not PBE.
    """
    from rhotem.labels.gpaw_density import deformation_field

    calculation = open_gpw(path)
    field = deformation_field(calculation, structure_of(calculation), grid)
    return replace(
        field, record=field.record | {"file": str(path), "sha256": file_sha256(path), "versions": versions()}
    )


def structure_key(structure: Structure, settings: DftSettings) -> str:
    """Hash of everything that fixes a calculation: atoms to 1e-6 Å, moments, GPAW parameters and version."""
    content = {
        "numbers": structure.numbers.tolist(),
        "positions": np.round(structure.positions, 6).tolist(),
        "cell": np.round(structure.cell, 6).tolist(),
        "moments": np.round(moments(structure, settings), 6).tolist(),
        "parameters": parameters(structure, settings),
        "gpaw": require_gpaw().__version__,
    }
    if settings.start_displacement:
        content["start"] = [settings.start_displacement, settings.start_seed]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _write(calculation: Any, target: Path) -> None:
    """Write ``target`` so that a reader never sees half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, suffix=".gpw")
    os.close(handle)
    try:
        calculation.write(name)
        os.replace(name, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _check_same(structure: Structure, found: Structure, path: Path) -> None:
    """Raise unless both are the same atoms in the same order, up to lattice translations."""
    if not np.array_equal(structure.numbers, found.numbers):
        raise InputError(
            f"{path}: holds {found.atoms.get_chemical_formula()}, atoms in another order or number than the structure "
            f"{structure.atoms.get_chemical_formula()}; give the structure of that calculation"
        )
    if not np.allclose(structure.cell, found.cell, rtol=0, atol=POSITION_TOLERANCE):
        raise InputError(f"{path}: its cell differs from the structure's; give the structure of that calculation")
    shift = np.linalg.solve(structure.cell.T, (structure.positions - found.positions).T).T
    worst = float(np.linalg.norm((shift - np.round(shift)) @ structure.cell, axis=1).max())
    if worst > POSITION_TOLERANCE:
        raise InputError(f"{path}: atoms are up to {worst:.3f} Å away from the structure's; give its own structure")
    if abs(structure.charge - found.charge) > 1e-6:
        raise InputError(f"{path}: has charge {found.charge:+g} e, the structure {structure.charge:+g}; use --charge")
