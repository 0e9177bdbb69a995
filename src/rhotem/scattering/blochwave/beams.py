r"""Which reflections take part: near the Ewald sphere for some direction of the beam, and linked to the direct beam.

Directions are the components k_t (1/Å) of the incident wave across the beam axis z of the crystal's frame. Inside the
crystal the wave vector K keeps k_t, and |K|² = 1/λ² + U_0.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, reflections
from rhotem.potential.crystal import g_vectors
from rhotem.scattering.blochwave.optical import Coefficients
from rhotem.structure.model import Structure

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: |U_g| in 1/Å² below which a reflection links no beams.
NOTHING = 1e-9
#: Most exact beams: matrices of more take minutes a direction. Most reflections that are looked at.
MOST, CANDIDATES = 2000, 8000


@dataclass(frozen=True, eq=False)
class Beams:
    """The reflections of a calculation, the direct beam first.

    Parameters
    ----------
    exact : (N, 3) int array
        Miller indices of the beams of the structure matrix.
    weak : (W, 3) int array
        Those that only change the exact ones, in second order (Bethe's potentials).
    """

    exact: Ints
    weak: Ints = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))

    def index(self, h: npt.ArrayLike) -> int:
        """Row of a reflection among the exact beams.

        Raises
        ------
        InputError
            If it is none of them.
        """
        rows = np.flatnonzero((self.exact == np.asarray(h)).all(axis=1))
        if len(rows) == 0:
            raise InputError(f"reflection {list(np.asarray(h))}: none of the {len(self.exact)} beams; select more")
        return int(rows[0])


def wave_vectors(directions: Array, energy_wavelength: float, u0: float) -> Array:
    """Wave vectors K (P, 3) in 1/Å inside the crystal, of k_t (P, 2).

    Raises
    ------
    InputError
        If a direction is none of a wave of this energy.
    """
    k = np.atleast_2d(np.asarray(directions, dtype=float))
    along = 1.0 / energy_wavelength**2 + u0 - (k**2).sum(axis=1)
    if k.shape[1] != 2 or not np.isfinite(k).all() or (along <= 0).any():
        raise InputError("directions: expected (P, 2) components across the beam in 1/Å, shorter than 1/λ")
    return np.column_stack([k, np.sqrt(along)])


def excitation_errors(g: Array, waves: Array) -> Array:
    """2K s_g = K² − |K + g|² in 1/Å² of reciprocal vectors (N, 3) for wave vectors (P, 3); shape (P, N)."""
    return -2.0 * waves @ g.T - (g**2).sum(axis=1)


def select_beams(
    crystal: Structure,
    potential: Coefficients,
    waves: Array,
    g_max: float,
    s_max: float,
    s_weak: float | None = None,
) -> Beams:
    """Reflections within ``g_max`` whose distance from the Ewald sphere is small for a direction of the beam.

    Parameters
    ----------
    crystal : Structure
        Beam along +z of its frame.
    potential : callable
        U_g + iU'_g: reflections that it does not link to the direct beam are left out.
    waves : (P, 3) array
        Wave vectors of the directions, or of the rim of their disc.
    g_max : float
        Largest |g| in 1/Å.
    s_max, s_weak : float
        Largest excitation error |s_g| in 1/Å of exact beams and of weak ones; ``s_weak`` None: no weak beams.

    Raises
    ------
    InputError
        If a limit is not positive, or nothing but the direct beam is left.
    """
    if not (g_max > 0 and s_max > 0 and (s_weak is None or s_weak > s_max)):
        raise InputError(f"beams: g_max {g_max}, s_max {s_max}, s_weak {s_weak}: expected positive, weak > exact")
    limits = f"|g| {g_max:g} and |s| {s_weak or s_max:g} 1/Å"
    half = reflections(crystal.cell, g_max)
    h = np.concatenate([half, -half])
    g = g_vectors(crystal, h)
    errors = excitation_errors(g, waves) / (2.0 * np.linalg.norm(waves[:1], axis=1))
    s = np.where(errors.min(axis=0) * errors.max(axis=0) < 0, 0.0, np.abs(errors).min(axis=0))
    near = s <= (s_weak or s_max)
    h, s, g = h[near], s[near], g[near]
    if len(h) > CANDIDATES:
        raise InputError(f"beams: {len(h)} within {limits}; allow at most {CANDIDATES}")
    order = np.argsort(np.round(np.linalg.norm(g, axis=1), 9), kind="stable")
    h = np.concatenate([np.zeros((1, 3), dtype=np.int64), h[order]])
    s = np.concatenate([[0.0], s[order]])
    linked = _linked(h, potential)
    h, s = h[linked], s[linked]
    beams = Beams(h[s <= s_max], h[s > s_max])
    if len(beams.exact) < 2:
        raise InputError(f"beams: none but the direct one within {limits}; allow more")
    if len(beams.exact) > MOST:
        raise InputError(f"beams: {len(beams.exact)} exact ones within {limits}; allow at most {MOST}")
    return beams


def difference_matrix(rows: Ints, columns: Ints, potential: Coefficients) -> npt.NDArray[np.complex128]:
    """U_{g−h} for g of ``rows`` and h of ``columns``."""
    if len(rows) == 0 or len(columns) == 0:
        return np.zeros((len(rows), len(columns)), dtype=complex)
    half = np.abs(rows).max(axis=0) + np.abs(columns).max(axis=0)
    shape = tuple(int(n) for n in 2 * half + 1)
    # one number a difference is sorted much faster than three
    stride = np.array([shape[1] * shape[2], shape[2], 1])
    unique, back = np.unique((rows + half) @ stride[:, None] - (columns @ stride), return_inverse=True)
    differences = np.stack(np.unravel_index(unique, shape), axis=1) - half
    return potential(differences)[back].reshape(len(rows), len(columns))


def _linked(h: Ints, potential: Coefficients) -> npt.NDArray[np.bool_]:
    """Which beams are linked to the first by any chain of reflections."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    links = np.abs(difference_matrix(h, h, potential)) > NOTHING
    _, label = connected_components(csr_array(links), directed=False)
    return np.asarray(label == label[0])
