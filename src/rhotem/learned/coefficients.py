"""Coefficients of the spherical readout: features read out class by class, the electron count put right."""

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from rhotem.core import Progress, silent
from rhotem.learned.counting import count_exactly
from rhotem.learned.couplings import size
from rhotem.learned.encoder import Consumer, FastEncoder
from rhotem.learned.encoders.stage import AtomFeatures
from rhotem.learned.readouts.base import Announce
from rhotem.learned.readouts.spherical.coefficients import electrons_by_atom
from rhotem.learned.removal import take_away
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.learned.model import LearnedModel


class Encoded(Protocol):
    """A structure's features, class by class of atoms: `FastEncoder`, or what shares its work with energies."""

    numbers: npt.NDArray[np.int64]
    dtype: np.dtype

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """Class of every atom."""
        ...

    @property
    def representatives(self) -> npt.NDArray[np.int64]:
        """One atom of every class."""
        ...

    def run(self, consume: Consumer, tiles: list[npt.NDArray[np.int64]] | None, progress: Progress) -> None:
        """Call ``consume(rows, features)`` for all classes."""
        ...


def atom_coefficients(
    model: "LearnedModel",
    structure: Structure,
    memory: float | None = None,
    progress: Progress = silent,
    announce: Announce | None = None,
    *,
    reach: float = math.inf,
) -> tuple[npt.NDArray[np.float64], ...]:
    """Coefficients of every atom in double precision, the mean of the members; their electrons are exactly −q.

    Parameters
    ----------
    model : LearnedModel
        With a spherical readout.
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
        If there are no atoms, or two are closer than 0.5 Å; if all are alone and the cell is charged.
    """
    encoder = encoder_of(model, structure, reach)
    tiles = _announced(encoder, memory, 8.0 * _numbers(model), announce)
    return coefficients_from(model, structure, encoder, (tiles, progress))


def coefficients_from(
    model: "LearnedModel", structure: Structure, encoder: Encoded, run: tuple[list[npt.NDArray[np.int64]], Progress]
) -> tuple[npt.NDArray[np.float64], ...]:
    """The same of features that ``encoder`` hands on; ``run``: its tiles, and progress."""
    parts, add = _read(model, structure, encoder, 1, run)
    result = tuple(part[0][encoder.classes].astype(float) for part in parts)
    result[-1][:, -1, 0] += add.mean(0)[encoder.classes]
    _leave_free(model, structure, result)
    count_exactly(model, structure, result)
    return result


def member_coefficients(
    model: "LearnedModel",
    structure: Structure,
    memory: float | None = None,
    progress: Progress = silent,
    announce: Announce | None = None,
) -> tuple[npt.NDArray, ...]:
    """Coefficients of every member, (members, N, functions, (lmax+1)²) per block, in the precision of the weights.

    The encoder is evaluated once. Arguments as `atom_coefficients`; the result takes some 1.2 kB per atom and member in
    single precision.
    """
    encoder = encoder_of(model, structure)
    members = model.settings.members
    tiles = _announced(encoder, memory, encoder.dtype.itemsize * members * _numbers(model), announce)
    parts, add = _read(model, structure, encoder, members, (tiles, progress))
    result = tuple(part[:, encoder.classes] for part in parts)
    result[-1][:, :, -1, 0] += add[:, encoder.classes].astype(encoder.dtype)
    _leave_free(model, structure, result)
    return result


def class_features(
    model: "LearnedModel",
    structure: Structure,
    memory: float | None = None,
    announce: Announce | None = None,
) -> tuple[FastEncoder, AtomFeatures]:
    """The encoder on a structure, and the features of its classes; arguments as `atom_coefficients`."""
    encoder = encoder_of(model, structure)
    e, kinds = model.any_encoder, len(encoder.representatives)
    scalars = np.empty((kinds, e.scalars), dtype=encoder.dtype)
    tensors = np.empty((kinds, size(e.lmax), e.channels), dtype=encoder.dtype)

    def keep(rows: npt.NDArray[np.int64], features: AtomFeatures) -> None:
        scalars[rows], tensors[rows] = features.scalars, features.tensors

    held = encoder.dtype.itemsize * (e.scalars + size(e.lmax) * e.channels)
    encoder.run(keep, _announced(encoder, memory, float(held), announce))
    return encoder, AtomFeatures(scalars, tensors)


def encoder_of(model: "LearnedModel", s: Structure, reach: float = math.inf) -> FastEncoder:
    """The encoder of ``model`` on a structure."""
    return FastEncoder(model.any_encoder, s.numbers, s.positions, s.cell, s.charge, reach=reach)


def _leave_free(model: "LearnedModel", structure: Structure, coefficients: tuple[npt.NDArray, ...]) -> None:
    """Take the learned part away around elements that the model has nothing to say of."""
    if model.newcomers is not None:
        take_away(model.readout.blocks, structure, coefficients, model.newcomers.left_free(structure.numbers))


def _numbers(model: "LearnedModel") -> int:
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
    model: "LearnedModel",
    structure: Structure,
    encoder: Encoded,
    kept: int,
    run: tuple[list[npt.NDArray[np.int64]], Progress],
) -> tuple[list[npt.NDArray], npt.NDArray[np.float64]]:
    """Coefficients of every class as atoms alone have them, and what the count adds to each.

    ``kept`` is 1, the mean of the members, or their number. Per block (kept, classes, functions, (lmax+1)²), and
    (members, classes) for the widest function of the last block.
    """
    readout: Any = model.readout  # a spherical one
    blocks, maps, kinds = readout.blocks, readout.maps, len(encoder.representatives)
    numbers = encoder.numbers[encoder.representatives]
    parts = [np.zeros((kept, kinds, b.functions, (b.lmax + 1) ** 2), dtype=encoder.dtype) for b in blocks]
    held, share = np.empty((2, len(maps), kinds))

    def read(rows: npt.NDArray[np.int64], features: AtomFeatures) -> None:
        for index, own in enumerate(maps):
            coefficients, shares = own(features, numbers[rows])
            share[index, rows] = shares
            held[index, rows] = electrons_by_atom(blocks, tuple(coefficients))
            for total, c in zip(parts, coefficients, strict=True):
                total[index if kept > 1 else 0, rows] += c / encoder.dtype.type(len(maps) // kept)

    encoder.run(read, *run)
    count = np.bincount(encoder.classes, minlength=kinds)
    # what the cell misses goes to every atom's widest function by the network's shares
    missing = (-structure.charge - held @ count) / (share @ count)
    return parts, share * missing[:, None] / float(blocks[-1].electrons[-1])
