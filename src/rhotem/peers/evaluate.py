"""A peer's density at points or on a grid: atoms encoded once, probes in batches."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.learned.neighbours import CLOSEST
from rhotem.peers import tables
from rhotem.peers.charge3net import ChargE3Net
from rhotem.peers.neighbours import between_atoms, to_probes
from rhotem.peers.networks import Peer
from rhotem.structure.model import Structure

#: Probes handled at once: what fits the caches, and for tables many, because they are made anew for every batch.
BATCH, TABLE_BATCH = 1000, 20_000
#: Probes per sending atom from which tables pay.
FEW = 10


def at_points(
    model: Peer,
    structure: Structure,
    points: npt.NDArray[np.float64],
    batch: int | None = None,
    progress: Progress = silent,
) -> npt.NDArray[np.float64]:
    """What the model predicts at ``points`` (M, 3) in Å: (M, 1) density in e/Å³, or (M, 2) with the spin density.

    Raises
    ------
    InputError
        If the structure has no atoms, or atoms closer than 0.5 Å.
    """
    if len(structure) == 0:
        raise InputError("model: the structure has no atoms; give at least one")
    parameter = next(model.parameters())
    cutoff = model.settings.cutoff
    near = between_atoms(*_geometry(structure), cutoff, parameter)
    _check(near.distances)
    with torch.no_grad():
        states: Any = model.encode(torch.from_numpy(structure.numbers.astype(np.int64)).to(parameter.device), near)
        return from_states(model, states, points, *_geometry(structure), batch=batch, progress=progress)


def from_states(
    model: Peer,
    states: Any,
    points: npt.NDArray[np.float64],
    positions: npt.NDArray[np.float64],
    cell: npt.NDArray[np.float64],
    *,
    batch: int | None = None,
    progress: Progress = silent,
) -> npt.NDArray[np.float64]:
    """What the model makes of encoded atoms at ``points`` (M, 3) in Å, without gradients; (M, 1 or 2)."""
    table = model if isinstance(model, ChargE3Net) and model.settings.basis in tables.SMOOTH else None
    batch = batch or (TABLE_BATCH if table else BATCH)
    parameter, parts = next(model.parameters()), []
    with torch.no_grad():
        for start in range(0, len(points), batch):
            probes = to_probes(points[start : start + batch], positions, cell, model.settings.cutoff, parameter)
            if table is not None and probes.receivers > FEW * len(probes.slices):
                values = tables.density(table, states, probes)
            else:
                values = model.density(states, probes)
            parts.append(values.double().cpu().numpy())
            progress("density at probes", min(start + batch, len(points)), len(points))
    return np.concatenate(parts)


def on_grid(
    model: Peer, structure: Structure, grid: PeriodicGrid, progress: Progress = silent
) -> npt.NDArray[np.float64]:
    """What the model predicts on ``grid``: (1 or 2, n1, n2, n3) in e/Å³."""
    values = at_points(model, structure, grid.points().reshape(-1, 3), progress=progress)
    return np.ascontiguousarray(values.T).reshape(-1, *grid.shape)


def _geometry(structure: Structure) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return np.asarray(structure.positions, dtype=float), np.asarray(structure.cell, dtype=float)


def _check(distances: torch.Tensor) -> None:
    if len(distances) and float(distances.min()) < CLOSEST:
        raise InputError(
            f"model: two atoms are {float(distances.min()):.2f} Å apart, expected at least {CLOSEST} Å; check the cell "
            "and duplicated sites"
        )
