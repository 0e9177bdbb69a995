"""Electrons counted one by one: drawn once per probe position, every detector sees its share of the same ones.

Electrons of a beam arrive independently, so their number at a position is a Poisson number, and those of disjoint parts
of the diffraction plane are independent Poisson numbers with the expected intensities as means: nothing needs to be
drawn as a whole and divided. Detectors that overlap are sums over shared parts and correlated by what they share.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.microscope.cells import Cells
from rhotem.microscope.detectors import Channel

Array = npt.NDArray[Any]

#: Electrons times cells that are divided at a time among detectors that share pixels of a pattern.
SPLIT = 4_000_000
#: How exactly, as a fraction of their electrons, shares of divided pixels give the intensity expected in a cell, and
#: after how many steps that is left as it is.
FIT, FITS = 1e-5, 100


@dataclass(frozen=True, eq=False)
class Electrons:
    """Electrons of every probe position of a scan (nx, ny).

    Parameters
    ----------
    cells : Cells
    numbers : (cells, nx, ny) array
        Electrons that fell into each cell.
    sums : (cells, weights, nx, ny) array
        Sum of their weights (`Cells.functions`): angles along x and y in mrad, then sensitivities; zero where none is
        recorded.
    patterns : dict of (nx, ny, Kx, Ky) arrays
        Electrons in every pixel of pixelated detectors, of which the cells hold their part.
    elsewhere : (nx, ny) array or None
        Those that no detector saw; None: not drawn.
    """

    cells: Cells
    numbers: Array
    sums: Array
    patterns: dict[str, Array]
    elsewhere: Array | None

    def counted(self, name: str) -> Array:
        """Electrons (nx, ny) in the channel ``name``."""
        return np.asarray(self.numbers[self.cells.within(name)].sum(axis=0))

    def deflection(self, name: str) -> tuple[Array, Array]:
        """Mean angle (2, nx, ny) in mrad of the electrons in channel ``name``, and where there were none: 0 there."""
        number = self.counted(name)
        total = self.sums[self.cells.within(name), :2].sum(axis=0)
        return total / np.maximum(number, 1), number == 0

    def weighed(self, channel: Channel) -> Array:
        """Sum (nx, ny) of the sensitivities that the electrons of a channel met."""
        place = self.cells.functions.index(channel.function)
        return np.asarray(self.sums[self.cells.within(channel.plain), place].sum(axis=0))


def draw(
    cells: Cells,
    moments: Array,
    patterns: dict[str, Array],
    pixel: "Pixels",
    *,
    electrons: float,
    rng: np.random.Generator,
    beyond: bool = True,
) -> Electrons:
    """Electrons of all positions from expected intensities.

    Parameters
    ----------
    cells : Cells
    moments : (columns, nx, ny) array
        Expected moments (`Cells.columns`) of the beam outside pixelated detectors, intensities as fractions of it;
        then, if there are patterns, the expected intensity inside these, cell by cell.
    patterns : dict of (nx, ny, Kx, Ky) arrays
        Expected patterns of pixelated detectors, with the same pixels around the same middle.
    pixel : Pixels
        What these are.
    electrons : float
        Mean number per position.
    rng : numpy Generator
    beyond : bool
        Draw those, too, that no detector sees; last of all, so that the others are the same without.
    """
    shape = moments.shape[1:]
    numbers = np.zeros((len(cells.cells), *shape), dtype=np.int64)
    sums = np.zeros((len(cells.cells), len(cells.functions), *shape))
    column = dict(zip(cells.columns, moments, strict=False))
    seen = np.zeros(shape)
    for i, cell in enumerate(cells.cells):
        share = np.clip(column[i, ""], 0.0, None)
        seen += share
        numbers[i] = rng.poisson(share * electrons)
        if cell.functions:
            places = [cells.functions.index(name) for name in cell.functions]
            known = {factors: column[i, moment] for moment, factors in cell.factors.items()}
            sums[i, places] = _summed(numbers[i], cell.functions, known, rng)
    counts: dict[str, Array] = {}
    if patterns:
        largest = max(patterns, key=lambda name: patterns[name].shape[2:])
        expected = patterns[largest]
        drawn = np.empty(expected.shape, dtype=np.int32)
        for row, own in zip(drawn, expected, strict=True):  # what is drawn in one go takes four times its memory
            row[:] = rng.poisson(np.clip(own, 0.0, None) * electrons)
        seen += expected.sum(axis=(2, 3))
        counts = {name: middle(drawn, values.shape[2:]) for name, values in patterns.items()}
        inside = moments[len(cells.columns) :]
        if cells.cells:  # patterns alone have no parts to be divided among
            _divide(drawn, expected, inside, _Edges(cells, pixel, drawn.shape[2:]), numbers, sums, rng)
    elsewhere = rng.poisson(np.clip(1.0 - seen, 0.0, None) * electrons) if beyond else None
    return Electrons(cells, numbers, sums, counts, elsewhere)


def _summed(
    number: Array, functions: tuple[str, ...], expected: dict[tuple[str, ...], Array], rng: np.random.Generator
) -> Array:
    """Sums of weights (functions, nx, ny) of ``number`` electrons of a distribution with given moments.

    Normal with the means and covariances of such sums: exact in both, and in shape for many electrons. With the Poisson
    number a sum has the variance of a compound Poisson sum, ``N ⟨w²⟩``. ``expected``: the moments by the weights that
    each is the product of.
    """
    safe = np.where(expected[()] > 0, expected[()], np.inf)
    mean = np.stack([expected[name,] / safe for name in functions])
    size, root = len(functions), np.sqrt(number)
    draws = rng.standard_normal((size, *number.shape))
    factor = np.zeros((size, size, *number.shape))  # Cholesky, zero where nothing is left to vary
    for i in range(size):
        for j in range(i + 1):
            moment = expected[functions[j], functions[i]] / safe
            rest = moment - mean[i] * mean[j] - (factor[i, :j] * factor[j, :j]).sum(axis=0)
            if i == j:
                factor[i, i] = np.sqrt(np.clip(rest, 0, None))
            else:
                factor[i, j] = np.divide(rest, factor[j, j], out=np.zeros_like(rest), where=factor[j, j] > 0)
    scatter = [(factor[i, : i + 1] * draws[: i + 1]).sum(axis=0) for i in range(size)]
    return number * mean + root * np.stack(scatter)


@dataclass(frozen=True)
class Pixels:
    """Pixels of patterns.

    Parameters
    ----------
    step : (float, float)
        1/Å.
    wavelength : float
        Å.
    """

    step: tuple[float, float]
    wavelength: float

    def frequencies(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """``kx, ky`` in 1/Å of all pixels of a pattern of odd ``shape``, flat."""
        axes = ((np.arange(n) - n // 2) * s for n, s in zip(shape, self.step, strict=True))
        kx, ky = np.meshgrid(*axes, indexing="ij")
        return kx.ravel(), ky.ravel()


class _Edges:
    """Pixels of a pattern that lie in one cell, and those that an edge divides.

    Attributes
    ----------
    weights : (weights, pixels) array
        Values of `Cells.functions`.
    weighed : (weights, cells) array
        Where they are recorded.
    whole : (pixels, cells) array
        1 where a pixel lies in one cell altogether.
    split : (n,) array
        The other pixels.
    shares : (n, cells + 1) array
        Parts of these; the last is in no cell.
    """

    def __init__(self, cells: Cells, pixel: Pixels, shape: tuple[int, ...]) -> None:
        kx, ky = pixel.frequencies(shape)
        parts = cells.weights(kx, ky, pixel.wavelength, pixel.step)
        scale = 1e3 * pixel.wavelength
        weights = cells.weighs(scale * kx, scale * ky, (scale * pixel.step[0], scale * pixel.step[1]))
        self.weights = np.stack([weights[name] if name in weights else np.zeros(len(kx)) for name in cells.functions])
        divided = (parts > 1e-9) & (parts <= 1 - 1e-9)
        self.split = np.flatnonzero(divided.any(axis=1))
        self.whole = (parts > 1 - 1e-9).astype(float)
        self.weighed = np.array([[name in cell.functions for cell in cells.cells] for name in cells.functions])
        own = parts[self.split].clip(0.0, 1.0)
        self.shares = np.append(own, 1 - own.sum(axis=1, keepdims=True), axis=1).clip(0.0, 1.0)

    def fitted(self, expected: Array, inside: Array) -> Array:
        """Probabilities (positions, n, cells + 1) that an electron of a divided pixel falls into a cell.

        What cells hold on average is known better than area by area: at the rim of the aperture an edge of a detector
        and the illuminated part of the pixel are one and the same. The shares are scaled, pixel sums kept, until cells
        hold that on average (iterative proportional fitting; Deming & Stephan, Ann. Math. Stat. 11, 427, 1940).

        Parameters
        ----------
        expected : (positions, pixels) array
        inside : (positions, cells) array
        """
        intensity = expected[:, self.split]
        wanted = inside - expected @ self.whole
        wanted = np.append(wanted, intensity.sum(axis=1, keepdims=True) - wanted.sum(axis=1, keepdims=True), axis=1)
        wanted = np.clip(wanted, 0.0, None)
        shares = np.repeat(self.shares[None], len(expected), axis=0)
        for _ in range(FITS):
            found = np.einsum("pk,pkc->pc", intensity, shares)
            if (np.abs(found - wanted) <= FIT * np.abs(intensity).sum(axis=1, keepdims=True)).all():
                break
            shares *= np.divide(wanted, found, out=np.ones_like(found), where=found > 0)[:, None]
            total = shares.sum(axis=2, keepdims=True)
            shares = np.where(total > 0, shares / np.where(total > 0, total, 1.0), self.shares)
        return shares


def _divide(
    drawn: Array, expected: Array, inside: Array, edges: _Edges, numbers: Array, sums: Array, rng: np.random.Generator
) -> None:
    """Add the electrons of patterns (nx, ny, Kx, Ky) to the cells; those of a pixel on an edge fall on either side."""
    pixels = edges.whole.shape[0]
    flat, mean = drawn.reshape(-1, pixels), expected.reshape(-1, pixels)
    targets = inside.reshape(len(inside), -1).T
    size = max(1, SPLIT // (edges.shares.size + pixels))
    number, total = numbers.reshape(len(numbers), -1), sums.reshape(*sums.shape[:2], -1)
    for start in range(0, len(flat), size):
        rows = slice(start, start + size)
        here = flat[rows].astype(float)
        shares = edges.fitted(np.clip(mean[rows], 0.0, None), targets[rows])
        divided = rng.multinomial(flat[rows][:, edges.split], shares)[..., :-1]
        number[:, rows] += (np.rint(here @ edges.whole).astype(np.int64) + divided.sum(axis=1)).T
        for place, (weights, weighed) in enumerate(zip(edges.weights, edges.weighed, strict=True)):
            if weighed.any():
                moved = here @ (edges.whole * weights[:, None])
                moved += np.einsum("pkc,k->pc", divided, weights[edges.split])
                total[weighed, place, rows] += moved.T[weighed]


def middle(patterns: Array, shape: tuple[int, ...]) -> Array:
    """The middle of patterns (nx, ny, Kx, Ky)."""
    cut = tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(patterns.shape[2:], shape, strict=True))
    return patterns[(slice(None), slice(None), *cut)]
