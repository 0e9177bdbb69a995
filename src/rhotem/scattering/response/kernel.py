"""The sum over pairs of beams that makes the Fourier coefficients of images, compiled."""

import numpy as np
import numpy.typing as npt

from rhotem.core.compiled import compiled

Array = npt.NDArray


@compiled(exact=True)
def add_pairs(
    pairs: Array,
    wave: Array,
    covered: Array,
    focal: Array,
    excess: Array,
    matrix: Array,
    rim: Array,
    out: Array,
) -> None:
    r"""Add to ``out`` (frequencies, channels) the Fourier coefficients of signals, of one half of all pairs.

    A pair i, j of beams of one κ adds, with their aperture open (amplitudes b) and covered to the parts f,

        b_i b_j* E_ij [f_i f_j M_ij + f_i x_j R_ij + f_j x_i R*_ji]        twice for i ≠ j, and
        |b_i|² [f_i M_ii + x_i R_ii]                                       for a beam with itself,

    where x is what the correlation of aperture and detector edges adds (`rhotem.microscope.rim`), and
    ``E = exp(−(focal_i − focal_j)²/2)`` the focal spread. Images are the real part of the transform.

    Parameters
    ----------
    pairs : (n, 3) int32 array
        i, j and the place of their difference in ``out``.
    wave : (beams,) complex array
        b.
    covered, focal : (beams,) arrays
        f; and πλΔk² for the standard deviation Δ of the focus.
    excess : (beams, channels) array
        x.
    matrix : (n, channels) complex array
        M_ij.
    rim : (n, 2) complex array
        R_ij and R*_ji.
    out : (frequencies, channels) complex array
    """
    channels = matrix.shape[1]
    for n in range(pairs.shape[0]):
        i, j, place = pairs[n, 0], pairs[n, 1], pairs[n, 2]
        if covered[i] == 0.0 or covered[j] == 0.0:
            continue
        product = wave[i] * np.conj(wave[j])
        if i == j:
            for d in range(channels):
                out[place, d] += product * (covered[i] * matrix[n, d] + excess[i, d] * rim[n, 0])
            continue
        apart = focal[i] - focal[j]
        product *= 2.0 * np.exp(-0.5 * apart * apart)
        both = product * (covered[i] * covered[j])
        if covered[i] == 1.0 and covered[j] == 1.0:
            for d in range(channels):
                out[place, d] += both * matrix[n, d]
            continue
        first, second = product * (covered[i] * rim[n, 0]), product * (covered[j] * rim[n, 1])
        for d in range(channels):
            out[place, d] += both * matrix[n, d] + first * excess[j, d] + second * excess[i, d]


@compiled(exact=True)
def add_pair_slopes(
    pairs: Array,
    wave: Array,
    lens: Array,
    slopes: Array,
    excess: Array,
    excess_slopes: Array,
    matrix: Array,
    rim: Array,
    out: Array,
) -> None:
    r"""Add to ``out`` the derivative of what `add_pairs` adds, by one parameter.

    ``lens`` and ``slopes`` (3, beams) hold f, πλΔk² and the phase χ (not used), and their derivatives;
    ``excess_slopes`` is the derivative of x. Other arguments as `add_pairs`.
    """
    channels = matrix.shape[1]
    for n in range(pairs.shape[0]):
        i, j, place = pairs[n, 0], pairs[n, 1], pairs[n, 2]
        fi, fj, di, dj = lens[0, i], lens[0, j], slopes[0, i], slopes[0, j]
        if fi == 0.0 or fj == 0.0:
            continue
        product = wave[i] * np.conj(wave[j])
        if i == j:
            for d in range(channels):
                out[place, d] += product * (di * matrix[n, d] + excess_slopes[i, d] * rim[n, 0])
            continue
        apart = lens[1, i] - lens[1, j]
        product *= 2.0 * np.exp(-0.5 * apart * apart)
        turn = -1j * (slopes[2, i] - slopes[2, j]) - apart * (slopes[1, i] - slopes[1, j])
        both = product * (turn * fi * fj + di * fj + fi * dj)
        first, second = product * (turn * fi + di) * rim[n, 0], product * (turn * fj + dj) * rim[n, 1]
        first_rim, second_rim = product * fi * rim[n, 0], product * fj * rim[n, 1]
        for d in range(channels):
            out[place, d] += both * matrix[n, d] + first * excess[j, d] + second * excess[i, d]
            out[place, d] += first_rim * excess_slopes[j, d] + second_rim * excess_slopes[i, d]
