r"""Partial coherence, exactly: the Gaussian average of intensities over focus and over angles of illumination.

An objective lens at defocus offset δ, lit from a direction that is off by the transverse frequency q, gives the beam k
of an exit wave the phase ``χ(k) + q·∇χ(k) − πλδ(k² + 2 q·k)``. Both offsets are Gaussian, so the mean intensity is

    ⟨I(r)⟩ = Σ_kk' ψ(k) ψ*(k') exp(−i(χ − χ')) E(k, k') exp(2πi (k − k')·r)

with a factor for every *pair* of beams (Ishizuka, Ultramicroscopy 5, 55, 1980, whose mixed term is kept)

    E = exp(−s²|D|²/2) exp(½ Δ² (s²c + ib)² / (1 + Δ²s²e)) / √(1 + Δ²s²e)
    D = ∇χ(k) − ∇χ(k'),  b = πλ(k² − k'²),  e = (2πλ)²|k − k'|²,  c = 2πλ D·(k − k')

where Δ is the standard deviation of the focus and s that of q along each axis. ``E(k, k) = 1``: nothing is lost. Where
one beam is the undiffracted one, E holds the envelopes of linear imaging; damping every beam alone is wrong beyond it.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import aberration_phase, lens_opening
from rhotem.microscope.scan import fourier_resample
from rhotem.microscope.transforms import fast_length

Array = npt.NDArray[np.float64]
Waves = npt.NDArray[np.complexfloating]

#: Largest error of the Gaussian average of a phase factor.
TOLERANCE = 1e-6
#: Standard deviations over which the trapezoidal rule runs.
RANGE = 5.5
#: Part of the scattered intensity that beams too weak to interfere hold together: the square of their relative error.
WEAKEST = 1e-9
#: Points of waves that one call may sum up, about a minute of one core; how many of them a pair of beams takes as long
#: as, and pairs that are looked at together.
LIMIT, PAIR, TOGETHER = 1.5e9, 25.0, 2_000_000
#: Independent sets of quasi-random offsets, whose scatter tells the error.
SETS = 8


def focal_nodes(microscope: Microscope) -> tuple[Array, Array]:
    """Defocus offsets (Å) and weights that average a probe over its focal spread, exact to `TOLERANCE`.

    Beams of the aperture differ by phases up to πλδ(α/λ)², its soft rim included.
    """
    largest = 1.1 * np.pi * (1e-3 * microscope.convergence) ** 2 / microscope.wavelength
    nodes, weights = gaussian_nodes(microscope.focal_spread * largest)
    return microscope.focal_spread * nodes, weights


def gaussian_nodes(phase: float) -> tuple[Array, Array]:
    """Nodes x and weights w with ``Σ w exp(iφx) = exp(−φ²/2)`` within `TOLERANCE` for all ``|φ| ≤ phase`` (rad).

    The smallest Gauss–Hermite rule that passes when tried, or the trapezoidal rule where that has fewer points; its
    error is ``exp(−(2π/h − φ)²/2)`` for steps h.
    """
    if not np.isfinite(phase) or phase < 0:
        raise InputError(f"phase {phase} rad: expected a number from 0 upwards")
    return _rule(0.0 if phase == 0 else float(np.ceil(20 * phase) / 20))


@lru_cache(maxsize=64)
def _rule(phase: float) -> tuple[Array, Array]:
    if phase == 0:
        return np.zeros(1), np.ones(1)
    half = int(np.ceil(RANGE * (phase + RANGE) / (2 * np.pi)))
    points = np.linspace(-RANGE, RANGE, 2 * half + 1)
    tried = np.linspace(0, phase, 64 + int(16 * phase))
    for number in range(2, min(len(points), 40)):
        nodes, weights = np.polynomial.hermite_e.hermegauss(number)
        weights = weights / weights.sum()
        error = np.cos(np.outer(tried, nodes)) @ weights - np.exp(-(tried**2) / 2)
        if np.abs(error).max() <= TOLERANCE:
            return nodes, weights
    weights = np.exp(-(points**2) / 2)
    return points, weights / weights.sum()


class Lens:
    """The objective lens: exit waves of a block of equal cells to the mean image of one cell.

    Cells that are equal but for thermal motion give one image more each. Their mean keeps the pairs of beams whose
    difference is a reciprocal vector of the cell.

    Parameters
    ----------
    microscope : Microscope
        ``convergence`` is the standard deviation of the illumination angle along each axis in mrad, ``focal_spread``
        that of the focus in Å.
    extent : (float, float)
        Sides of the block in Å.
    shape : (int, int)
        Its grid.
    repeats : (int, int)
        Equal cells in it; they divide the grid.
    objective : float or None
        Semi-angle of the aperture in mrad; None: `rhotem.microscope.optics.OPEN`.
    limit : float
        Work that one call of `image` may take, in points of waves. Beyond it focus and angles are drawn quasi-randomly,
        and `record` says with which statistical error.
    """

    def __init__(
        self,
        microscope: Microscope,
        extent: tuple[float, float],
        shape: tuple[int, int],
        repeats: tuple[int, int] = (1, 1),
        *,
        objective: float | None = None,
        limit: float = LIMIT,
    ) -> None:
        self.microscope, self.limit = microscope, limit
        if any(n % r for n, r in zip(shape, repeats, strict=True)):
            raise InputError(f"grid {shape} does not divide into {repeats} equal cells")
        self.cell = (shape[0] // repeats[0], shape[1] // repeats[1])
        sampling = (extent[0] / shape[0], extent[1] / shape[1])
        gx, gy = (np.fft.fftfreq(n, d) for n, d in zip(shape, sampling, strict=True))
        kx, ky = np.meshgrid(gx, gy, indexing="ij")
        opening = lens_opening(kx, ky, objective, microscope.wavelength, sampling)
        self._split = (self.cell[0], repeats[0], self.cell[1], repeats[1])
        passed = opening > 0
        largest = float(np.hypot(kx, ky)[passed].max())
        self._focal = np.pi * microscope.wavelength * microscope.focal_spread * largest**2
        parts = (opening, kx, ky, aberration_phase(kx, ky, microscope), *gradient(kx, ky, microscope))
        self._beams = [self._of_cell(part) for part in parts]
        self._work = self._window()
        self.angles = 1e-3 * microscope.convergence / microscope.wavelength
        # a change of focus turns the slope
        turn = 4 * np.pi * microscope.wavelength * largest * microscope.focal_spread
        self._reach = RANGE * float(np.hypot(1, self.angles * turn))
        slopes = [part[self._beams[0] > 0] for part in self._beams[4:]]
        self._tilts = [self.angles * (float(np.ptp(slope)) + RANGE * turn) for slope in slopes]
        self.record: dict[str, Any] = {"method": "no wave yet"}

    def _window(self) -> tuple[int, int]:
        """Grid on which waves that the aperture lets through, and their intensities, have no aliases."""
        found = []
        for n, index in zip(self.cell, np.nonzero((self._beams[0] > 0).any(axis=0)), strict=True):
            largest = int(np.abs((index + n // 2) % n - n // 2).max())
            found.append(min(n, fast_length(4 * largest + 1)))
        return found[0], found[1]

    def _of_cell(self, values: npt.NDArray) -> npt.NDArray:
        """Values (..., nx, ny) at the block's frequencies as (..., κ, cell x, cell y)."""
        split = values.reshape(*values.shape[:-2], *self._split)
        first = values.ndim - 2
        order = (*range(first), first + 1, first + 3, first, first + 2)
        return split.transpose(order).reshape(*values.shape[:-2], -1, *self.cell)

    def image(self, waves: Waves) -> Array:
        """Mean image (cell x, cell y) of exit waves (configurations, nx, ny), given as Fourier coefficients."""
        coefficients = self._of_cell(waves) * self._beams[0]
        power = (np.abs(coefficients) ** 2).mean(axis=0)
        strong = power > _threshold(power, WEAKEST)
        groups = [i for i in range(len(power)) if strong[i].any()]
        trees = {i: self._tree(i, strong[i]) for i in groups}
        pairs = sum((float(t.count_neighbors(t, self._reach)) - t.n) / 2 for t in trees.values())
        rules = [gaussian_nodes(phase) for phase in (self._focal, *self._tilts)]
        nodes = [len(rule[0]) for rule in rules]
        points = float(np.prod(nodes)) * len(waves) * len(groups) * self._work[0] * self._work[1]
        if min(PAIR * pairs, points) > self.limit:
            return self._drawn(coefficients, groups)
        if PAIR * pairs <= points:
            self.record = {"method": "every pair of beams that interferes", "pairs": pairs, "error": TOLERANCE}
            added = sum((self._pairs(coefficients[:, i], i, strong[i], trees[i]) for i in groups), np.zeros(self.cell))
            return np.asarray(added + power.sum())
        self.record = {"method": "quadrature", "nodes": nodes, "error": TOLERANCE}
        offsets = np.stack(np.meshgrid(*(rule[0] for rule in rules), indexing="ij"), axis=-1).reshape(-1, 3)
        weights = np.einsum("i,j,k->ijk", *(rule[1] for rule in rules)).ravel()
        parts = (self._sum(coefficients[:, i] * strong[i], i, offsets, weights) for i in groups)
        return np.asarray(sum(parts, np.full(self.cell, power[~strong].sum())))

    def _tree(self, group: int, strong: npt.NDArray[np.bool_]) -> Any:
        """Beams of one κ by what focus and angles do to their phases: far ones do not interfere.

        ``|E| ≤ exp(−d²/2(1 + Δ²s²e))`` at distance d.
        """
        from scipy.spatial import cKDTree

        _, kx, ky, _, sx, sy = (part[group][strong] for part in self._beams)
        focal = np.pi * self.microscope.wavelength * self.microscope.focal_spread * (kx**2 + ky**2)
        return cKDTree(np.stack([focal, self.angles * sx, self.angles * sy], axis=1))

    def _pairs(self, waves: Waves, group: int, strong: npt.NDArray[np.bool_], tree: Any) -> Array:
        """What the pairs of different beams of one κ add to the mean of all."""
        from scipy.spatial import cKDTree

        place = np.argwhere(strong)
        _, kx, ky, chi, sx, sy = (part[group][strong] for part in self._beams)
        amplitude = waves[:, strong] * np.exp(-1j * chi) / np.sqrt(len(waves))
        size = self.cell[0] * self.cell[1]
        spectrum = np.zeros(size, dtype=complex)
        ends = np.cumsum(tree.query_ball_point(tree.data, self._reach, return_length=True)) // TOGETHER
        starts = [0, *(np.flatnonzero(np.diff(ends)) + 1), tree.n]
        for start, end in pairwise(starts):
            some = cKDTree(tree.data[start:end])
            near = some.sparse_distance_matrix(tree, self._reach, output_type="ndarray")
            i, j = near["j"], near["i"] + start
            i, j = i[i > j], j[i > j]
            steps, slopes = (kx[i] - kx[j], ky[i] - ky[j]), (sx[i] - sx[j], sy[i] - sy[j])
            square = kx[i] ** 2 + ky[i] ** 2 - kx[j] ** 2 - ky[j] ** 2
            product = pair_factor(self.microscope, steps, slopes, square)
            product *= sum(wave[i] * wave[j].conj() for wave in amplitude)
            difference = (place[i] - place[j]) % self.cell
            index = difference[:, 0] * self.cell[1] + difference[:, 1]
            spectrum += np.bincount(index, product.real, size) + 1j * np.bincount(index, product.imag, size)
        return 2 * np.asarray((np.fft.ifft2(spectrum.reshape(self.cell)) * size).real)

    def _sum(self, waves: Waves, group: int, offsets: Array, weights: Array) -> Array:
        """Weighted sum over ``offsets`` (focus, qx, qy in standard deviations) of the intensities of one κ."""
        import scipy.fft

        _, kx, ky, chi, sx, sy = (_cut(part[group], self._work) for part in self._beams)
        waves = _cut(waves, self._work)
        square = np.pi * self.microscope.wavelength * (kx**2 + ky**2)
        picture = np.zeros(self._work)
        for offset, weight in zip(offsets, weights, strict=True):
            focus, qx, qy = offset * (self.microscope.focal_spread, self.angles, self.angles)
            turn = 2 * np.pi * self.microscope.wavelength * focus
            phase = chi - focus * square + qx * (sx - turn * kx) + qy * (sy - turn * ky)
            lens = np.exp(-1j * phase)
            for wave in waves:
                shown = scipy.fft.ifft2(wave * lens, norm="forward", overwrite_x=True)
                picture += (weight / len(waves)) * (shown.real**2 + shown.imag**2)
        return fourier_resample(picture, self.cell)

    def _drawn(self, coefficients: Waves, groups: list[int]) -> Array:
        """The average over quasi-random offsets, with the scatter of independent sets of them in the record."""
        from scipy.stats import norm, qmc

        each = self.limit / (SETS * len(coefficients) * len(groups) * self._work[0] * self._work[1])
        number = 2 ** int(np.clip(np.floor(np.log2(max(each, 1.0))), 4, 12))
        sets = []
        for seed in range(SETS):
            points = qmc.Sobol(3, rng=np.random.default_rng(seed)).random(number)
            offsets = norm.ppf(np.clip(points, 1e-12, 1 - 1e-12))
            weights = np.full(number, 1 / number)
            sets.append(sum(self._sum(coefficients[:, i], i, offsets, weights) for i in groups))
        stack = np.stack([np.asarray(one) for one in sets])
        error = float(np.sqrt((stack.var(axis=0, ddof=1) / SETS).mean()))
        self.record = {"method": "quasi-random foci and angles", "offsets": number * SETS, "standard_error": error}
        return np.asarray(stack.mean(axis=0))


def pair_factor(
    microscope: Microscope, steps: tuple[Array, Array], slopes: tuple[Array, Array], square: Array
) -> npt.NDArray[np.complex128]:
    """The factor E of pairs: ``steps`` k − k' (1/Å), ``slopes`` ∇χ(k) − ∇χ(k') (rad Å), ``square`` k² − k'²."""
    wavelength, focus = microscope.wavelength, microscope.focal_spread**2
    angle = (1e-3 * microscope.convergence / wavelength) ** 2
    c = 2 * np.pi * wavelength * (slopes[0] * steps[0] + slopes[1] * steps[1])
    e = (2 * np.pi * wavelength) ** 2 * (steps[0] ** 2 + steps[1] ** 2)
    b = np.pi * wavelength * square
    spread = 1 + focus * angle * e
    exponent = 0.5 * focus * (angle * c + 1j * b) ** 2 / spread - 0.5 * angle * (slopes[0] ** 2 + slopes[1] ** 2)
    return np.asarray(np.exp(exponent) / np.sqrt(spread))


def _cut(values: npt.NDArray, shape: tuple[int, int]) -> npt.NDArray:
    """Fourier coefficients (..., nx, ny) of the lowest frequencies."""
    for axis, n in zip((-2, -1), shape, strict=True):
        index = np.rint(np.fft.fftfreq(n) * n).astype(int)
        values = np.take(values, index % values.shape[axis], axis=axis)
    return values


def _threshold(power: Array, share: float) -> float:
    """Intensity below which all beams together hold less than ``share`` of all but the strongest."""
    ordered = np.sort(power, axis=None)
    weak = int(np.searchsorted(np.cumsum(ordered), share * ordered[:-1].sum()))
    return float(ordered[weak - 1]) if weak else 0.0


def gradient(kx: Array, ky: Array, microscope: Microscope) -> tuple[Array, Array]:
    """∇_k χ in rad Å, by central differences."""
    h = 1e-4
    dx = aberration_phase(kx + h, ky, microscope) - aberration_phase(kx - h, ky, microscope)
    dy = aberration_phase(kx, ky + h, microscope) - aberration_phase(kx, ky - h, microscope)
    return dx / (2 * h), dy / (2 * h)
