"""Real spherical harmonics in the convention of docs/conventions.md."""

import numpy as np
import numpy.typing as npt

#: Largest angular momentum of one-centre densities.
LMAX = 4


def real_harmonics(vectors: npt.ArrayLike, lmax: int) -> npt.NDArray[np.float64]:
    """Y_lm of the directions of ``vectors``.

    Parameters
    ----------
    vectors : (M, 3) array
        Cartesian, any length. A zero vector has no direction: there only Y_00 is not zero, so that a product
        r^l Y_lm is right.
    lmax : int
        Largest angular momentum.

    Returns
    -------
    (M, (lmax+1)²) array
        Orthonormal on the sphere, column l² + l + m, sine branch for m < 0, no Condon–Shortley sign.
    """
    v = np.asarray(vectors, dtype=float).reshape(-1, 3)
    length = np.linalg.norm(v, axis=1)
    x, y, z = (v / np.where(length > 0.0, length, 1.0)[:, None]).T
    square = (length > 0.0).astype(float)
    result = np.empty((len(v), (lmax + 1) ** 2))
    cosine, sine = np.ones(len(v)), np.zeros(len(v))  # Re, Im (x + iy)^m
    start = 1.0  # (2m − 1)!!
    factor = 1.0  # (l − m)!/(l + m)! at l = m
    for m in range(lmax + 1):
        if m:
            cosine, sine = x * cosine - y * sine, x * sine + y * cosine
            start *= 2 * m - 1
            factor /= (2 * m) * (2 * m - 1)
        before, legendre, ratio = np.zeros(len(v)), np.full(len(v), start), factor
        for l in range(m, lmax + 1):
            if l > m:
                # (l − m) P_l^m = (2l − 1) z P_{l−1}^m − (l + m − 1) P_{l−2}^m, P without the factor (1 − z²)^{m/2}
                before, legendre = legendre, ((2 * l - 1) * z * legendre - (l + m - 1) * square * before) / (l - m)
                ratio *= (l - m) / (l + m)
            norm = np.sqrt((2 * l + 1) / (4.0 * np.pi) * ratio)
            if m == 0:
                result[:, l * l + l] = norm * legendre
            else:
                result[:, l * l + l + m] = np.sqrt(2.0) * norm * legendre * cosine
                result[:, l * l + l - m] = np.sqrt(2.0) * norm * legendre * sine
    return result
