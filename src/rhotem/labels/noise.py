"""How exact labels are: the same structure with two settings, the difference in the three metrics."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.density.metrics import FILL_RADIUS, Scores, score, treat_near_nuclei
from rhotem.density.superpose import near_points
from rhotem.labels.calculate import run_once
from rhotem.labels.gpaw_settings import DftSettings
from rhotem.labels.job import Job
from rhotem.labels.label import Label
from rhotem.structure.model import Structure

#: A cheaper method on the same grid: GPAW's double-zeta polarised atomic orbitals.
LCAO: dict[str, Any] = {"mode": {"name": "lcao"}, "basis": "dzp"}


@dataclass(frozen=True)
class Noise:
    """Difference of two calculations of one structure.

    Parameters
    ----------
    scores : Scores
        The first against the second ("reference") calculation: nmae (%), deformation error, potential error ratio.
    energy_difference : float
        eV per atom, first minus reference.
    seconds : tuple of two float
        Time of both.
    moments : tuple of two float
        Total moments in Bohr magnetons: if they differ, the states are different ones and the scores say nothing.
    """

    scores: Scores
    energy_difference: float
    seconds: tuple[float, float]
    moments: tuple[float, float]


def label_noise(
    structure: Structure, settings: DftSettings, reference: DftSettings, scratch: Path, lcao: bool = False
) -> Noise:
    """Calculate ``structure`` twice and compare on the reference's grid.

    Both run on the real-space grid of the reference: sampling is the same, what differs is the density.

    Parameters
    ----------
    settings, reference : DftSettings
        To be judged, and better (higher cutoff, more k-points, tighter convergence).
    scratch : Path
        Directory for GPAW's logs.
    lcao : bool
        Judge atomic orbitals (dzp) instead of plane waves, otherwise with ``settings``.

    Raises
    ------
    InputError
        If the reference has a lower cutoff.
    """
    if reference.ecut < settings.ecut:
        raise InputError(
            f"label noise: reference cutoff {reference.ecut} eV is below {settings.ecut} eV; exchange the two"
        )
    best = run_once(Job.of(structure, reference), str(scratch / "reference.txt"))
    shape = tuple(n // 2 for n in best.deformation.shape)
    changes: dict[str, Any] = {"gpts": shape, **(LCAO if lcao else {})}
    own = run_once(Job.of(structure, replace(settings)), str(scratch / "settings.txt"), changes=changes)
    fields = [treat_near_nuclei(r.deformation, r.structure, r.grid)[0] for r in (own, best)]
    return Noise(
        scores=score(fields[0], fields[1], structure, best.grid),
        energy_difference=(own.meta["energy_eV"] - best.meta["energy_eV"]) / len(structure),
        seconds=(own.meta["seconds"], best.meta["seconds"]),
        moments=(own.meta["magmom"], best.meta["magmom"]),
    )


def relative_difference(first: Label, second: Label) -> float:
    """Σ|Δn₁ − Δn₂| / Σ|Δn₂| over the points further than 0.15 Å from every nucleus, as stored.

    Raises
    ------
    InputError
        If the two are not of the same structure on the same grid.
    """
    if first.grid != second.grid or not np.allclose(first.structure.positions, second.structure.positions, atol=1e-6):
        raise InputError("compare: the two labels differ in cell, grid or positions; they are not of one structure")
    outside = np.ones(first.grid.shape, dtype=bool)
    for centre in first.structure.positions:
        outside[tuple(near_points(first.grid, centre, FILL_RADIUS)[0].T)] = False
    one, two = first.deformation[outside].astype(float), second.deformation[outside].astype(float)
    return float(np.abs(one - two).sum() / np.abs(two).sum())
