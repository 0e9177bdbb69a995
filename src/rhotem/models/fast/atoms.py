"""Coefficients of the spherical readout from the fast encoder: what `rhotem.models.source` uses on a CPU."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import Progress, silent
from rhotem.models.encoders.base import AtomFeatures
from rhotem.models.fast.encoder import FastEncoder
from rhotem.models.model import DensityModel
from rhotem.models.readouts.spherical import Spherical
from rhotem.models.tensor import size
from rhotem.structure.model import Structure

Announce = Callable[[str], None]


def is_fast(model: DensityModel) -> bool:
    """Whether the compiled encoder can stand for the model's: one on the CPU with the spherical readout."""
    return isinstance(model.readout, Spherical) and next(model.parameters()).device.type == "cpu"


def fast_coefficients(
    model: DensityModel,
    structure: Structure,
    memory: float | None = None,
    progress: Progress = silent,
    announce: Announce | None = None,
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
    encoder = _encoder(model, structure, reach)
    tiles = _announced(encoder, memory, 8.0 * _numbers(model), announce)
    parts, add = _read(model, structure, encoder, 1, (tiles, progress))
    classes = torch.from_numpy(encoder.classes)
    result = tuple(part[0][classes].double() for part in parts)
    result[-1][:, -1, 0] += add.mean(0)[classes]
    return result


def fast_members(
    model: DensityModel,
    structure: Structure,
    memory: float | None = None,
    progress: Progress = silent,
    announce: Announce | None = None,
) -> tuple[torch.Tensor, ...]:
    """Coefficients of every member, (members, N, functions, (lmax+1)²) per block, in the precision of the weights.

    The encoder is evaluated once; same numbers as ``model.member_coefficients(graph)``. Arguments as
    `fast_coefficients`; the result takes some 1.2 kB per atom and member in single precision.
    """
    encoder = _encoder(model, structure, math.inf)
    members = model.settings.members
    tiles = _announced(encoder, memory, encoder.dtype.itemsize * members * _numbers(model), announce)
    parts, add = _read(model, structure, encoder, members, (tiles, progress))
    classes = torch.from_numpy(encoder.classes)
    result = tuple(part[:, classes] for part in parts)
    result[-1][:, :, -1, 0] += add[:, classes].to(encoder.dtype)
    return result


def fast_features(
    model: DensityModel,
    structure: Structure,
    memory: float | None = None,
    announce: Announce | None = None,
) -> tuple[FastEncoder, AtomFeatures]:
    """The encoder on a structure, and the features of its classes; arguments as `fast_coefficients`."""
    encoder = _encoder(model, structure, math.inf)
    e, kinds = model.encoder, len(encoder.representatives)
    scalars = torch.empty(kinds, e.scalars, dtype=encoder.dtype)
    tensors = torch.empty(kinds, size(e.lmax), e.channels, dtype=encoder.dtype)

    def keep(rows: np.ndarray, features: AtomFeatures) -> None:
        where = torch.from_numpy(rows)
        scalars[where], tensors[where] = features.scalars, features.tensors

    held = encoder.dtype.itemsize * (e.scalars + size(e.lmax) * e.channels)
    encoder.run(keep, _announced(encoder, memory, float(held), announce))
    return encoder, AtomFeatures(scalars, tensors)


def _encoder(model: DensityModel, s: Structure, reach: float) -> FastEncoder:
    return FastEncoder(model.encoder, s.numbers, s.positions, s.cell, s.charge, reach=reach)


def _numbers(model: DensityModel) -> int:
    """Coefficients of an atom."""
    return sum(block.coefficients for block in model.readout.blocks)


def _announced(
    encoder: FastEncoder, memory: float | None, held: float, announce: Announce | None
) -> list[npt.NDArray[np.int64]]:
    """Tiles within ``memory`` bytes, and what will be done; ``held``: bytes that every atom has in the end."""
    tiles, atoms = encoder.tiles(memory), len(encoder.numbers)
    if announce is not None:
        states = max(encoder.needed(tile) for tile in tiles)
        announce(
            f"learned density: {atoms} atoms, {len(encoder.representatives)} kinds of surroundings, {len(tiles)} tile"
            f"{'s'[: len(tiles) > 1]}, at most {states / 1e9:.2f} GB between layers and "
            f"{held * atoms / 1e9:.2f} GB of coefficients"
        )
    return tiles


def _read(
    model: DensityModel,
    structure: Structure,
    encoder: FastEncoder,
    kept: int,
    how: tuple[list[npt.NDArray[np.int64]], Progress],
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Coefficients of every class as atoms alone have them, and what the count adds to each.

    ``kept`` is 1, the mean of the members, or their number. Per block (kept, classes, functions, (lmax+1)²), and
    (members, classes) for the widest function of the last block, float64.
    """
    members: list[Spherical] = [model.readout, *model.others]
    blocks, kinds = model.readout.blocks, len(encoder.representatives)
    numbers = torch.from_numpy(encoder.numbers[encoder.representatives])
    parts = [torch.zeros(kept, kinds, b.functions, (b.lmax + 1) ** 2, dtype=encoder.dtype) for b in blocks]
    held, share = torch.empty(2, len(members), kinds, dtype=torch.float64)

    def read(rows: np.ndarray, features: AtomFeatures) -> None:
        where = torch.from_numpy(rows)
        for index, readout in enumerate(members):
            own, shares = readout.uncounted(features, numbers[where])
            share[index, where] = shares.double()
            held[index, where] = readout.atom_electrons(tuple(c.double() for c in own))
            for total, c in zip(parts, own, strict=True):
                total[index if kept > 1 else 0, where] += c / (len(members) // kept)

    encoder.run(read, *how)
    count = torch.from_numpy(np.bincount(encoder.classes, minlength=kinds)).double()
    # as `Spherical.forward`: what the cell misses goes to every atom's widest function by the network's shares
    missing = (model.readout.electrons_of(structure) - held @ count) / (share @ count)
    return parts, share * missing[:, None] / float(blocks[-1].electrons[-1])
