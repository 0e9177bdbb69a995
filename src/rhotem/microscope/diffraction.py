r"""Diffraction of a plane wave by a crystal whose atoms move: elastic spots apart from thermal diffuse scattering.

The mean exit wave ⟨ψ⟩ of all thermal configurations is the elastic one. It has the period of the imaging cell, so of
the Fourier components of a block of equal cells only those at reciprocal vectors of *one* cell can be elastic; what is
between them is diffuse, condensed on the block's reciprocal lattice because the block repeats. There a translation of
the block by one cell changes no phase, so the independent samples are the N configurations. Their mean keeps 1/N of the
diffuse intensity; without it

    E = (N |⟨ψ⟩|² − ⟨|ψ|²⟩) / (N − 1),    diffuse = ⟨|ψ|²⟩ − E = Σ |ψ − ⟨ψ⟩|² / (N − 1)

are unbiased, single values of E may be negative, and their sum is conserved. With the variance v of ψ, its
pseudo-variance p = ⟨(ψ − ⟨ψ⟩)²⟩, and v∥ the variance along ⟨ψ⟩ in the complex plane, the variance of E is
``4 E v∥/N + (v² + |p|²)/(N(N − 1))``.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complexfloating]

#: Probability that diffuse scattering alone, at a reciprocal vector without a spot, is taken for one.
FALSE_ALARM = 1e-6
#: Faintest spot of a list, as a fraction of the strongest scattered one; rounding in single precision is below.
FAINTEST = 1e-6
#: Largest angle in mrad where spots usually end.
SPOT_ANGLE = 60.0
#: Fraction of the beam from which on a spot is certain in any case.
STRONG = 1e-2
#: Part of the beam that waves in single precision scatter by rounding.
ROUNDING = 1e-9
#: Laue zones that a spot may belong to.
ZONES = 3


@dataclass(frozen=True, eq=False)
class Diffraction:
    """Elastic spots and diffuse scattering of a plane wave, as fractions of the incident beam.

    Parameters
    ----------
    elastic : (2Mx+1, 2My+1) array
        Intensity at the reciprocal vectors of the imaging cell, zero angle in the middle; unbiased, so that noise may
        make it negative.
    error : array like it
        Its standard deviation from the configurations; zero for atoms at rest.
    least : array like it
        Intensity below which diffuse scattering may be all there is (`FALSE_ALARM`).
    diffuse : (2Nx+1, 2Ny+1) array
        Thermal diffuse intensity at the reciprocal vectors of the block: a density, sampled there.
    step, diffuse_step : (float, float)
        Distances of these vectors in mrad.
    configurations : int
        Independent samples of the motion; 0 for atoms at rest.
    hkl : (3, 3) array or None
        Indices in the crystal of the imaging cell's three reciprocal vectors, columns.
    """

    elastic: Array
    error: Array
    least: Array
    diffuse: Array
    step: tuple[float, float]
    diffuse_step: tuple[float, float]
    configurations: int
    hkl: Array | None = None

    @property
    def diffuse_density(self) -> Array:
        """Diffuse intensity per mrad², as sampled: values scatter by about 1/√N of themselves."""
        return self.diffuse / (self.diffuse_step[0] * self.diffuse_step[1])

    @property
    def smooth_density(self) -> Array:
        """The same, smoothed over neighbouring reciprocal vectors of the block; its sum stays."""
        from scipy.ndimage import gaussian_filter

        return np.asarray(gaussian_filter(self.diffuse_density, 1.0, mode="wrap"))

    @property
    def certain_above(self) -> float:
        """Intensity, as a fraction of the beam, above which every spot up to `SPOT_ANGLE` is certain; 0 at rest.

        That of strong spots, whose own intensity varies, is left out.
        """
        x, y = (step * (np.arange(n) - n // 2) for n, step in zip(self.least.shape, self.step, strict=True))
        inside = np.hypot(x[:, None], y[None]) <= SPOT_ANGLE
        return float(self.least[inside & (self.elastic < STRONG)].max(initial=0.0))

    @property
    def separated(self) -> bool:
        """Whether elastic and diffuse intensity are told apart: not by a single configuration of moving atoms."""
        return self.configurations != 1

    def record(self) -> dict[str, Any]:
        """How the beam is divided, JSON-ready."""
        if not self.separated:
            return {"elastic_and_diffuse": float(self.elastic.sum() + self.diffuse.sum()), "separated": False}
        elastic, diffuse = float(self.elastic.sum()), float(self.diffuse.sum())
        parts = {"elastic": elastic, "diffuse": diffuse, "beyond_the_grid": 1 - elastic - diffuse}
        return {**parts, "separated": True, "spots": len(self.spots()), "certain_above": self.certain_above}

    def __str__(self) -> str:
        if not self.separated:
            return "diffraction: one configuration does not tell elastic from diffuse scattering"
        parts, moving = self.record(), self.configurations > 1
        return (
            f"diffraction: {parts['spots']} spots, {100 * parts['elastic']:.2f} % of the beam elastic, "
            f"{100 * parts['diffuse']:.2f} % diffuse, {100 * parts['beyond_the_grid']:.2f} % beyond the grid"
            + (f"\nspots above {self.certain_above:.1g} of the beam are told from diffuse scattering" if moving else "")
        )

    def spots(self, threshold: float = FAINTEST) -> list[dict[str, Any]]:
        """Elastic spots that are certain, the direct beam among them, strongest first.

        Parameters
        ----------
        threshold : float
            Least intensity as a fraction of the strongest scattered spot.

        Returns
        -------
        list of dict
            ``i``, ``j``: indices of the imaging cell; ``h``, ``k``, ``l`` in the crystal where it is known, of the
            lowest Laue zone; ``angle_mrad``; ``intensity`` and its standard deviation ``error``, fractions of the beam.
            Empty where elastic and diffuse intensity are not told apart.
        """
        if not self.separated:
            return []
        centre = np.array(self.elastic.shape) // 2
        scattered = self.elastic.copy()
        scattered[tuple(centre)] = 0
        certain = (self.elastic > self.least) & (self.elastic > threshold * scattered.max())
        rows = [self._row(i, j, centre) for i, j in np.argwhere(certain)]
        return sorted(rows, key=lambda row: -row["intensity"])

    def _row(self, i: int, j: int, centre: npt.NDArray[np.int64]) -> dict[str, Any]:
        n, m = int(i - centre[0]), int(j - centre[1])
        names = {} if self.hkl is None else dict(zip("hkl", indices(self.hkl, n, m), strict=True))
        angle = float(np.hypot(n * self.step[0], m * self.step[1]))
        values = {"intensity": float(self.elastic[i, j]), "error": float(self.error[i, j])}
        return {"i": n, "j": m, **names, "angle_mrad": angle, **values}


def mean_of(patterns: "list[Diffraction]") -> Diffraction:
    """The mean of patterns on one lattice, as a precessed beam records them.

    The same thermal configurations make all of them, so their errors and limits are means, too.
    """
    if len(patterns) == 1:
        return patterns[0]
    names = ("elastic", "error", "least", "diffuse")
    return replace(patterns[0], **{name: np.mean([getattr(p, name) for p in patterns], axis=0) for name in names})


def indices(hkl: Array, i: int, j: int) -> tuple[int | None, ...]:
    """Whole indices of the spot (i, j) in the lowest Laue zone; the Ewald sphere bends to the source, −z."""
    for zone in sorted(range(-ZONES, ZONES + 1), key=abs):
        found = hkl @ (i, j, zone)
        if np.abs(found - np.rint(found)).max() < 0.02:
            return tuple(round(float(x)) for x in found)
    return None, None, None


@dataclass(eq=False)
class Waves:
    """Sums over configurations from which `Diffraction` follows.

    Parameters
    ----------
    shape, repeats : (int, int)
        Grid of the block, and equal cells in it.
    """

    shape: tuple[int, int]
    repeats: tuple[int, int]
    number: int = 0
    intensity: Array = field(init=False)
    mean: Complex = field(init=False)
    square: Complex = field(init=False)

    def __post_init__(self) -> None:
        cell = tuple(n // r for n, r in zip(self.shape, self.repeats, strict=True))
        self.intensity = np.zeros(self.shape)
        self.mean, self.square = np.zeros(cell, dtype=complex), np.zeros(cell, dtype=complex)

    def add(self, wave: Complex) -> None:
        """One more exit wave, its Fourier coefficients (nx, ny)."""
        of_cell = wave[:: self.repeats[0], :: self.repeats[1]].astype(complex)
        self.number += 1
        self.intensity += np.abs(wave) ** 2
        self.mean += of_cell
        self.square += of_cell**2

    def result(self, angle: tuple[float, float], moving: bool) -> Diffraction:
        """What they say; ``angle`` is that of the block's first reciprocal vectors in mrad."""
        n, of_cell = self.number, np.s_[:: self.repeats[0], :: self.repeats[1]]
        mean, total = self.mean / n, self.intensity / n
        step = (angle[0] * self.repeats[0], angle[1] * self.repeats[1])
        if n == 1 or not moving:
            diffuse = total.copy()
            diffuse[of_cell] = 0
            if diffuse.sum() < ROUNDING:  # equal cells at rest
                diffuse[:] = 0
            nothing = np.zeros(mean.shape)
            parts = (_centred(total[of_cell]), _centred(nothing), _centred(nothing), _centred(diffuse))
            return Diffraction(*parts, step, angle, 1 if moving else 0)
        variance = np.maximum(n * (total[of_cell] - np.abs(mean) ** 2) / (n - 1), 0.0)
        elastic = total[of_cell] - variance
        pseudo = n * (self.square / n - mean**2) / (n - 1)
        along = np.maximum(0.5 * (variance + (pseudo * np.exp(-2j * np.angle(mean))).real), 0.0)
        error = np.sqrt(4 * np.maximum(elastic, 0) * along / n + (variance**2 + np.abs(pseudo) ** 2) / (n * (n - 1)))
        diffuse = total.copy()
        diffuse[of_cell] = variance
        least = self._least(diffuse, variance)
        parts = (_centred(elastic), _centred(error), _centred(least), _centred(diffuse))
        return Diffraction(*parts, step, angle, n)

    def _least(self, diffuse: Array, variance: Array) -> Array:
        """Elastic intensity at reciprocal vectors of the cell that diffuse scattering alone passes with `FALSE_ALARM`.

        Without elastic scattering ``N|⟨ψ⟩|²/v`` has the F distribution of 2 and 2ν degrees of freedom, with v the
        variance from ν complex samples: those of the neighbouring reciprocal vectors of the block as well, since
        diffuse scattering varies slowly; the vector's own where it is larger.
        """
        from scipy.ndimage import uniform_filter

        n = self.number
        weights = np.full(self.shape, float(n))
        weights[:: self.repeats[0], :: self.repeats[1]] = n - 1
        window = [2 * max(1, r // 2) + 1 for r in self.repeats]
        freedom = uniform_filter(weights, window, mode="wrap")
        pooled = uniform_filter(weights * diffuse, window, mode="wrap") / freedom
        of_cell = np.s_[:: self.repeats[0], :: self.repeats[1]]
        samples = freedom[of_cell] * window[0] * window[1]
        level = np.maximum(pooled[of_cell], variance)
        largest = samples * (FALSE_ALARM ** (-1 / samples) - 1)
        return np.asarray(level * (largest - 1) / n)


def _centred(pattern: Array) -> Array:
    """Zero angle in the middle of an odd number of pixels."""
    shifted = np.fft.fftshift(pattern)
    return shifted[tuple(slice(1 - n % 2, None) for n in pattern.shape)]
