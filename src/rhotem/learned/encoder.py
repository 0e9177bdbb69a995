"""Features of every atom, computed once per kind of surroundings, in threads, and within a given memory.

The same sums as the encoders in `rhotem.training.network` (the plain form, used for training and as reference), ordered
by atom: edges exist for a few atoms at a time. A layer is evaluated for one atom of each class of equal surroundings
(`same_surroundings`), so a repeated cell costs one cell and a defect only what it changed; this is exact.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.core.threads import available_threads
from rhotem.learned.encoders.stage import AtomFeatures, Encoder, Stage, States, Surroundings
from rhotem.learned.neighbours import Neighbours, same_surroundings

#: Edges a thread works on at once: what they need should stay in its cache.
EDGES_AT_ONCE = 1000
#: Such pieces whose features are read out together: small matrix products cost what calling them costs.
READ_AT_ONCE = 8
#: Share of the allowed memory for what atoms know between layers; the rest is for edges.
SHARE = 0.8
#: Least number of atoms whose states are held: with fewer, nearly all work would go to the neighbours of few atoms.
LEAST = 2000

Consumer = Callable[[npt.NDArray[np.int64], AtomFeatures], None]
Wanted = list[npt.NDArray[np.int64]]
#: Rows of states, and the atoms they are of.
Chunk = tuple[slice, npt.NDArray[np.int64]]


class FastEncoder:
    """A trained encoder on one structure.

    Parameters
    ----------
    encoder : Encoder
        Its weights; computes in their precision.
    numbers, positions, cell : arrays
        Atomic numbers, Å, rows in Å.
    charge : float
        Of the cell, e.
    reach : float
        Å within which surroundings must be equal for atoms to share their features, in whole cutoffs, at least one.
        inf: as far as the encoder sees, which is exact.
    stages : sequence of Stage, optional
        What is evaluated instead of all of its layers.

    Attributes
    ----------
    classes : (N,) int array
        Atoms of equal class have equal features.
    representatives : (C,) int array
        One atom of every class. Classes that follow each other lie together in the cell.

    Raises
    ------
    InputError
        If there are no atoms, positions are not finite, two atoms are closer than 0.5 Å, or an element is unknown.
    """

    def __init__(
        self,
        encoder: Encoder,
        numbers: npt.NDArray[np.int64],
        positions: npt.NDArray[np.float64],
        cell: npt.NDArray[np.float64],
        charge: float = 0.0,
        *,
        reach: float = math.inf,
        stages: Sequence[Stage] | None = None,
    ) -> None:
        self.encoder = encoder
        self.numbers = np.asarray(numbers, dtype=np.int64)
        self.neighbours = Neighbours(positions, cell, encoder.cutoff)
        self.dtype = np.dtype(encoder.dtype)
        if not np.isfinite(charge):
            raise InputError(f"model: charge {charge}, expected a finite number")
        self.charge_per_atom = charge / len(self.numbers)
        self.stages = list(encoder.stages() if stages is None else stages)
        bins = self.neighbours.bin_of
        place = np.lexsort((*bins.T[::-1], *(bins // 4).T[::-1]))
        kinds = [self.numbers]
        for _ in self.stages:
            kinds.append(same_surroundings(self.neighbours, kinds[-1]))
        told_apart = len(self.stages) if math.isinf(reach) else max(1, math.ceil(reach / encoder.cutoff))
        #: class of every atom before the first and after every layer, and one atom of every class
        self.kinds, self.firsts = [], []
        for level in range(len(kinds)):
            own, first = _numbered(kinds[min(level, told_apart)], place)
            self.kinds.append(own)
            self.firsts.append(first if level <= told_apart else _commonest(own, kinds[-1]))

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
        """Memory of what one atom knows, at most, where classes do not split up from layer to layer."""
        return max(self._numbers(level, 1, 1, True) for level in range(1, len(self.kinds))) * self.dtype.itemsize

    def tiles(self, memory: float | None = None) -> list[npt.NDArray[np.int64]]:
        """Classes in groups that lie together, of each of which all is held at once; within ``memory`` bytes.

        Every group needs its surroundings as well: with more than one, atoms are evaluated several times.
        """
        left = [np.arange(len(self.representatives))]
        if memory is None:
            return left
        room, tiles = max(LEAST * self.bytes_per_atom, SHARE * memory), []
        while left:
            tile = left.pop()
            if len(tile) > 1 and self.needed(tile) > room:
                left += np.array_split(tile, 2)[::-1]
            else:
                tiles.append(tile)
        return tiles

    def run(
        self, consume: Consumer, tiles: list[npt.NDArray[np.int64]] | None = None, progress: Progress = silent
    ) -> None:
        """Call ``consume(rows, features)`` for all classes, a few at a time and from several threads."""
        done = 0
        with single_threaded() as threads, ThreadPoolExecutor(threads) as pool:
            for tile in self.tiles() if tiles is None else tiles:
                self._tile(tile, consume, pool)
                done += len(tile)
                progress("atoms", done, len(self.representatives))

    def needed(self, rows: npt.NDArray[np.int64]) -> float:
        """Most bytes held at once between layers for a tile of classes."""
        wanted = self._wanted(rows)
        numbers = [
            self._numbers(level, len(wanted[level - 1]), len(wanted[level]), self._in_place(level, wanted))
            for level in range(1, len(wanted))
        ]
        return max(numbers) * self.dtype.itemsize

    def _numbers(self, level: int, before: int, after: int, in_place: bool) -> int:
        """Numbers held while a layer runs, for so many classes before and after it."""
        stage = self.stages[level - 1]
        earlier = self.stages[level - 2].held if level > 1 else {}
        # what has the same shape before and after is written over
        new = [k for name, k in stage.held.items() if not (in_place and earlier.get(name) == k)]
        return before * (sum(earlier.values()) + stage.sent) + after * sum(new)

    def _in_place(self, level: int, wanted: Wanted) -> bool:
        """Whether every class needed before a layer is that of one class wanted after it, in the same order."""
        return len(wanted[level]) == len(wanted[level - 1]) and np.array_equal(
            self.kinds[level - 1][self.firsts[level][wanted[level]]], wanted[level - 1]
        )

    def _wanted(self, rows: npt.NDArray[np.int64]) -> Wanted:
        """Classes needed after every layer, for those wanted after the last."""
        wanted = [rows]
        for level in range(len(self.stages), 0, -1):
            atoms = self.firsts[level][wanted[0]]
            seen = np.zeros(len(self.firsts[level - 1]), dtype=bool)
            seen[self.kinds[level - 1][atoms]] = True
            if not seen.all():
                for start in range(0, len(atoms), 20_000):
                    _, neighbour, _ = self.neighbours.around(atoms[start : start + 20_000])
                    seen[self.kinds[level - 1][neighbour]] = True
            wanted.insert(0, np.flatnonzero(seen))
        return wanted

    def _tile(self, rows: npt.NDArray[np.int64], consume: Consumer, pool: ThreadPoolExecutor) -> None:
        wanted = self._wanted(rows)
        states = self._start(wanted[0])
        for level in range(1, len(wanted)):
            states = self._layer(level, wanted, states, consume, pool)

    def _layer(self, level: int, wanted: Wanted, before: States, consume: Consumer, pool: ThreadPoolExecutor) -> States:
        """States after a layer; of the last one none, its features are consumed."""
        place = np.full(len(self.firsts[level - 1]), -1)
        place[wanted[level - 1]] = np.arange(len(wanted[level - 1]))
        work = _Level(self, self.stages[level - 1], before, place[self.kinds[level - 1]])
        chunks = list(self._chunks(self.firsts[level][wanted[level]]))
        after: States = {}
        if level == len(self.stages):
            groups = [chunks[i : i + READ_AT_ONCE] for i in range(0, len(chunks), READ_AT_ONCE)]
            jobs = [pool.submit(work.consume, group, wanted[level], consume) for group in groups]
        else:
            after = work.room(chunks, len(wanted[level]), self._in_place(level, wanted))
            jobs = [pool.submit(work.store, atoms, part, after) for part, atoms in chunks[1:]]
        for job in jobs:
            job.result()
        return after

    def _start(self, rows: npt.NDArray[np.int64]) -> States:
        """States before the first layer."""
        return self.encoder.start(self.numbers[self.firsts[0][rows]], self.charge_per_atom)

    def _chunks(self, atoms: npt.NDArray[np.int64]) -> Iterator[Chunk]:
        """Atoms in pieces of about the same number of edges."""
        volume = abs(np.linalg.det(self.neighbours.cell))
        mean = 4.2 * self.encoder.cutoff**3 * len(self.numbers) / volume
        step = int(np.clip(EDGES_AT_ONCE / max(mean, 1.0), 1, 256))
        for start in range(0, len(atoms), step):
            yield slice(start, start + step), atoms[start : start + step]


def _commonest(kinds: npt.NDArray[np.int64], finer: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The atom of every class of which most others are like: that of the crystal, not of a defect far away."""
    like = np.unique(finer, return_inverse=True, return_counts=True)
    order = np.lexsort((-like[2][like[1]], kinds))
    return order[np.unique(kinds[order], return_index=True)[1]]


def _numbered(
    kinds: npt.NDArray[np.int64], place: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Kinds numbered in the order in which they first appear among the atoms ``place``, and those first atoms."""
    _, first, inverse = np.unique(kinds[place], return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    numbered = np.empty(len(kinds), dtype=np.int64)
    numbered[place] = rank[inverse]
    return numbered, place[first[order]]


class _Level:
    """One layer with the states before it, in which atoms have the rows ``place``."""

    def __init__(self, parent: FastEncoder, stage: Stage, before: States, place: npt.NDArray[np.int64]) -> None:
        self.parent, self.stage, self.before, self.place = parent, stage, before, place
        self.sent = stage.send(before)

    def evaluate(self, atoms: npt.NDArray[np.int64]) -> States:
        """States of some atoms after the layer."""
        parent = self.parent
        starts, neighbour, vectors = parent.neighbours.around(atoms)
        around = Surroundings(
            own=self.place[atoms],
            numbers=parent.numbers[atoms],
            starts=starts,
            source=self.place[neighbour],
            others=parent.numbers[neighbour],
            vectors=vectors,
        )
        return self.stage(self.before, self.sent, around)

    def room(self, chunks: list[Chunk], count: int, in_place: bool) -> States:
        """States of ``count`` atoms, the first chunk evaluated; where they can be, those before, to be written over."""
        part, atoms = chunks[0]
        found, after = self.evaluate(atoms), {}
        for name, values in found.items():
            old = self.before.get(name)
            same = in_place and old is not None and old.shape[1:] == values.shape[1:]
            after[name] = old if same and old is not None else np.empty((count, *values.shape[1:]), values.dtype)
            after[name][part] = values
        return after

    def store(self, atoms: npt.NDArray[np.int64], part: slice, after: States) -> None:
        """Evaluate some atoms into ``after``, maybe the states before: those are read by the atoms themselves only."""
        for name, values in self.evaluate(atoms).items():
            after[name][part] = values

    def consume(self, group: list[Chunk], rows: npt.NDArray[np.int64], consumer: Consumer) -> None:
        """Evaluate some chunks of atoms and hand their features on together."""
        found = [self.evaluate(atoms) for _, atoms in group]
        own = np.concatenate([rows[part] for part, _ in group])
        consumer(own, AtomFeatures(*(np.concatenate([f[name] for f in found]) for name in ("scalars", "kept"))))


@contextmanager
def single_threaded() -> Iterator[int]:
    """Matrix products take one thread each, so that our own do not compete; yields how many of these there may be."""
    import scipy.linalg.cython_blas  # noqa: F401  # what kernels call: loaded before its threads are limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield available_threads()
