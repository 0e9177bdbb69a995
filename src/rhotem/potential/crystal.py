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
) -> npt.NDArray[np.complex128]:
    """Fourier coefficients V_h of the crystal potential in V (docs/conventions.md).

    V_h = Σ_a f_e(g_h) exp(−2πi h·f_a) h²/(2πm e Ω) − e Δn_h/(ε0 (2πg_h)²);  h = 0 is the mean inner potential.

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

    Returns
    -------
    (M,) complex array
        V_h in V; times the cell volume it is the structure factor in V·Å³.

    Raises
    ------
    InputError
        If ``h`` is not a list of integer triples or the field belongs to other atoms.
    """
    from rhotem.density.fourier import phase_sum

    indices = _indices(h)
    f_e = form_factor(parametrization)
    g = np.linalg.norm(g_vectors(structure, indices), axis=1)
    fractional = structure.atoms.get_scaled_positions(wrap=False)
    total = np.zeros(len(indices), dtype=complex)
    for z in np.unique(structure.numbers):
        total += f_e(int(z), g) * phase_sum(indices, fractional[structure.numbers == z])
    total *= VOLT_PER_FE / structure.volume
    if field is not None:
        from rhotem.density.fourier import coefficients

        check_field(field, structure)
        total += poisson(coefficients(field, indices) * (field.grid.volume / structure.volume), g)
    total[g == 0] = mean_inner_potential(parametrization, structure.numbers, structure.volume)
    return total


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
