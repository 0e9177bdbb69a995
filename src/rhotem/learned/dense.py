"""Dense layers and activations on arrays, in the precision of what they are given."""

import numpy as np
import numpy.typing as npt

from rhotem.learned.weights import Weights

#: 1/sqrt of the mean of SiLU² over a normal distribution: how pretrained networks normalise activations.
SILU = 1.6791767923989418


def sigmoid(x: npt.NDArray) -> npt.NDArray:
    """1/(1 + e^−x); no overflow: e^−|x| only."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small).astype(x.dtype, copy=False) / (1.0 + small)


def silu(x: npt.NDArray) -> npt.NDArray:
    """x/(1 + e^−x)."""
    return x * sigmoid(x)


def softplus(x: npt.NDArray) -> npt.NDArray:
    """ln(1 + e^x)."""
    return np.logaddexp(x, np.zeros((), dtype=x.dtype))


def linear(w: Weights, x: npt.NDArray) -> npt.NDArray:
    """X Wᵀ + b with the matrix W (out, in) called ``weight``, and ``bias`` where there is one."""
    y: npt.NDArray = x @ w["weight"].T
    if "bias" in w:
        y += w["bias"]
    return y


def mlp(w: Weights, x: npt.NDArray) -> npt.NDArray:
    """Linear layers, at even places, with SiLU between them."""
    layers = w.numbered
    for place, layer in enumerate(layers):
        x = linear(layer, x if place == 0 else silu(x))
    return x


def mix(matrices: npt.NDArray, a: npt.NDArray) -> npt.NDArray:
    """Linear maps of channels, (lmax+1, K_in, K_out): one per l, for all m alike; (N, lm, K_in) to (N, lm, K_out)."""
    count, k = len(a), matrices.shape[2]
    result = np.empty((count, len(matrices) ** 2, k), dtype=a.dtype)
    for l, w in enumerate(matrices):
        piece = a[:, l * l : (l + 1) ** 2]
        result[:, l * l : (l + 1) ** 2] = (piece.reshape(-1, a.shape[2]) @ w).reshape(count, 2 * l + 1, k)
    return result
