"""Coefficients of every atom, computed once per kind of surroundings, in threads, and within a given memory.

The same sums as `rhotem.models.encoders.nequip` (the plain form, used for training and as reference), ordered by atom:
edges exist for a few atoms at a time. A layer is evaluated for one atom of each class of equal surroundings
(`same_surroundings`), so a repeated cell costs one cell and a defect only what it changed; this is exact.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rhotem.core import Progress, silent
from rhotem.models.encoders.base import AtomFeatures
from rhotem.models.encoders.nequip import Nequip
from rhotem.models.fast_neighbours import Neighbours, same_surroundings
from rhotem.models.fast_products import atom_kernel, atom_tables, edge_kernel, edge_tables
from rhotem.models.radial import bessel, end_function
from rhotem.models.tensor import directions, invariants, size

#: Edges a thread works on at once: their weights (3 kB each) should stay in its cache.
EDGES_AT_ONCE = 1000
#: Such pieces whose features are read out together: small matrix products cost what calling them costs.
READ_AT_ONCE = 8
#: Share of the allowed memory for what atoms know between layers; the rest is for edges.
SHARE = 0.8
#: States always held, 12 kB each: with fewer, hardly any atom would be evaluated but for its neighbours' sake.
LEAST = 2000

Consumer = Callable[[npt.NDArray[np.int64], AtomFeatures], None]


@dataclass(frozen=True, eq=False)
class _States:
    """What atoms know after a layer; a row per atom that was asked for."""

    scalars: torch.Tensor
    hidden: torch.Tensor | None
    kept: torch.Tensor | None


class FastEncoder:
    """A trained encoder on one structure.

    Parameters
    ----------
    encoder : Nequip
        On the CPU; computes in its precision.
    numbers, positions, cell : arrays
        Atomic numbers, Å, rows in Å.
    charge : float
        Of the cell, e.

    Attributes
    ----------
    classes : (N,) int array
        Atoms of equal class have equal features.
    representatives : (C,) int array
        One atom of every class.

    Raises
    ------
    InputError
        If there are no atoms, positions are not finite, or two atoms are closer than 0.5 Å.
    """

    def __init__(
        self,
        encoder: Nequip,
        numbers: npt.NDArray[np.int64],
        positions: npt.NDArray[np.float64],
        cell: npt.NDArray[np.float64],
        charge: float = 0.0,
    ) -> None:
        self.encoder = encoder
        self.numbers = np.asarray(numbers, dtype=np.int64)
        self.neighbours = Neighbours(positions, cell, encoder.cutoff)
        parameter = next(encoder.parameters())
        self.dtype = parameter.dtype
        self.charge_per_atom = charge / len(self.numbers)
        kinds = [self.numbers]
        for _ in encoder.layers:
            kinds.append(same_surroundings(self.neighbours, kinds[-1]))
        #: class of every atom before the first and after every layer, and one atom of every class
        self.kinds = [np.unique(k, return_inverse=True)[1] for k in kinds]
        self.firsts = [np.unique(k, return_index=True)[1] for k in self.kinds]
        layers: Any = encoder.layers
        self.tables = [(edge_tables(layer.product), atom_tables(layer.power)) for layer in layers]

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """Class of every atom."""
        return self.kinds[-1]

    @property
    def representatives(self) -> npt.NDArray[np.int64]:
        """One atom of every class."""
        return self.firsts[-1]

    @property
    def bytes_per_atom(self) -> float:
        """Memory of what one atom knows between layers."""
        s = self.encoder.settings
        # scalars, hidden and kept tensors; the part of them that is sent is a copy
        numbers = s.scalars + size(s.lmax) * s.channels * (1 + 2 * (s.layers - 1)) + size(s.lmax_sent) * s.channels
        return 1.1 * numbers * torch.finfo(self.dtype).bits / 8

    def run(self, consume: Consumer, memory: float | None = None, progress: Progress = silent) -> None:
        """Call ``consume(rows, features)`` for all classes, a few at a time and from several threads.

        ``memory`` (bytes) bounds what is held at once: the classes are then done in tiles of atoms that lie together,
        each with the surroundings that it needs.
        """
        room = len(self.numbers) if memory is None else max(LEAST, int(SHARE * memory / self.bytes_per_atom))
        rows = self._by_place()
        tiles = [rows]
        while max(self._needed(tile) for tile in tiles) > room and max(map(len, tiles)) > 1:
            tiles = [half for tile in tiles for half in np.array_split(tile, 2) if len(half)]
        done = 0
        with _single_threaded() as threads, ThreadPoolExecutor(threads) as pool:
            for tile in tiles:
                self._tile(tile, consume, pool)
                done += len(tile)
                progress("atoms", done, len(rows))

    def _by_place(self) -> npt.NDArray[np.int64]:
        """Classes in an order in which consecutive ones lie together: blocks along a curve through the cell."""
        atoms = self.representatives
        blocks = self.neighbours.bin_of[atoms] // 4
        return np.lexsort((atoms, blocks[:, 2], blocks[:, 1], blocks[:, 0])).astype(np.int64)

    def _needed(self, rows: npt.NDArray[np.int64]) -> int:
        """Most states held at once for a tile of classes."""
        return max((len(s) for s in self._wanted(rows)[1:-1]), default=0)

    def _wanted(self, rows: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        """Classes needed after every layer, for those wanted after the last."""
        wanted = [rows]
        for level in range(len(self.tables), 0, -1):
            atoms = self.firsts[level][wanted[0]]
            seen = np.zeros(len(self.firsts[level - 1]), dtype=bool)
            seen[self.kinds[level - 1][atoms]] = True
            for start in range(0, len(atoms), 20_000):
                _, neighbour, _ = self.neighbours.around(atoms[start : start + 20_000])
                seen[self.kinds[level - 1][neighbour]] = True
            wanted.insert(0, np.flatnonzero(seen))
        return wanted

    def _tile(self, rows: npt.NDArray[np.int64], consume: Consumer, pool: ThreadPoolExecutor) -> None:
        wanted = self._wanted(rows)
        before = self._start(wanted[0])
        for level, layer in enumerate(self.encoder.layers, start=1):
            place = np.full(len(self.firsts[level - 1]), -1)
            place[wanted[level - 1]] = np.arange(len(wanted[level - 1]))
            last = level == len(self.tables)
            work = _Layer(self, level, layer, before, place[self.kinds[level - 1]])
            chunks = list(self._chunks(self.firsts[level][wanted[level]]))
            if last:
                groups = [chunks[i : i + READ_AT_ONCE] for i in range(0, len(chunks), READ_AT_ONCE)]
                jobs = [pool.submit(work.consume, group, wanted[level], consume) for group in groups]
            else:
                after = work.empty(len(wanted[level]))
                jobs = [pool.submit(work.store, atoms, part, after) for part, atoms in chunks]
                before = after
            for job in jobs:
                job.result()

    def _start(self, rows: npt.NDArray[np.int64]) -> _States:
        """Scalars before the first layer."""
        encoder = self.encoder
        z = torch.from_numpy(self.numbers[self.firsts[0][rows]])
        charge = torch.full((len(z), 1), self.charge_per_atom, dtype=self.dtype)
        with torch.no_grad():
            return _States(encoder.start(encoder.embedding(z)) + encoder.charge(charge), None, None)

    def _chunks(self, atoms: npt.NDArray[np.int64]) -> Iterator[tuple[slice, npt.NDArray[np.int64]]]:
        """Atoms in pieces of about the same number of edges."""
        volume = abs(np.linalg.det(self.neighbours.cell))
        mean = 4.2 * self.encoder.cutoff**3 * len(self.numbers) / volume
        step = int(np.clip(EDGES_AT_ONCE / max(mean, 1.0), 1, 256))
        for start in range(0, len(atoms), step):
            yield slice(start, start + step), atoms[start : start + step]


class _Layer:
    """One layer of the encoder with the states before it."""

    def __init__(
        self, parent: FastEncoder, level: int, layer: Any, before: _States, place: npt.NDArray[np.int64]
    ) -> None:
        self.parent, self.layer, self.before, self.place = parent, layer, before, place
        self.edges, self.atoms = parent.tables[level - 1]
        channels, components = layer.channels, size(layer.lmax)
        self.messages, self.power = edge_kernel(channels, components), atom_kernel(channels, components)
        self.power_weight = layer.power.weight.detach().numpy()
        with torch.no_grad():
            sent = layer.send(before.scalars)[:, None]
            if before.hidden is not None:
                lower = before.hidden[:, : size(layer.lmax_sent)]
                sent = torch.cat([sent + lower[:, :1], lower[:, 1:]], dim=1)
        self.sent = sent.contiguous().numpy()

    def empty(self, count: int) -> _States:
        """Room for the states after this layer."""
        layer, old = self.layer, self.before
        scalars = torch.empty(count, old.scalars.shape[1], dtype=old.scalars.dtype)
        width = 2 * layer.channels + (0 if old.kept is None else old.kept.shape[2])
        hidden = scalars.new_empty(count, size(layer.lmax), layer.channels)
        return _States(scalars, hidden, scalars.new_empty(count, size(layer.lmax), width))

    def store(self, atoms: npt.NDArray[np.int64], part: slice, after: _States) -> None:
        """Evaluate some atoms into ``after``."""
        scalars, hidden, kept = self._evaluate(atoms)
        after.scalars[part], after.hidden[part], after.kept[part] = scalars, hidden(), kept  # type: ignore[index]

    def consume(
        self, group: list[tuple[slice, npt.NDArray[np.int64]]], rows: npt.NDArray[np.int64], consumer: Consumer
    ) -> None:
        """Evaluate some chunks of atoms and hand their features on together."""
        scalars, _, kept = zip(*(self._evaluate(atoms) for _, atoms in group), strict=True)
        with torch.no_grad():
            own = np.concatenate([rows[part] for part, _ in group])
            consumer(own, AtomFeatures(torch.cat(scalars), torch.cat(kept)))

    def _evaluate(self, atoms: npt.NDArray[np.int64]) -> tuple[torch.Tensor, Callable[[], torch.Tensor], torch.Tensor]:
        """Scalars, hidden tensors (when called) and kept tensors of atoms after the layer."""
        layer, old = self.layer, self.before
        own = torch.from_numpy(self.place[atoms])
        with torch.no_grad():
            a = self._messages(atoms)
            b = torch.empty_like(a)
            self.power(a.numpy(), layer.mix(a).numpy(), self.power_weight, self.atoms, b.numpy())
            scalars = old.scalars[own]
            change = layer.update(torch.cat([scalars, invariants(a, layer.lmax), invariants(b, layer.lmax)], dim=1))
            scalars = scalars + change
            both = torch.cat([a, b], dim=2)
            kept = both if old.kept is None else torch.cat([old.kept[own], both], dim=2)

        def hidden() -> torch.Tensor:
            with torch.no_grad():
                gate = torch.sigmoid(layer.gate(scalars)).view(len(own), layer.lmax + 1, layer.channels)
                joined = both if old.hidden is None else torch.cat([both, old.hidden[own]], dim=2)
                return layer.join(joined) * gate[:, layer.l_of]

        return scalars, hidden, kept

    def _messages(self, atoms: npt.NDArray[np.int64]) -> torch.Tensor:
        """Summed messages to atoms, (n, lm, K)."""
        layer, encoder, parent = self.layer, self.parent.encoder, self.parent
        starts, neighbour, vectors = parent.neighbours.around(atoms)
        v = torch.from_numpy(vectors).to(parent.dtype)
        length = v.norm(dim=-1)
        numbers = torch.from_numpy(parent.numbers)
        element = encoder.embedding.weight
        own = layer.element(element)[numbers[atoms]].repeat_interleave(torch.from_numpy(np.diff(starts)), dim=0)
        other = layer.element_sent(element)[numbers[neighbour]]
        radial = layer.radial(bessel(length, encoder.settings.bessel, encoder.cutoff))
        weights = layer.weights(nn.functional.silu(radial + own + other))
        weights *= end_function(length / encoder.cutoff)[:, None]
        matrices = directions(v, layer.lmax) @ self.edges.matrix
        a = torch.empty(len(atoms), size(layer.lmax), layer.channels, dtype=parent.dtype)
        self.messages(
            starts,
            self.place[neighbour],
            self.sent,
            matrices.numpy(),
            weights.view(len(v), len(self.edges.paths), layer.channels).numpy(),
            self.edges.paths,
            a.numpy(),
        )
        return a * layer.scale


@contextmanager
def _single_threaded() -> Iterator[int]:
    """Torch computes with one thread inside, so that our own threads do not compete; yields how many it had."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
