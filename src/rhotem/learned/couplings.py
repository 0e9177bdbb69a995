"""Spherical tensors in numpy: their components, and real Clebsch–Gordan couplings in the order of docs/conventions.md.

The couplings of complex harmonics are Racah's sums of integers, exact until the last square root; real ones follow by
the change of basis that makes harmonics real (M. E. Rose, Elementary Theory of Angular Momentum, Wiley 1957, eq. 3.18).
"""

import math
from fractions import Fraction
from functools import lru_cache
from math import factorial

import numpy as np
import numpy.typing as npt

from rhotem.density.harmonics import real_harmonics

#: Path of a coupling: l1 ⊗ l2 -> l3.
Path = tuple[int, int, int]


def size(lmax: int) -> int:
    """Number of components up to ``lmax``."""
    return (lmax + 1) ** 2


def part(l: int) -> slice:
    """Components of angular momentum ``l`` in an array of all."""
    return slice(l * l, (l + 1) ** 2)


def couplings(first: int, second: int, out: int) -> list[Path]:
    """Paths l1 ⊗ l2 -> l3 with l1 <= first, l2 <= second, l3 <= out that keep the parity of polar tensors."""
    return [
        (a, b, c)
        for a in range(first + 1)
        for b in range(second + 1)
        for c in range(abs(a - b), min(a + b, out) + 1)
        if (a + b + c) % 2 == 0
    ]


@lru_cache(maxsize=256)
def coupling(l1: int, l2: int, l3: int) -> npt.NDArray[np.float64]:
    """Clebsch–Gordan tensor (2l1+1, 2l2+1, 2l3+1) of real harmonics; Σ of its squares is 2l3+1."""
    table = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    for m1 in range(-l1, l1 + 1):
        for m2 in range(-l2, l2 + 1):
            if abs(m1 + m2) <= l3:
                table[l1 + m1, l2 + m2, l3 + m1 + m2] = _complex(l1, m1, l2, m2, l3)
    a, b, c = (_real_to_complex(l) for l in (l1, l2, l3))
    real = np.einsum("ij,kl,nm,ikn->jlm", a, b, c.conj(), table, optimize=True).real
    result: npt.NDArray[np.float64] = real / np.linalg.norm(real) * math.sqrt(2 * l3 + 1)
    result.setflags(write=False)  # shared by all who ask
    return result


def _complex(l1: int, m1: int, l2: int, m2: int, l3: int) -> float:
    """⟨l1 m1 l2 m2|l3 m1+m2⟩, Racah's sum."""
    f, m3 = factorial, m1 + m2
    square = (2 * l3 + 1) * Fraction(
        f(l3 + l1 - l2) * f(l3 - l1 + l2) * f(l1 + l2 - l3) * f(l3 + m3) * f(l3 - m3),
        f(l1 + l2 + l3 + 1) * f(l1 - m1) * f(l1 + m1) * f(l2 - m2) * f(l2 + m2),
    )
    total = Fraction(0)
    for v in range(max(-l1 + l2 + m3, -l1 + m1, 0), min(l2 + l3 + m1, l3 - l1 + l2, l3 + m3) + 1):
        below = f(v) * f(l3 - l1 + l2 - v) * f(l3 + m3 - v) * f(v + l1 - l2 - m3)
        total += (-1) ** (v + l2 + m2) * Fraction(f(l2 + l3 + m1 - v) * f(l1 - m1 + v), below)
    return float(total) * math.sqrt(square)


def _real_to_complex(l: int) -> npt.NDArray[np.complex128]:
    """Matrix [complex m, real m]; the factor (−i)^l makes couplings real."""
    matrix = np.zeros((2 * l + 1, 2 * l + 1), dtype=complex)
    matrix[l, l] = 1.0
    half = 1.0 / math.sqrt(2.0)
    for m in range(1, l + 1):
        matrix[l - m, l + m], matrix[l - m, l - m] = half, -1j * half
        matrix[l + m, l + m], matrix[l + m, l - m] = (-1) ** m * half, 1j * (-1) ** m * half
    return (-1j) ** l * matrix


def invariants(a: npt.NDArray, lmax: int) -> npt.NDArray:
    """Scalars of features (N, lm, K): l = 0 itself and the mean squares of the rest; (N, K·(lmax+1))."""
    return np.concatenate([a[:, 0], *((a[:, part(l)] ** 2).mean(1) for l in range(1, lmax + 1))], axis=1)


def solid_harmonics(vectors: npt.NDArray[np.float64], lmax: int) -> npt.NDArray[np.float64]:
    """r^l Y_lm(r̂) of vectors (M, 3): polynomials, hence smooth through the origin; (M, (lmax+1)²)."""
    degree = np.repeat(np.arange(lmax + 1), 2 * np.arange(lmax + 1) + 1)
    return real_harmonics(vectors, lmax) * np.linalg.norm(vectors, axis=1)[:, None] ** degree
