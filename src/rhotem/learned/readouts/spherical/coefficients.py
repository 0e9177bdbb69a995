"""The trained map from features of atoms to coefficients of their functions."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rhotem.learned.couplings import part
from rhotem.learned.dense import linear, mlp, sigmoid, silu, softplus
from rhotem.learned.encoders.stage import AtomFeatures
from rhotem.learned.radial import Block
from rhotem.learned.settings import ELEMENTS, SphericalSettings
from rhotem.learned.weights import Weights


def blocks_of(settings: SphericalSettings) -> tuple[Block, ...]:
    """Radial functions: sharp ones near the atom, wide ones."""
    return tuple(Block(**block.model_dump()) for block in (settings.near, settings.far))


@lru_cache(maxsize=16)
def _orthonormal(block: Block, dtype: np.dtype) -> list[npt.NDArray]:
    """`Block.orthonormal` by l: the same for all members."""
    return [block.orthonormal(l).astype(dtype) for l in range(block.lmax + 1)]


class CoefficientMap:
    """Gated equivariant map; `rhotem.training.network.readouts.spherical` is what was trained.

    c = (W₁ (F ∘ gate(h)) + gate'(h) ∘ W₂ F) · scale(element): linear in the tensors F of an atom, everything else is
    decided by its scalars h.

    Parameters
    ----------
    blocks : tuple of Block
    weights : Weights
    channels, width : int
        Of the tensors that it reads, and of what decides the gates.
    """

    def __init__(self, blocks: tuple[Block, ...], weights: Weights, channels: int, width: int) -> None:
        self.blocks, self.weights = blocks, weights
        self.first, self.second = weights["first"], weights["second"]
        self.lmax, self.channels, self.functions = self.first.shape
        self.dtype = self.first.dtype
        functions = sum(b.functions for b in blocks)
        weights.check({
            "first": (self.lmax, channels, functions), "log_scale": (ELEMENTS, self.lmax + 1, functions),
            "gate_in.weight": (channels * self.lmax, width),
        })  # fmt: skip
        self.scale = np.exp(weights["log_scale"])
        self.orthonormal = [_orthonormal(b, self.dtype) for b in blocks]

    def __call__(self, features: AtomFeatures, numbers: npt.NDArray[np.int64]) -> tuple[list[npt.NDArray], npt.NDArray]:
        """Coefficients as every atom alone has them, and its share (N,) of what the cell's electron count misses."""
        h = self.hidden(features.scalars)
        result = self.coefficients(linear(self.weights.part("scalar"), h), features.tensors, h, numbers)
        share = softplus(linear(self.weights.part("share"), h)[:, 0]) + self.dtype.type(1e-3)
        return result, share

    def hidden(self, scalars: npt.NDArray) -> npt.NDArray:
        """What decides the gates, (N, width)."""
        return silu(mlp(self.weights.part("hidden", 0), scalars))

    def coefficients(
        self, scalars: npt.NDArray, tensors: npt.NDArray, h: npt.NDArray, numbers: npt.NDArray[np.int64]
    ) -> list[npt.NDArray]:
        """Of the plain functions, from those of l = 0 (N, functions), and tensors l > 0 with gates from ``h``."""
        scale, count = self.scale[numbers], len(numbers)
        gate_in = 2.0 * sigmoid(linear(self.weights.part("gate_in"), h)).reshape(count, self.lmax, self.channels)
        gate_out = linear(self.weights.part("gate_out"), h).reshape(count, self.lmax, self.functions)
        parts = [(scalars * scale[:, 0])[..., None]]
        for l in range(1, self.lmax + 1):
            f = tensors[:, part(l)]
            turned = (f * gate_in[:, None, l - 1]).reshape(-1, self.channels) @ self.first[l - 1]
            plain = np.ascontiguousarray(f).reshape(-1, self.channels) @ self.second[l - 1]
            c = turned.reshape(count, -1, self.functions)
            c += plain.reshape(count, -1, self.functions) * gate_out[:, None, l - 1]
            parts.append(c.transpose(0, 2, 1) * scale[:, l, :, None])
        result, start = [], 0
        for index, block in enumerate(self.blocks):
            own = [p[:, start : start + block.functions] for p in parts[: block.lmax + 1]]
            result.append(np.concatenate([self.orthonormal[index][l] @ c for l, c in enumerate(own)], axis=2))
            start += block.functions
        return result


def electrons_by_atom(blocks: tuple[Block, ...], coefficients: tuple[npt.NDArray, ...]) -> npt.NDArray[np.float64]:
    """Electrons that every atom's functions hold, (N,)."""
    held = [c[..., 0].astype(float) @ b.electrons for b, c in zip(blocks, coefficients, strict=True)]
    return np.sum(held, axis=0)
