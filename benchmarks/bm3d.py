"""BM3D, for comparison: K. Dabov, A. Foi, V. Katkovnik, K. Egiazarian, IEEE Trans. Image Process. 16, 2080 (2007).

Written from the paper, because the authors' package may not be used freely. Both steps with the paper's normal profile:
patches of 8 × 8, groups of 16 (32 in the second step), window of 25 pixels, 2.7 σ; cosines instead of wavelets across
a patch, a Kaiser window of 2.0. White noise of known σ.
"""

from functools import cache

import numpy as np
from scipy.fft import dctn, idctn
from scipy.ndimage import uniform_filter

SIDE, STEP, REACH, HARD = 8, 3, 12, 2.7


@cache
def hadamard(number):
    """Orthogonal Hadamard matrix of a power of two."""
    made = np.ones((1, 1))
    while len(made) < number:
        made = np.block([[made, made], [made, -made]])
    return made / np.sqrt(number)


def places_of(guide, number):
    """Top left corners (references, number, 2) of the patches that are most alike in a picture."""
    rows, columns = guide.shape
    corners = [np.unique(np.append(np.arange(0, n - SIDE + 1, STEP), n - SIDE)) for n in guide.shape]
    y, x = (c.ravel() for c in np.meshgrid(*corners, indexing="ij"))
    shifts = [(i, j) for i in range(-REACH, REACH + 1) for j in range(-REACH, REACH + 1)]
    far = np.empty((len(shifts), len(y)), dtype=np.float32)
    padded = np.pad(guide, REACH, mode="constant", constant_values=np.nan)
    low = SIDE // 2
    for n, (i, j) in enumerate(shifts):
        moved = padded[REACH + i : REACH + i + rows, REACH + j : REACH + j + columns]
        outside = (y + i < 0) | (x + j < 0) | (y + i + SIDE > rows) | (x + j + SIDE > columns)
        apart = uniform_filter(np.nan_to_num((guide - moved) ** 2), SIDE, mode="constant")
        far[n] = np.where(outside, np.inf, apart[y + low, x + low])
    chosen = np.argpartition(far, number, axis=0)[:number]
    moves = np.array(shifts)[chosen].transpose(1, 0, 2)
    return np.stack([y, x], axis=1)[:, None] + moves


def groups_of(picture, places):
    """Spectra (references, number, 8, 8) of groups of patches."""
    patches = np.lib.stride_tricks.sliding_window_view(picture, (SIDE, SIDE))
    spectra = dctn(patches[places[..., 0], places[..., 1]], axes=(2, 3), norm="ortho")
    return np.einsum("kl,rlij->rkij", hadamard(places.shape[1]), spectra)


def added(shape, places, spectra, weights):
    """Patches back in the picture, weighted."""
    patches = idctn(np.einsum("kl,rkij->rlij", hadamard(places.shape[1]), spectra), axes=(2, 3), norm="ortho")
    window = np.outer(np.kaiser(SIDE, 2.0), np.kaiser(SIDE, 2.0))
    share = weights[:, None, None, None] * window
    rows, columns = np.arange(SIDE)[:, None], np.arange(SIDE)[None]
    where = (places[..., 0, None, None] + rows) * shape[1] + places[..., 1, None, None] + columns
    where, share = where.ravel(), np.broadcast_to(share, patches.shape).ravel()
    total = np.bincount(where, patches.ravel() * share, shape[0] * shape[1]).reshape(shape)
    norm = np.bincount(where, share, shape[0] * shape[1]).reshape(shape)
    return total / np.maximum(norm, 1e-12)


def bm3d(picture, sigma):
    """A picture without white noise of standard deviation ``sigma``."""
    picture = np.asarray(picture, dtype=float)
    places = places_of(picture, 16)
    spectra = groups_of(picture, places)
    kept = np.abs(spectra) > HARD * sigma
    kept[:, 0, 0, 0] = True
    number = kept.sum(axis=(1, 2, 3))
    first = added(picture.shape, places, spectra * kept, 1.0 / np.maximum(number, 1))
    places = places_of(first, 32)
    guide = groups_of(first, places) ** 2
    shrunk = guide / (guide + sigma**2)
    shrunk[:, 0, 0, 0] = 1.0
    weights = 1.0 / np.maximum((shrunk**2).sum(axis=(1, 2, 3)), 1e-9)
    return added(picture.shape, places, groups_of(picture, places) * shrunk, weights)
