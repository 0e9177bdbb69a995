"""Labelled pictures as tensors: all in memory, or streamed shard by shard."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import Progress, silent
from rhotem.training.pictures.batch import Batch, Read, Shard
from rhotem.training.pictures.jobs import job_of

#: How often a network is not told what it should do without.
UNTOLD = 0.25


def read_shard(shard: Shard, recipe: str = "columns") -> Read:
    """A shard as a network of this recipe sees it.

    Raises
    ------
    InputError
        If the shard is of another recipe.
    """
    return job_of(recipe).read(shard)


class Pictures:
    """Labelled pictures in memory; the batch of a step depends on seed and step alone, so that training resumes.

    Parameters
    ----------
    shards : sequence of Shard
    progress : Progress
    recipe : str
        Of what the network is to learn.
    """

    def __init__(self, shards: Sequence[Shard], progress: Progress = silent, recipe: str = "columns") -> None:
        self.parts: list[Read] = []
        self.forgotten = job_of(recipe).forgotten
        for number, shard in enumerate(shards):
            self.parts.append(read_shard(shard, recipe))
            progress("pictures", number + 1, len(shards))
        self._ends = np.cumsum([len(part.images) for part in self.parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, number: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Pictures ([inputs,] rows, columns), maps (n, rows, columns) and numbers of one."""
        part = int(np.searchsorted(self._ends, number, side="right"))
        images, maps, numbers = self.parts[part]
        place = number - int(self._ends[part])  # counted from the end
        return images[place], maps[place], numbers[place]

    def batch(self, size: int, seed: int, step: int, side: int | None = None) -> Batch:
        """Pictures of one step, each in one of the eight orientations of the square, by chance.

        ``side``: pixels of a square out of each, at a random place; None: whole pictures.
        """
        rng = np.random.default_rng([seed, step])
        index, ways = rng.integers(len(self), size=size), rng.integers(8, size=size)
        chosen = [self[n] for n in index]
        if side is not None:
            starts = rng.integers(0, np.array(chosen[0][0].shape[-2:]) - side + 1, size=(size, 2))
            squares = [(..., slice(i, i + side), slice(j, j + side)) for i, j in starts]
            chosen = [(i[square], m[square], k) for (i, m, k), square in zip(chosen, squares, strict=True)]
        images, maps, numbers = (np.stack(some) for some in zip(*chosen, strict=True))
        numbers[np.ix_(rng.random(size) < UNTOLD, np.array(self.forgotten, dtype=int))] = 0.0
        return turned(Read(images, maps, numbers), ways)


def turned(read: Read, ways: npt.NDArray[Any]) -> Batch:
    """Pictures with their maps in orientations 0 to 7: quarter turns, then mirrored; behind them planes of numbers."""
    images = read.images[:, None] if read.images.ndim == 3 else read.images
    n, pictures, rows, columns = images.shape
    shown = np.empty((n, pictures + read.numbers.shape[1], rows, columns), dtype=np.float32)
    shown[:, pictures:] = read.numbers[:, :, None, None]
    labels = np.empty_like(read.maps)
    for i, way in enumerate(ways):
        for source, target in ((images[i], shown[i, :pictures]), (read.maps[i], labels[i])):
            one = np.rot90(source, way % 4, axes=(1, 2))
            target[:] = one[:, :, ::-1] if way >= 4 else one
    return Batch(torch.from_numpy(shown), torch.from_numpy(labels))


class PictureStream(torch.utils.data.IterableDataset):
    """Batches of more pictures than memory holds: shards in random order, pictures mixed over a few of them.

    Give it to ``torch.utils.data.DataLoader(stream, batch_size=None, num_workers=n)``; workers share the shards.

    Parameters
    ----------
    shards : sequence of Shard
    batch : int
    seed, epoch : int
        Decide the order.
    mixed : int
        Shards that are in memory at a time.
    """

    def __init__(self, shards: Sequence[Shard], batch: int, seed: int = 0, epoch: int = 0, mixed: int = 4) -> None:
        super().__init__()
        self.shards, self.batch, self.seed, self.epoch, self.mixed = list(shards), batch, seed, epoch, mixed

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        number, total = (worker.id, worker.num_workers) if worker else (0, 1)
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.shards))[number::total]
        rng = np.random.default_rng([self.seed, self.epoch, number])
        for first in range(0, len(order), self.mixed):
            read = [read_shard(self.shards[i]) for i in order[first : first + self.mixed]]
            images, maps, numbers = (np.concatenate(some) for some in zip(*read, strict=True))
            mixed = rng.permutation(len(images))
            for start in range(0, len(mixed), self.batch):
                index = mixed[start : start + self.batch]
                told = numbers[index]
                told[np.ix_(rng.random(len(index)) < UNTOLD, np.array(job_of("columns").forgotten, dtype=int))] = 0.0
                yield turned(Read(images[index], maps[index], told), rng.integers(8, size=len(index)))
