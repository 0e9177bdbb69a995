r"""Bloch waves: beams behind a crystal of any thickness, for any direction of the incident plane wave.

With the wave vector K in the crystal and Bloch waves of k = K + γ ẑ the beams of one wave are an eigenvector of

    2K s_g C_g + Σ_h (U + iU')_{g−h} C_h = 2 K_z (1 + g_z/K_z) γ C_g ,

γ² left out against 2 K_z γ (J. C. H. Spence, J. M. Zuo, Electron Microdiffraction (1992), section 3; C. J. Humphreys,
Rep. Prog. Phys. 42, 1825 (1979)). With B_g = (1 + g_z/K_z)^½ C_g it is an ordinary eigenvalue problem, Hermitian
without absorption; amplitudes at thickness t are B exp(2πiγt) B⁻¹ of the direct beam. |B_g|² is the current of a beam
through the exit surface as a part of the incident one, and without absorption these sum to one.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.core.units import wavelength
from rhotem.potential.crystal import g_vectors
from rhotem.scattering.blochwave.beams import Beams, difference_matrix, excitation_errors, wave_vectors
from rhotem.scattering.blochwave.optical import Coefficients
from rhotem.structure.model import Structure

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

#: Bytes of structure matrices diagonalised together.
TOGETHER = 32e6


class BlochWaves:
    """The beams of a crystal for one energy; directions and thicknesses are asked for.

    Parameters
    ----------
    crystal : Structure
        Beam along +z of its frame: the ``crystal`` of an `ImagingCell`.
    potential : callable
        U_g + iU'_g in 1/Å² of Miller indices, an `OpticalPotential`.
    energy : float
        eV.
    beams : Beams
    """

    def __init__(self, crystal: Structure, potential: Coefficients, energy: float, beams: Beams) -> None:
        self.crystal, self.energy, self.beams = crystal, energy, beams
        self.matrix = difference_matrix(beams.exact, beams.exact, potential)
        self._to_weak = difference_matrix(beams.exact, beams.weak, potential)
        self._from_weak = difference_matrix(beams.weak, beams.exact, potential)
        self._g, self._g_weak = g_vectors(crystal, beams.exact), g_vectors(crystal, beams.weak)

    @property
    def wavelength(self) -> float:
        """Relativistic wavelength in Å."""
        return wavelength(self.energy)

    @property
    def u0(self) -> float:
        """Mean inner potential U_0 in 1/Å²."""
        return float(self.matrix[0, 0].real)

    @property
    def g(self) -> Array:
        """Reciprocal vectors (N, 3) of the exact beams in 1/Å."""
        return self._g

    @property
    def absorbs(self) -> bool:
        """Whether electrons are lost."""
        return not np.allclose(self.matrix, self.matrix.conj().T, rtol=0, atol=1e-12)

    def amplitudes(self, directions: npt.ArrayLike, thicknesses: npt.ArrayLike, progress: Progress = silent) -> Complex:
        """Amplitudes of the exact beams behind the crystal, normalised to current; shape (T, P, N).

        Phases are those against the mean wave K at the exit surface: the amplitude of the direct beam in vacuum is 1.

        Parameters
        ----------
        directions : (P, 2) array
            Components k_t of the incident wave in 1/Å along x and y.
        thicknesses : (T,) array
            Å.
        progress : Progress
            Told of directions done.

        Raises
        ------
        InputError
            If a direction or a thickness is none.
        """
        depth = np.atleast_1d(np.asarray(thicknesses, dtype=float))
        if depth.ndim != 1 or not (np.isfinite(depth) & (depth >= 0)).all():
            raise InputError(f"thicknesses {depth.tolist()}: expected lengths in Å, not negative")
        waves = wave_vectors(np.asarray(directions, dtype=float), wavelength(self.energy), self.u0)
        result = np.empty((len(depth), len(waves), len(self.beams.exact)), dtype=complex)
        solve = _lossy if self.absorbs else _lossless
        for part in self._parts(len(waves)):
            gamma, modes, start = solve(self._matrices(waves[part]))
            gamma = gamma / (2.0 * waves[part, 2, None])
            for i, t in enumerate(depth):
                result[i, part] = np.einsum("pgj,pj->pg", modes, np.exp(2j * np.pi * t * gamma) * start)
            progress("Bloch waves", part.stop, len(waves))
        return result

    def intensities(self, directions: npt.ArrayLike, thicknesses: npt.ArrayLike, progress: Progress = silent) -> Array:
        """Parts of the incident current in the exact beams, shape (T, P, N); arguments as `amplitudes`."""
        return np.abs(self.amplitudes(directions, thicknesses, progress)) ** 2

    def derivatives(
        self, directions: npt.ArrayLike, thickness: float, changes: Sequence[Complex]
    ) -> tuple[Complex, Complex]:
        """Amplitudes (P, N) and their derivatives (1 + Q, P, N): by the thickness in Å, and by Q parameters.

        Parameters
        ----------
        directions : (P, 2) array
            As `amplitudes`.
        thickness : float
            Å.
        changes : sequence of (N, N) or (P, N, N) arrays
            What a unit of each parameter changes in the structure matrix in 1/Å²: for U_g its places (`matrix_of`), for
            a direction the diagonal of `slopes`. What weak beams do is held.

        Notes
        -----
        For S = exp(iAs) of A = B λ B⁻¹, dS = B [(B⁻¹ dA B)_ij (e^{iλ_i s} − e^{iλ_j s})/(λ_i − λ_j)] B⁻¹, exact.
        """
        waves = wave_vectors(np.asarray(directions, dtype=float), wavelength(self.energy), self.u0)
        shape = (len(waves), len(self.beams.exact))
        values, slopes = np.empty(shape, dtype=complex), np.empty((1 + len(changes), *shape), dtype=complex)
        for part in self._parts(len(waves)):
            gamma, modes, start = _lossy(self._matrices(waves[part]))
            depth = np.pi * thickness / waves[part, 2, None]
            scale = 1.0 / np.sqrt(1.0 + self._g[:, 2] / waves[part, 2:])
            inverse = np.linalg.inv(modes)
            phase = np.exp(1j * gamma * depth)
            kernel = _divided(gamma * depth, phase) * depth[..., None]
            values[part] = np.einsum("pgj,pj->pg", modes, phase * start)
            slopes[0, part] = np.einsum("pgj,pj->pg", modes, 1j * gamma * np.pi / waves[part, 2, None] * phase * start)
            for q, change in enumerate(changes):
                local = change[part] if change.ndim == 3 else change
                rotated = inverse @ ((scale[:, :, None] * local * scale[:, None]) @ modes)
                slopes[1 + q, part] = np.einsum("pgi,pij,pj->pg", modes, rotated * kernel, start)
        return values, slopes

    def matrix_of(self, h: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Where U_g of one of the reflections (M, 3) stands in the structure matrix: ones and zeros (N, N)."""
        differences = self.beams.exact[:, None] - self.beams.exact[None]
        return np.any([(differences == one).all(axis=-1) for one in np.atleast_2d(np.asarray(h))], axis=0).astype(float)

    def slopes(self, directions: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Derivatives of the structure matrix by k_x and k_y in 1/Å, shape (2, P, N, N): diagonal."""
        waves = wave_vectors(np.asarray(directions, dtype=float), wavelength(self.energy), self.u0)
        lean = waves[:, :2] / waves[:, 2:]
        diagonal = -2.0 * self._g.T[:2, None] + 2.0 * lean.T[:, :, None] * self._g[:, 2]
        return np.asarray(diagonal[..., None] * np.eye(len(self._g)))

    def _parts(self, number: int) -> Iterator[slice]:
        size = max(1, int(TOGETHER / (16 * len(self.beams.exact) ** 2)))
        return (slice(i, min(i + size, number)) for i in range(0, number, size))

    def _matrices(self, waves: Array) -> Complex:
        """Structure matrices (P, N, N) in 1/Å² of wave vectors, weak beams folded in."""
        matrices = np.repeat(self.matrix[None], len(waves), axis=0)
        if len(self.beams.weak):
            inverse = 1.0 / excitation_errors(self._g_weak, waves)
            matrices -= (self._to_weak * inverse[:, None]) @ self._from_weak
        diagonal = np.arange(len(self.beams.exact))
        # U_0 is in K already, what it absorbs is not
        matrices[:, diagonal, diagonal] += excitation_errors(self._g, waves) - self.u0
        scale = 1.0 / np.sqrt(1.0 + self._g[:, 2] / waves[:, 2:])
        return matrices * scale[:, :, None] * scale[:, None]


Solved = tuple[Complex | Array, Complex, Complex]


def _lossless(matrices: Complex) -> Solved:
    """Eigenvalues (P, N), eigenvectors (P, N, N) and excitations (P, N) by the direct beam, of Hermitian matrices."""
    values, vectors = np.linalg.eigh(matrices)
    return values, vectors, vectors[:, 0].conj()


def _divided(angles: Complex | Array, phase: Complex) -> Complex:
    """Divided differences of exp(i·) at every pair of angles (P, N): (P, N, N); the derivative where they are equal."""
    difference = angles[:, :, None] - angles[:, None]
    same = np.abs(difference) < 1e-6
    return np.asarray(
        np.where(
            same,
            1j * phase[:, :, None],
            (phase[:, :, None] - phase[:, None]) / np.where(same, 1.0, difference),
        )
    )


def _lossy(matrices: Complex) -> Solved:
    """The same of any matrices."""
    values, vectors = np.linalg.eig(matrices)
    direct = np.zeros((*matrices.shape[:2], 1))
    direct[:, 0] = 1.0
    return values, vectors, np.linalg.solve(vectors, direct)[..., 0]
