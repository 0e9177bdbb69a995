"""Coefficients of the spherical readout from the fast encoder: what `rhotem.models.source` uses on a CPU."""

import math
from collections.abc import Callable

import numpy as np
import torch

from rhotem.core import Progress, silent
from rhotem.models.encoders.base import AtomFeatures
from rhotem.models.fast.encoder import FastEncoder
from rhotem.models.model import DensityModel
from rhotem.models.readouts.spherical import Spherical
from rhotem.structure.model import Structure


def is_fast(model: DensityModel) -> bool:
    """Whether the compiled encoder can stand for the model's: one on the CPU with the spherical readout."""
    return isinstance(model.readout, Spherical) and next(model.parameters()).device.type == "cpu"


def fast_coefficients(
    model: DensityModel,
    structure: Structure,
    memory: float | None = None,
    progress: Progress = silent,
    announce: Callable[[str], None] | None = None,
    *,
    reach: float = math.inf,
) -> tuple[torch.Tensor, ...]:
    """Coefficients of every atom in float64, the mean of the members; same numbers as ``model(graph)``.

    Parameters
    ----------
    model : DensityModel
        One that `is_fast`.
    structure : Structure
    memory : float or None
        Bytes to stay below; None: no limit. The result itself takes some 3 kB per atom.
    progress : Progress
    announce : callable, optional
        Told what will be done.
    reach : float
        Å; see `FastEncoder`.

    Raises
    ------
    InputError
        If there are no atoms, or two are closer than 0.5 Å.
    """
    s = structure
    encoder = FastEncoder(model.encoder, s.numbers, s.positions, s.cell, s.charge, reach=reach)
    members: list[Spherical] = [model.readout, *model.others]
    blocks = model.readout.blocks
    kinds = len(encoder.representatives)
    numbers = torch.from_numpy(encoder.numbers[encoder.representatives])
    parts = [torch.zeros(kinds, b.functions, (b.lmax + 1) ** 2, dtype=encoder.dtype) for b in blocks]
    held, share = torch.empty(2, len(members), kinds, dtype=torch.float64)

    def read(rows: np.ndarray, features: AtomFeatures) -> None:
        where = torch.from_numpy(rows)
        for index, readout in enumerate(members):
            own, share[index, where] = _double(readout.uncounted(features, numbers[where]))
            held[index, where] = readout.atom_electrons(tuple(c.double() for c in own))
            for total, c in zip(parts, own, strict=True):
                total[where] += c / len(members)

    tiles = encoder.tiles(memory)
    if announce is not None:
        states = max(encoder.needed(tile) for tile in tiles)
        announce(
            f"learned density: {len(structure)} atoms, {kinds} kinds of surroundings, {len(tiles)} tile"
            f"{'s'[: len(tiles) > 1]}, at most {states / 1e9:.2f} GB between layers and "
            f"{sum(8.0 * p[0].numel() for p in parts) * len(structure) / 1e9:.2f} GB of coefficients"
        )
    encoder.run(read, tiles, progress)
    count = torch.from_numpy(np.bincount(encoder.classes, minlength=kinds)).double()
    # as `Spherical.forward`: what the cell misses goes to every atom's widest function by the network's shares
    missing = (model.readout.electrons_of(structure) - held @ count) / (share @ count)
    add = (share * missing[:, None]).mean(0) / float(blocks[-1].electrons[-1])
    classes = torch.from_numpy(encoder.classes)
    result = tuple(part[classes].double() for part in parts)
    result[-1][:, -1, 0] += add[classes]
    return result


def _double(read: tuple[list[torch.Tensor], torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
    return read[0], read[1].double()
