"""One GPAW run with its retries: a job in, a label record out."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import ConvergenceError
from rhotem.core.provenance import versions
from rhotem.labels.deformation import deformation_density
from rhotem.labels.gpaw_settings import dft_atoms, is_spin_polarised, parameters, require_gpaw, setups
from rhotem.labels.job import Job
from rhotem.labels.label import Label
from rhotem.labels.start import begin

#: What is changed when self-consistency fails, in this order: careful mixing; a wider Fermi function on top; and
#: for magnetic cells a start from half the moments, which lets low-spin solutions be found.
ATTEMPTS: tuple[tuple[str, dict[str, Any], float], ...] = (
    ("as planned", {}, 1.0),
    ("slow mixing", {"mixer": {"backend": "pulay", "beta": 0.02, "nmaxold": 8, "weight": 100}, "maxiter": 250}, 1.0),
    (
        "slow mixing, 0.2 eV smearing",
        {
            "mixer": {"backend": "pulay", "beta": 0.02, "nmaxold": 8, "weight": 100},
            "occupations": {"name": "fermi-dirac", "width": 0.2},
            "maxiter": 250,
        },
        1.0,
    ),
    ("half the starting moments", {"maxiter": 250}, 0.5),
)


def calculate(job: Job, log: Path, attempts: int = len(ATTEMPTS), told: Callable[[str], None] | None = None) -> Label:
    """Deformation density of one job by GPAW.

    Parameters
    ----------
    job : Job
    log : Path
        GPAW's text output; one file per attempt, the number appended.
    attempts : int
        How many of `ATTEMPTS` may be used.
    told : callable or None
        Called with one line per failed attempt.

    Raises
    ------
    ConvergenceError
        If no attempt reaches self-consistency.
    """
    from gpaw import KohnShamConvergenceError

    reasons = []
    spin = is_spin_polarised(job.structure, job.dft)
    for number, (name, changes, scale) in enumerate(ATTEMPTS[:attempts]):
        if scale != 1.0 and not spin:
            continue
        try:
            return run_once(job, f"{log}.{number}", name, changes, scale)
        except KohnShamConvergenceError as error:
            reasons.append(f"{name}: {' '.join(str(error).split())[:120] or 'no self-consistency'}")
            if told:
                told(reasons[-1])
    raise ConvergenceError(f"self-consistency failed after {len(reasons)} attempts ({'; '.join(reasons)})")


def run_once(
    job: Job, log: str, name: str = "as planned", changes: dict[str, Any] | None = None, scale: float = 1.0
) -> Label:
    """One GPAW calculation without retries.

    Parameters
    ----------
    job : Job
    log : str
        GPAW's text output.
    name, changes : str, dict
        What is different from the job's settings: keywords of ``gpaw.GPAW``, and what to call it in the record.
    scale : float
        Factor on the starting moments.
    """
    changes = changes or {}
    structure, settings = job.structure, job.dft
    atoms = dft_atoms(structure, settings)
    atoms.set_initial_magnetic_moments(atoms.get_initial_magnetic_moments() * scale)
    spin = is_spin_polarised(structure, settings)
    start = time.time()
    calculator = require_gpaw().GPAW(txt=log, **(parameters(structure, settings) | changes))
    begin(calculator, atoms, settings)
    atoms.calc = calculator
    energy = atoms.get_potential_energy()
    local = atoms.get_magnetic_moments() if spin else np.zeros(len(atoms))
    scf_seconds = time.time() - start
    try:
        forces = atoms.get_forces()
    except NotImplementedError:  # GPAW has no forces for this setting; the label does without
        forces = np.full((len(atoms), 3), np.nan)
    deformation, magnetization, counts = deformation_density(calculator, atoms, spin)
    meta = {
        **structure.info,
        "job": job.id,
        "settings": job.settings,
        "attempt": name,
        "attempt_changes": changes,
        "energy_eV": float(energy),
        "xc": settings.xc,
        "U": setups(structure, settings),
        "spinpol": spin,
        "magmom": float(calculator.get_magnetic_moment()) if spin else 0.0,
        "iters": int(calculator.get_number_of_iterations()),
        "nk": len(calculator.get_ibz_k_points()),
        **_occupation(calculator, spin),
        **counts,
        "scf_s": scf_seconds,
        "seconds": time.time() - start,
        "converged": True,
        "paw_sets": paw_fingerprints(sorted(set(atoms.symbols))),
        "versions": versions(),
    }
    return Label(structure, deformation, magnetization, forces, np.asarray(local, dtype=np.float32), meta)


def paw_fingerprints(symbols: list[str]) -> dict[str, str]:
    """MD5 fingerprints of GPAW's default PBE data sets: the free atoms that were subtracted."""
    from gpaw.setup_data import SetupData

    return {s: str(SetupData(s, "PBE").fingerprint) for s in symbols}


def _occupation(calculator: Any, spin: bool) -> dict[str, Any]:
    """Band gap (eV, 0 for metals) and, per spin, electrons in partly filled states: what decides metal or insulator."""
    level = calculator.get_fermi_level()
    weights = calculator.get_k_point_weights()
    gap, partial = np.inf, []
    for s in range(2 if spin else 1):
        bands = [np.asarray(calculator.get_eigenvalues(kpt=k, spin=s)) for k in range(len(weights))]
        full = _edge([b[b <= level] for b in bands], np.max)
        empty = _edge([b[b > level] for b in bands], np.min)
        gap = min(gap, empty - full)
        filled = [1 / (1 + np.exp(np.clip((b - level) / 0.05, -50, 50))) for b in bands]
        partial.append(float(sum(w * (f * (1 - f)).sum() for w, f in zip(weights, filled, strict=True))))
    return {"gap_eV": float(max(gap, 0.0)) if np.isfinite(gap) else None, "partial_e": partial}


def _edge(bands: list[npt.NDArray], choose: Callable) -> float:
    values = np.concatenate(bands)
    return float(choose(values)) if len(values) else float("inf") * (1 if choose is np.min else -1)
