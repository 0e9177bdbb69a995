"""Voxels of a label that stand for its whole grid: evenly spread ones, and ones where the density is deformed."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Share of voxels chosen uniformly by `choose`; the rest follow |Δn| (bonds and nuclei), where there is much to learn.
UNIFORM = 0.5
#: Voxels of a label in a shard: per atom, at least, at most; share of those that are spread evenly by a rule.
PER_ATOM, LEAST, MOST, EVEN = 300, 1200, 7000, 0.35
#: Steps of the additive sequence that spreads points evenly in three dimensions, in units of 2⁻⁶⁴: powers of 1/φ with
#: φ⁴ = φ + 1 (M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018).
_STEPS = np.array([15111065706836454659, 12378569675163806722, 10140184033053478359], dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class Selection:
    """Voxels of a grid.

    Parameters
    ----------
    index : (n,) int32 array
        Flat C-order indices, no repeats.
    weight : (n,) float32 array
        Voxels of the whole grid that one stands for (1/inclusion probability): Σ weight·f estimates Σ f over the grid.
    absolute_mean : float or None
        Mean |Δn| over the whole grid in e/Å³, where it is known.
    """

    index: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]
    absolute_mean: float | None = None

    def mean(self, values: npt.NDArray, size: int) -> float:
        """Estimate of the mean over a grid of ``size`` points of a function that is ``values`` at the voxels."""
        return float((self.weight.astype(np.float64) * values).sum() / size)


def choose(deformation: npt.NDArray, count: int, rng: np.random.Generator) -> Selection:
    """About ``count`` voxels, each taken independently with a probability that mixes uniform and ∝ |Δn|.

    Independent (Poisson) sampling makes the weights exact; resolution stays that of the grid.
    """
    size = np.abs(deformation.astype(np.float64)).ravel()
    if count >= len(size):
        return Selection(np.arange(len(size), dtype=np.int32), np.ones(len(size), dtype=np.float32))
    shape = UNIFORM / len(size) + (1 - UNIFORM) * size / max(size.sum(), 1e-30)
    probability = np.minimum(1.0, count * shape)
    for _ in range(5):  # what is cut off at 1 goes to the others
        free = probability < 1.0
        missing = count - (~free).sum()
        probability = np.where(free, np.minimum(1.0, shape * missing / shape[free].sum()), 1.0)
    index = np.flatnonzero(rng.random(len(size)) < probability)
    return Selection(index.astype(np.int32), (1.0 / probability[index]).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Few:
    """A few voxels whose weights follow from their values, and a third of them from a rule.

    Parameters
    ----------
    even : int
        The first so many are `spread` by the rule.
    index : (n,) int32 array
        Flat C-order indices, no repeats; increasing but for those of the rule.
    share : float
        Each of the others was taken with the probability min(1, share·|Δn|), Δn in e/Å³.
    """

    even: int
    index: npt.NDArray[np.int32]
    share: float

    def weight(self, values: npt.NDArray, size: int) -> npt.NDArray[np.float32]:
        """Voxels of a grid of ``size`` that each stands for; ``values``: Δn at the voxels, as stored."""
        taken = np.minimum(1.0, self.share * np.abs(values.astype(np.float64)))
        return (1.0 / (1.0 - (1.0 - self.even / size) * (1.0 - taken))).astype(np.float32)


def choose_few(values: npt.NDArray[np.float16], name: str, count: int) -> Few:
    """``count`` voxels: 35 % spread evenly, the others in proportion to |Δn|; decided by ``name``.

    Parameters
    ----------
    values : (n1, n2, n3) array
        Δn in e/Å³ in the numbers that are kept.
    name : str
        What the random numbers follow from.

    Notes
    -----
    Those in proportion to |Δn| are taken in equal steps of its running sum (systematic sampling), which makes the
    probabilities exact and spreads them over the cell.
    """
    size = np.abs(values.astype(np.float64)).ravel()
    even = spread(values.shape, round(EVEN * count), name)
    wanted = min(count - len(even), np.count_nonzero(size))
    share = wanted / max(size.sum(), 1e-30)
    for _ in range(50):  # what is cut off at 1 goes to the others
        full = share * size >= 1.0
        better = (wanted - full.sum()) / max(size[~full].sum(), 1e-30)
        if not better > share * (1.0 + 1e-12):
            break
        share = better
    sums = np.cumsum(np.minimum(1.0, share * size))
    start = int(_offsets(f"{name} steps")[0] >> np.uint64(11)) / 2.0**53
    index = np.searchsorted(sums, start + np.arange(int(np.floor(sums[-1] - start)) + 1), side="right")
    others = np.setdiff1d(index[index < len(size)], even)
    return Few(len(even), np.concatenate([even, others]).astype(np.int32), float(share))


def spread(shape: tuple[int, ...], count: int, name: str) -> npt.NDArray[np.int32]:
    """Flat indices of ``count`` voxels spread evenly over a grid, none twice; in whole numbers, alike everywhere."""
    n1, n2, n3 = shape
    count = min(count, n1 * n2 * n3)
    offsets = _offsets(name)
    asked = 2 * count + 64
    while True:
        steps = np.arange(asked, dtype=np.uint64)
        axes = zip(offsets, _STEPS, shape, strict=True)
        rows = [((o + steps * step) >> np.uint64(32)) * np.uint64(n) >> np.uint64(32) for o, step, n in axes]
        flat = (rows[0] * np.uint64(n2) + rows[1]) * np.uint64(n3) + rows[2]
        _, first = np.unique(flat, return_index=True)
        if len(first) >= count:
            return flat[np.sort(first)[:count]].astype(np.int32)
        asked *= 2


def _offsets(name: str) -> npt.NDArray[np.uint64]:
    return np.frombuffer(hashlib.sha256(name.encode()).digest()[:24], dtype=">u8").astype(np.uint64)
