"""Where to start: every thickness and focus, compared with the mean cells of the measured images."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.experiment.fit.focal.model import Model, factors
from rhotem.experiment.fit.focal.pairs import Pairs
from rhotem.experiment.fit.focal.state import NAMES, FocalState

Array = npt.NDArray[np.float64]
Waves = npt.NDArray[np.complexfloating]

#: Distance in Å of the foci and of the thicknesses that are tried; starts handed on, and how far they are apart.
FOCUS, DEPTH, STARTS, APART = 12.0, 8.0, 8, (15.0, 20.0)
#: Points of the grid of origins for a period of the shortest wave.
FINE = 3
#: Correlations this close are of orientations that a symmetry of the crystal connects.
SAME = 1e-4
#: Blur in Å to start from.
BLUR = 0.3


def starts(model: Model, affines: Sequence[Array]) -> list[tuple[float, FocalState]]:
    """States from which to refine, with their correlation; the best first, no two alike.

    Parameters
    ----------
    model : Model
        Of the strong pairs of the mean wave.
    affines : sequence of (2, 2) array
        Each takes (column, row) to Å along x and y of the crystal's cell: orientations that its lattice cannot tell.
    """
    elastic = model.pairs
    seen = [mean_waves(model, affine, elastic) for affine in affines]
    means = np.array([float(np.mean(one.values)) for one in model.photos])
    limits, held = model.limits, model.pairs.held.thicknesses
    foci = np.arange(limits.defocus[0], limits.defocus[1] + 1e-6, FOCUS)
    stride = max(1, round(DEPTH / (held[1] - held[0])))
    grid = _Grid(elastic)
    found: list[tuple[float, float, float, int, Array]] = []
    for depth in held[::stride]:
        product, _ = elastic.products(depth)
        for focus in foci:
            spectra = model.spectra(_state(model, (depth, focus), affines[0], means), elastic, product)
            here: list[float] = []
            for turn, measured in enumerate(seen):
                score, places = grid.matched(measured, spectra)
                # as good as another: a symmetry of the crystal
                if not any(abs(score - other) < SAME for other in here):
                    found.append((score, float(depth), float(focus), turn, places))
                here.append(score)
    found.sort(key=lambda row: -row[0])
    taken: list[tuple[float, float, int]] = []
    chosen: list[tuple[float, FocalState]] = []
    for score, depth, focus, turn, places in found:
        if any(abs(t - depth) < APART[0] and abs(f - focus) < APART[1] and n == turn for t, f, n in taken):
            continue
        taken.append((depth, focus, turn))
        state = _state(model, (depth, focus), affines[turn], means)
        state.each[:, :2] = places
        chosen.append((score, state))
        if len(chosen) == STARTS:
            break
    return chosen


def mean_waves(model: Model, affine: Array, pairs: Pairs) -> Waves:
    """Fourier coefficients (images, q) of measured images on the lattice; beyond what pixels resolve 0."""
    columns, rows = factors(pairs.q, affine, model.shape)
    found = []
    for one in model.photos:
        values = np.asarray(one.values, dtype=float) - np.mean(one.values)
        found.append(((values @ columns.conj().T) * rows.conj()).sum(axis=0) / values.size)
    waves = np.array(found)
    waves[:, np.hypot(*pairs.q.T) > 0.5 / np.sqrt(abs(np.linalg.det(affine)))] = 0.0
    return waves


class _Grid:
    """Origins in the cell, and the correlation of spectra at all of them."""

    def __init__(self, pairs: Pairs) -> None:
        self.cell = np.array(pairs.held.cell)
        self.index = np.rint(pairs.q * self.cell).astype(int)
        self.shape = tuple(int(n) for n in FINE * (2 * np.abs(self.index).max(axis=0) + 1))

    def matched(self, measured: Waves, spectra: Waves) -> tuple[float, Array]:
        """Mean correlation of images at the best origin of each, and these origins (images, 2) in Å."""
        import scipy.fft

        scores, places = [], []
        for seen, made in zip(measured, spectra, strict=True):
            kept = np.where(seen == 0, 0.0, made)
            whole = np.zeros(self.shape, dtype=complex)
            np.add.at(whole, tuple(self.index.T % np.array(self.shape)[:, None]), seen.conj() * kept)
            overlap = scipy.fft.ifft2(whole, norm="forward").real
            top = np.unravel_index(int(overlap.argmax()), self.shape)
            size = np.linalg.norm(seen) * np.linalg.norm(kept)
            scores.append(overlap[top] / max(size, 1e-300))
            places.append(np.array(top) / np.array(self.shape) * self.cell)
        return float(np.mean(scores)), np.array(places)


def _state(model: Model, found: tuple[float, float], affine: Array, means: Array) -> FocalState:
    """A state at a thickness and focus, with gains that give the images' means."""
    limits = model.limits
    values = np.zeros(len(NAMES))
    middle = 0.5 * (limits.cs[0] + limits.cs[1])
    values[:8] = [found[0], found[1], 1.0, middle, 0.0, 0.0, limits.focal_spread, BLUR]
    values[8:] = affine.ravel()
    total, _ = model.pairs.total(found[0])
    each = np.zeros((len(means), 4))
    each[:, 2] = means / max(total, 1e-6)
    return FocalState(values, each)
