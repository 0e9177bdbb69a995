r"""Spectra of images as sums over pairs of beams, with exact derivatives by lens and thickness.

The mean image of a lens is ``Σ_kk' ψ(k) ψ*(k') T(k, k') exp(2πi (k − k')·r)``, T = exp(−i(χ − χ')) E with the factor E
of `rhotem.microscope.coherence`. χ and its gradient are linear in defocus, Cs and twofold astigmatism, and so are
``φ = χ − χ'``, ``D = ∇χ(k) − ∇χ(k')`` and ``c = 2πλ D·(k − k')``: with ``m = 1 + Δ²s²e``,

    ∂ ln T/∂p = −i ∂φ/∂p + Δ² (s²c + ib) s² ∂c/∂p / m − s² D·∂D/∂p
    ∂ ln T/∂Δ² = (s²c + ib)²/2m² − s²e/2m
"""

from copy import copy

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.coherence import gradient
from rhotem.microscope.optics import aberration_phase
from rhotem.scattering.exits import ExitWaves
from rhotem.scattering.patterns.ladder import POINTS, cubic

Array = npt.NDArray[np.float64]
Waves = npt.NDArray[np.complexfloating]

#: Parameters of the lens, in the order of derivatives.
LENS = ("defocus", "Cs", "C12a", "C12b", "focal_spread")
#: Pairs that are left out hold together this part of the squared modulation, at the least focal spread; in a search.
WEAKEST, COARSE = 1e-5, 1e-3
#: Pairs that are looked at together.
TOGETHER = 4_000_000


class Pairs:
    """Pairs of beams that interfere, of one specimen and illumination.

    Parameters
    ----------
    held : ExitWaves
        With four or more thicknesses.
    convergence : float
        Standard deviation of the illumination angle along each axis, mrad.
    spread : float
        Least focal spread in Å that will be asked for.
    elastic : bool
        Only strong pairs that no thermal motion makes, and one mean wave: for a search.
    """

    def __init__(self, held: ExitWaves, convergence: float, spread: float, *, elastic: bool = False) -> None:
        if len(held.thicknesses) < POINTS:
            raise InputError(f"exit waves at {len(held.thicknesses)} thicknesses; a fit needs {POINTS} or more")
        self.held = held
        self.waves = held.waves.mean(axis=1, keepdims=True) if elastic else held.waves
        lens = held.microscope
        self._angle2 = (1e-3 * convergence / lens.wavelength) ** 2
        kx, ky = held.frequencies
        first, second = self._chosen(kx, ky, spread, elastic)
        place = (held.beams[first] - held.beams[second]) // np.array(held.repeats)
        vectors, self.of = np.unique(place, axis=0, return_inverse=True)
        order = np.argsort(self.of, kind="stable")
        self.first, self.second, self.of = first[order], second[order], self.of[order]
        self._starts = np.searchsorted(self.of, np.arange(len(vectors)))
        self.q = vectors / np.array(held.cell)
        self._geometry(kx, ky)

    def without(self, configuration: int) -> "Pairs":
        """The same with one configuration less."""
        other = copy(self)
        other.waves = np.delete(self.waves, configuration, axis=1)
        return other

    def _chosen(
        self, kx: Array, ky: Array, spread: float, elastic: bool
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Pairs of one κ whose q is in the upper half plane and that are not too weak."""
        held = self.held
        kappa = held.beams % np.array(held.repeats)
        power = np.sqrt((np.abs(self.waves) ** 2).mean(axis=1).max(axis=0))
        wavelength = held.microscope.wavelength
        firsts, seconds, sizes = [], [], []
        for key in [np.zeros(2, dtype=np.int64)] if elastic else np.unique(kappa, axis=0):
            members = np.flatnonzero((kappa == key).all(axis=1))
            rows = max(1, TOGETHER // max(len(members), 1))
            for start in range(0, len(members), rows):
                i, j = np.meshgrid(members[start : start + rows], members, indexing="ij")
                steps = held.beams[i] - held.beams[j]
                upper = (steps[..., 0] > 0) | ((steps[..., 0] == 0) & (steps[..., 1] > 0))
                i, j = i[upper], j[upper]
                b = np.pi * wavelength * (kx[i] ** 2 + ky[i] ** 2 - kx[j] ** 2 - ky[j] ** 2)
                firsts.append(i)
                seconds.append(j)
                sizes.append((power[i] * power[j]) ** 2 * np.exp(-((spread * b) ** 2)))
        first, second, size = (np.concatenate(part) for part in (firsts, seconds, sizes))
        order = np.argsort(-size)
        number = 1 + int(np.searchsorted(np.cumsum(size[order]), (1 - (COARSE if elastic else WEAKEST)) * size.sum()))
        return first[order[:number]], second[order[:number]]

    def _geometry(self, kx: Array, ky: Array) -> None:
        """What of pairs does not change: phases, slopes and their projections for a unit of every parameter."""
        lens, i, j = self.held.microscope, self.first, self.second
        wavelength = lens.wavelength
        k2 = kx**2 + ky**2
        cubed = 2 * np.pi * wavelength**3
        units = [
            (-np.pi * wavelength * k2, -2 * np.pi * wavelength * kx, -2 * np.pi * wavelength * ky),
            (0.25 * cubed * k2**2, cubed * k2 * kx, cubed * k2 * ky),
            (np.pi * wavelength * (kx**2 - ky**2), 2 * np.pi * wavelength * kx, -2 * np.pi * wavelength * ky),
            (2 * np.pi * wavelength * kx * ky, 2 * np.pi * wavelength * ky, 2 * np.pi * wavelength * kx),
        ]
        rest = {name: value for name, value in lens.aberrations.items() if name not in ("C10", "C12", "phi12", "C30")}
        other = lens.model_copy(update={"defocus": 0.0, "cs": 0.0, "aberrations": rest})
        parts = [*units, (aberration_phase(kx, ky, other), *gradient(kx, ky, other))]
        both = np.array([[part[i] - part[j] for part in one] for one in parts])
        self._phase, slopes = both[:, 0], both[:, 1:]
        steps = np.stack([kx[i] - kx[j], ky[i] - ky[j]])
        self._slopes = slopes
        self._along = 2 * np.pi * wavelength * (slopes * steps).sum(axis=1)
        self._e = (2 * np.pi * wavelength) ** 2 * (steps**2).sum(axis=0)
        self._b = np.pi * wavelength * (k2[i] - k2[j])

    def products(self, thickness: float) -> tuple[Waves, Waves]:
        """``ψ(k) ψ*(k')`` of all pairs, mean of configurations, and its derivative by the thickness."""
        weights, slopes = cubic(self.held.thicknesses, thickness)
        levels = np.flatnonzero((weights != 0) | (slopes != 0))
        some = self.waves[levels].astype(complex)
        wave, change = (np.tensordot(one[levels], some, axes=(0, 0)) for one in (weights, slopes))
        value: Waves = np.zeros(len(self.first), dtype=complex)
        slope: Waves = np.zeros(len(self.first), dtype=complex)
        for one, rate in zip(wave, change, strict=True):
            value += one[self.first] * one[self.second].conj()
            slope += rate[self.first] * one[self.second].conj() + one[self.first] * rate[self.second].conj()
        return value / len(wave), slope / len(wave)

    def total(self, thickness: float) -> tuple[float, float]:
        """Mean intensity of images, and its derivative by the thickness."""
        weights, slopes = cubic(self.held.thicknesses, thickness)
        return float(weights @ self.held.totals), float(slopes @ self.held.totals)

    def transfer(self, lens: Array, slopes: bool = True) -> tuple[Waves, Waves]:
        """T of all pairs for values of `LENS`, and ∂ ln T (5, pairs); without ``slopes`` of none."""
        linear, spread2 = np.array([*lens[:4], 1.0]), lens[4] ** 2
        angle2 = self._angle2
        phase, bend = linear @ self._phase, np.tensordot(linear, self._slopes, axes=(0, 0))
        m = 1.0 + spread2 * angle2 * self._e
        z = angle2 * (linear @ self._along) + 1j * self._b
        exponent = 0.5 * spread2 * z**2 / m - 0.5 * angle2 * (bend**2).sum(axis=0) - 1j * phase
        value = np.exp(exponent) / np.sqrt(m)
        if not slopes:
            return value, np.zeros((0, len(value)), dtype=complex)
        rates = np.empty((len(LENS), len(value)), dtype=complex)
        for n in range(4):
            rates[n] = -1j * self._phase[n] + spread2 * angle2 * z * self._along[n] / m
            rates[n] -= angle2 * (bend * self._slopes[n]).sum(axis=0)
        rates[4] = 2 * lens[4] * (0.5 * (z / m) ** 2 - 0.5 * angle2 * self._e / m)
        return value, rates

    def gathered(self, values: Waves) -> Waves:
        """Sums (..., q) of values (..., pairs) over pairs of the same q."""
        return np.add.reduceat(values, self._starts, axis=-1)
