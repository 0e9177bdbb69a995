"""The trained map to the magnetisation m = n↑ − n↓: a second set of coefficients, odd in the starting moments.

Every atom has a sign σ: that of its starting moment, 0 without one. Coefficients are σ_i times a map of the atom's own
features plus a sum over neighbours, each with its sign σ_j: turning all moments over turns m over, exactly, and without
moments there is none. The density n does not see the signs, so it is even.
"""

import math

import numpy as np
import numpy.typing as npt

from rhotem.learned.couplings import size
from rhotem.learned.dense import linear, sigmoid, silu
from rhotem.learned.encoders.stage import AtomFeatures
from rhotem.learned.kernels.products import directions
from rhotem.learned.radial import bessel, end_function
from rhotem.learned.readouts.spherical.coefficients import CoefficientMap, blocks_of
from rhotem.learned.settings import SphericalSettings
from rhotem.learned.weights import Weights

#: Neighbours that count: the scale of their sum.
NEIGHBOURS = 6.0

#: Of some atoms: starts (n + 1,) and rows (E,) of their neighbours, vectors (E, 3) to these in Å.
Edges = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


class SpinHead:
    """Coefficients of m in the functions of the spherical readout; `rhotem.training.network.spin` is what was trained.

    Parameters
    ----------
    settings : SphericalSettings
    weights : Weights
    channels : int
        Of the encoder's tensors.
    cutoff : float
        Reach of a neighbour's sign, Å.
    """

    def __init__(self, settings: SphericalSettings, weights: Weights, channels: int, cutoff: float) -> None:
        self.blocks, self.weights, self.cutoff = blocks_of(settings), weights, cutoff
        self.channels = len(weights["near"])
        self.map = CoefficientMap(self.blocks, weights, channels + self.channels, settings.width)
        self.dtype, self.lmax = self.map.dtype, self.map.lmax
        self.bessel = weights["distance.weight"].shape[1]
        self.l_of = [l for l in range(self.lmax + 1) for _ in range(2 * l + 1)]

    def __call__(
        self, features: AtomFeatures, around: npt.NDArray, numbers: npt.NDArray[np.int64], signs: npt.NDArray
    ) -> list[npt.NDArray]:
        """Coefficients of atoms, µB/Å^(3+l), from their features, what is `around` them, and their signs (n,)."""
        h = self.map.hidden(features.scalars)
        odd = np.concatenate([features.tensors * signs[:, None, None], around], axis=2)
        gate = 2.0 * sigmoid(linear(self.weights.part("near_gate"), h))
        zero = signs[:, None] * linear(self.weights.part("scalar"), h) + (around[:, 0] * gate) @ self.weights["near"]
        return self.map.coefficients(zero, odd, h, numbers)

    def around(self, own: npt.NDArray, others: npt.NDArray, edges: Edges, signs: npt.NDArray) -> npt.NDArray:
        """Σ_j σ_j w(r_ij) Y_lm over neighbours with a moment, (n, (lmax+1)², channels).

        ``own`` (n, …), ``others`` (M, …): scalars of atoms and of those that are neighbours; ``signs`` (M,): of these.
        """
        from scipy.sparse import csr_matrix

        starts, row, vectors = edges
        centre = np.repeat(np.arange(len(own)), np.diff(starts))
        with_moment = np.flatnonzero(signs[row])
        centre, row, vectors = centre[with_moment], row[with_moment], vectors[with_moment]
        w, dtype = self.weights, self.dtype
        length = np.linalg.norm(vectors, axis=1).astype(dtype)
        hidden = linear(w.part("distance"), bessel(length, self.bessel, self.cutoff))
        hidden = hidden + linear(w.part("receiver"), own)[centre] + linear(w.part("sender"), others)[row]
        weights = linear(w.part("weights"), silu(hidden)).reshape(len(row), self.lmax + 1, self.channels)
        end = end_function(length / dtype.type(self.cutoff)) * signs[row].astype(dtype)
        weights *= (end[:, None] * linear(w.part("send"), others)[row])[:, None]
        message = weights[:, self.l_of] * directions(vectors, self.lmax, dtype)[..., None]
        components = size(self.lmax)
        starts = np.append(0, np.cumsum(np.bincount(centre, minlength=len(own))))
        ones, shape = np.ones(len(centre), dtype=dtype), (len(own), len(centre))
        by_atom = csr_matrix((ones, np.arange(len(centre)), starts), shape=shape)
        total = by_atom @ message.reshape(len(centre), components * self.channels)
        return total.reshape(len(own), components, self.channels) / dtype.type(math.sqrt(NEIGHBOURS))
