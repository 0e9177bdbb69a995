"""Fourier coefficients of a crystal's potential: the numbers that experiments and other codes are compared with."""

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.units import VOLT_PER_FE
from rhotem.density.field import DensityField
from rhotem.potential.deformation import check_field, poisson
from rhotem.potential.parametrizations import FormFactor, form_factor, mean_inner_potential
from rhotem.structure.model import Structure


def structure_factors(
    field: DensityField | None,
    structure: Structure,
    h: npt.ArrayLike,
    parametrization: str | FormFactor = "pbe",
    displacements: npt.ArrayLike | None = None,
) -> npt.NDArray[np.complex128]:
    """Fourier coefficients V_h of the crystal potential in V (docs/conventions.md).

    V_h = Σ_a f_e(g_h) exp(−2πi h·f_a) h²/(2πm e Ω) − e Δn_h/(ε0 (2πg_h)²);  h = 0 is the mean inner potential.
    Where atoms move, each carries its Debye–Waller factor, and its Hirshfeld piece of Δn with it.

    Parameters
    ----------
    field : DensityField or None
        Deformation density of the structure; None for free atoms.
    structure : Structure
        Any cell; the field's own or a slightly strained or rotated copy (same fractional coordinates).
    h : (M, 3) array of int
        Miller indices of ``structure``'s cell.
    parametrization : "pbe", "lobato", "kirkland" or a form factor
        Free atoms.
    displacements : (N,) or (N, 3, 3) array, optional
        ⟨u²⟩ in Å² along one axis of every atom, or tensors ⟨u_i u_j⟩; None: atoms at rest.

    Returns
    -------
    (M,) complex array
        V_h in V; times the cell volume it is the structure factor in V·Å³.

    Raises
    ------
    InputError
        If ``h`` is not a list of integer triples, the field belongs to other atoms, or the displacements do.
    """
    from rhotem.density.fourier import phase_sum

    indices = _indices(h)
    f_e = form_factor(parametrization)
    vectors = g_vectors(structure, indices)
    g = np.linalg.norm(vectors, axis=1)
    fractional = structure.atoms.get_scaled_positions(wrap=False)
    damping = None if displacements is None else debye_waller_factors(structure, vectors, displacements)
    total = np.zeros(len(indices), dtype=complex)
    for z in np.unique(structure.numbers):
        if damping is None:
            total += f_e(int(z), g) * phase_sum(indices, fractional[structure.numbers == z])
        else:
            for atom in np.flatnonzero(structure.numbers == z):
                total += f_e(int(z), g) * damping[atom] * phase_sum(indices, fractional[atom : atom + 1])
    total *= VOLT_PER_FE / structure.volume
    if field is not None:
        check_field(field, structure)
        total += poisson(_deformation(field, indices, damping) / structure.volume, g)
    total[g == 0] = mean_inner_potential(parametrization, structure.numbers, structure.volume)
    return total


def debye_waller_factors(
    structure: Structure, g: npt.NDArray[np.float64], displacements: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """exp(−2π² gᵀUg) of every atom for reciprocal vectors (M, 3) in 1/Å; shape (N, M).

    Raises
    ------
    InputError
        If ``displacements`` is not one ⟨u²⟩, or one tensor, in Å² for every atom.
    """
    motion = np.asarray(displacements, dtype=float)
    atoms = len(structure)
    if motion.shape not in ((atoms,), (atoms, 3, 3)) or not np.isfinite(motion).all():
        raise InputError(f"displacements: shape {motion.shape}, expected ⟨u²⟩ ({atoms},) or tensors ({atoms}, 3, 3)")
    square = motion[:, None] * (g**2).sum(1) if motion.ndim == 1 else np.einsum("mi,aij,mj->am", g, motion, g)
    return np.asarray(np.exp(-2.0 * np.pi**2 * square))


def _deformation(
    field: DensityField, indices: npt.NDArray[np.int64], damping: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.complex128]:
    """Ω Δn_h in electrons, each atom's piece damped by its own Debye–Waller factor (N, M)."""
    from rhotem.density.fourier import coefficients

    if damping is None:
        return coefficients(field, indices) * field.grid.volume
    if np.allclose(damping, damping[:1], rtol=1e-9, atol=0):
        return coefficients(field, indices) * (field.grid.volume * damping[0])
    from rhotem.potential.hirshfeld import piece_factors

    pieces = piece_factors(field, indices)
    phases = np.exp(-2j * np.pi * (field.structure.atoms.get_scaled_positions(wrap=False) @ indices.T))
    return np.asarray((pieces * phases * damping).sum(axis=0))


def g_vectors(structure: Structure, h: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Cartesian reciprocal vectors in 1/Å of Miller indices, without 2π, shape (M, 3)."""
    return _indices(h) @ np.linalg.inv(structure.cell).T


def d_spacings(structure: Structure, h: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Lattice-plane spacings 1/|g| in Å, shape (M,); infinite for h = 0."""
    g = np.linalg.norm(g_vectors(structure, h), axis=1)
    with np.errstate(divide="ignore"):
        return 1.0 / g


def projected(structure: Structure, coefficients: npt.ArrayLike, axis: int = 2) -> npt.NDArray[np.complex128]:
    """Coefficients projected along lattice vector ``axis`` in V·Å: |a| V_h, for h perpendicular to that axis."""
    values = np.asarray(coefficients, dtype=np.complex128)
    return values * np.linalg.norm(structure.cell[axis])


def _indices(h: npt.ArrayLike) -> npt.NDArray[np.int64]:
    indices = np.asarray(h)
    if indices.ndim != 2 or indices.shape[1] != 3 or not np.array_equal(indices, np.rint(indices)):
        raise InputError(f"Miller indices: shape {indices.shape}, expected a list of integer triples (M, 3)")
    return indices.astype(np.int64)
