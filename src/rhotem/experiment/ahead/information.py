"""How much a scan would tell: Fisher information of its images, what is no nuisance, and the posterior after it.

An image of Poisson electrons holds Σ (∂I/∂a)(∂I/∂b)/I of the parameters a, b. Scan, gain and offset of the next
recording and the inner angle of its detector are not known before; they are eliminated (Schur complement). What remains
adds to the inverse covariance of what is known; information is the expected fall of entropy, ½ ln (det Σ before / det Σ
after) (D. V. Lindley, Ann. Math. Stat. 27, 986 (1956); Chaloner & Verdinelli, Stat. Sci. 10, 273 (1995)), in bits.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Relative size of eigenvalues of a nuisance that is not determined at all.
SINGULAR = 1e-12
#: Draws that tell the entropy of rivals.
DRAWS = 4000


@dataclass(frozen=True, eq=False)
class Seen:
    """What one image holds at one electron per Å².

    Parameters
    ----------
    fisher : (n, n) array
        Of the parameters that all images share (thickness, lens, nodes), differences to rivals, then the scan's.
    own : (n, m) array
        With the image's own: gain, offset, and the doubt of its angle in standard errors.
    inner : (m, m) array
    """

    fisher: Array
    own: Array
    inner: Array

    def at(self, dose: float) -> Array:
        """Information (n, n) at a dose, the image's own parameters eliminated; the doubt has a prior of 1."""
        prior = np.zeros_like(self.inner)
        prior[2:, 2:] = np.eye(len(prior) - 2)
        return eliminated(dose * self.fisher, dose * self.own, dose * self.inner + prior)


def seen(shared: Array, own: Array, expected: Array, pixels: float = 1.0) -> Seen:
    """What an image holds.

    Parameters
    ----------
    shared : (n, pixels) array
        Derivatives of expected electrons.
    own : (m, pixels) array
        By gain, offset, and doubt if there is one.
    expected : (pixels,) array
        Electrons at one electron per Å².
    pixels : float
        How many times more pixels are recorded than were computed.
    """
    floor = 1e-6 * max(float(expected.max()), 1e-300)
    weight = pixels / np.maximum(expected, floor)
    return Seen((shared * weight) @ shared.T, (shared * weight) @ own.T, (own * weight) @ own.T)


def eliminated(first: Array, mixed: Array, second: Array) -> Array:
    """Information (n, n) of some parameters where others, (m, m), are fitted, too."""
    sides = np.sqrt(np.maximum(np.diag(second), 1e-300))
    inverse = np.linalg.pinv(second / np.outer(sides, sides), rcond=SINGULAR, hermitian=True) / np.outer(sides, sides)
    return np.asarray(first - mixed @ inverse @ mixed.T)


def of_setting(images: list[Seen], dose: float, kept: int) -> Array:
    """Information (kept, kept) of images recorded at once: they share the scan, which is eliminated."""
    whole = np.asarray(sum(one.at(dose) for one in images))
    return eliminated(whole[:kept, :kept], whole[:kept, kept:], whole[kept:, kept:])


def after(covariance: Array, information: Array) -> Array:
    """Covariance (p, p) after a recording; parameters that stayed keep their 0."""
    free = np.flatnonzero(np.diag(covariance) > 0)
    part = np.ix_(free, free)
    sides = np.sqrt(np.diag(covariance)[free])
    scaled = np.linalg.inv(covariance[part] / np.outer(sides, sides)) + information[part] * np.outer(sides, sides)
    result = np.zeros_like(covariance)
    result[part] = np.linalg.inv(scaled) * np.outer(sides, sides)
    return result


def bits(before: Array, later: Array) -> float:
    """Expected fall of entropy of a Gaussian."""
    return 0.5 * float(np.linalg.slogdet(before)[1] - np.linalg.slogdet(later)[1]) / np.log(2)


def bits_of_rivals(gram: Array, odds: Array, seed: int = 0) -> float:
    """Expected information on which of some minima is right.

    Parameters
    ----------
    gram : (k, k) array
        Scalar products of their differences to the first one in standard deviations of the noise.
    odds : (k + 1,) array
        Probabilities, the first one's first.
    """
    sizes, vectors = np.linalg.eigh(0.5 * (gram + gram.T))
    places = np.vstack([np.zeros(len(gram)), vectors * np.sqrt(np.maximum(sizes, 0.0))])
    share = odds / odds.sum()
    before = -float(share[share > 0] @ np.log2(share[share > 0]))
    noise = np.random.default_rng(seed).normal(size=(DRAWS, places.shape[1]))
    left = 0.0
    for place, chance in zip(places, share, strict=True):
        squares = ((place + noise)[:, None] - places[None]) ** 2
        ln = np.log(np.maximum(share, 1e-300)) - 0.5 * squares.sum(axis=2)
        found = np.exp(ln - ln.max(axis=1, keepdims=True))
        found /= found.sum(axis=1, keepdims=True)
        left -= float(chance * (found * np.log2(np.maximum(found, 1e-300))).sum(axis=1).mean())
    return max(0.0, before - left)
