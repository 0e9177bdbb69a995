"""Frozen phonons: random displacements of independent atoms (Einstein model)."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

Floats = npt.NDArray[np.float64]

#: Principal values down to minus this share of the largest are zero: rounding of a tensor that was turned.
ROUNDING = 1e-9


def displacements(mean_square: npt.ArrayLike, configurations: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Displacements (N, 3) in Å for each configuration, Gaussian about zero.

    Atoms move independently; correlations change thermal diffuse scattering between the Bragg spots but hardly its
    angular average (Muller et al., Ultramicroscopy 86, 371, 2001).

    Parameters
    ----------
    mean_square : (N,) or (N, 3, 3) array
        Variance along every axis in Å², or tensors ⟨u_i u_j⟩ of atoms that move further in some directions than in
        others. Unit normals are the same for both.
    configurations : int
    rng : numpy Generator

    Raises
    ------
    InputError
        If a mean square displacement is negative or not a number, or a tensor is not symmetric.
    """
    number = len(np.asarray(mean_square))
    yield from moved(mean_square, (rng.normal(size=(number, 3)) for _ in range(configurations)))


def moved(mean_square: npt.ArrayLike, normals: Iterable[Floats]) -> Iterator[Floats]:
    """Displacements (N, 3) in Å of unit normals (N, 3), one configuration after the other; as `displacements`."""
    given = np.asarray(mean_square, dtype=float)
    if given.ndim == 3:
        factors = square_roots(given)
    elif not (np.isfinite(given).all() and (given >= 0).all()):
        raise InputError("mean square displacements must be numbers from 0 upwards, in Å²")
    for one in normals:
        yield np.einsum("nij,nj->ni", factors, one) if given.ndim == 3 else one * np.sqrt(given)[:, None]


def square_roots(tensors: Floats) -> Floats:
    """Lower triangles L (N, 3, 3) with L Lᵀ = U (Cholesky), also of atoms that do not move along some direction.

    Raises
    ------
    InputError
        If a tensor is not symmetric, not a number or has a negative principal value.
    """
    u = np.asarray(tensors, dtype=float)
    if u.shape[1:] != (3, 3) or not np.isfinite(u).all():
        raise InputError(f"displacement tensors: shape {u.shape}, expected (N, 3, 3) numbers in Å²")
    scale = np.abs(u).max(axis=(1, 2)) + 1e-300
    if (np.abs(u - u.transpose(0, 2, 1)).max(axis=(1, 2)) > ROUNDING * scale).any():
        raise InputError("displacement tensors must be symmetric")
    if (np.linalg.eigvalsh(u)[:, 0] < -ROUNDING * scale).any():
        raise InputError("displacement tensors must not have negative principal values")
    result = np.zeros_like(u)
    for j in range(3):
        rest = u[:, j, j] - (result[:, j, :j] ** 2).sum(axis=1)
        moves = rest > ROUNDING * scale
        pivot = np.sqrt(np.where(moves, rest, 0.0))
        result[:, j, j] = pivot
        for i in range(j + 1, 3):
            other = u[:, i, j] - (result[:, i, :j] * result[:, j, :j]).sum(axis=1)
            np.divide(other, pivot, out=result[:, i, j], where=moves)
    return result
