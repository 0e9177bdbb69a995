"""The trained map of the gated readout: what atoms give to their edges, and weight and strength of every edge.

`rhotem.training.network.readouts.gated` is what was trained. Here radial functions are read from a table, matrices that
follow each other are multiplied once, and what a point's surroundings say is calculated once for the point.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rhotem.learned.couplings import part
from rhotem.learned.dense import linear, mlp, sigmoid, silu
from rhotem.learned.encoders.stage import AtomFeatures
from rhotem.learned.kernels.activation import silu as activated
from rhotem.learned.readouts.gated.kernel import add_rows, by_distance, gather, pairs, products, times_radial
from rhotem.learned.readouts.gated.settings import GatedSettings
from rhotem.learned.settings import ELEMENTS
from rhotem.learned.weights import Weights

#: Deformation densities are of the size TYPICAL · (r² + CORE²)^(-3/4), r in Å, in e/Å³: so large is a strength of 1.
TYPICAL, CORE = 0.03, 0.15
#: Chemical weights are bounded smoothly by this, so that their exponential cannot overflow.
LARGEST_WEIGHT = 8.0
#: Step of the table of radial functions over the σ of the narrowest: cubic through four points, 1e-6 of the largest.
TABLE_STEP = 1.0 / 16.0


@dataclass(frozen=True, eq=False)
class Given:
    """What atoms give to their edges.

    Parameters
    ----------
    tensors : (N, (lmax+1)², K) array
        Times √(4π / (2l+1)).
    known : (N, width) array
        Scalars.
    scale : (N,) array
        Of their strengths.
    """

    tensors: npt.NDArray
    known: npt.NDArray
    scale: npt.NDArray

    def of(self, rows: npt.NDArray[np.int64]) -> "Given":
        """Those of some atoms."""
        return Given(self.tensors[rows], self.known[rows], self.scale[rows])


@dataclass(frozen=True, eq=False)
class Gates:
    """What the atoms near points contribute.

    Parameters
    ----------
    point, image : (E,) int arrays
        One entry per atom (or periodic image) within reach of a point.
    weight, strength : (E,) arrays
        Share w_ik of the atom in the point, and s_ik in e/Å³; Δn = Σ_i w_ik s_ik.
    filled : (P,) array
        Σ_i w_ik, what the empty channel leaves: 1 in a bulk, 0 in vacuum.
    """

    point: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    weight: npt.NDArray
    strength: npt.NDArray
    filled: npt.NDArray


class EdgeMap:
    """One member's weights.

    Parameters
    ----------
    settings : GatedSettings
    weights : Weights
    channels : int
        Of the encoder's tensors.
    """

    def __init__(self, settings: GatedSettings, weights: Weights, channels: int) -> None:
        self.settings, self.weights = settings, weights
        s, seen = settings, settings.channels * (settings.lmax + 1)
        weights.check({
            "first": (s.lmax, channels, s.channels), "log_scale": (ELEMENTS,), "compress.weight": (s.width, seen),
            "shells.weight": (seen, s.functions), "gate_in.weight": (channels * s.lmax, 2 * s.width),
        })  # fmt: skip
        self.channels = channels
        self.dtype = weights["first"].dtype

    def given(self, features: AtomFeatures, numbers: npt.NDArray[np.int64]) -> Given:
        """What atoms with these features give to their edges."""
        s, w, count = self.settings, self.weights, len(numbers)
        h = silu(mlp(w.part("hidden", 0), features.scalars))
        gate_in = 2.0 * sigmoid(linear(w.part("gate_in"), h)).reshape(count, s.lmax, self.channels)
        gate_out = linear(w.part("gate_out"), h).reshape(count, s.lmax, s.channels)
        tensors = np.empty((count, (s.lmax + 1) ** 2, s.channels), dtype=self.dtype)
        tensors[:, 0] = np.sqrt(4.0 * np.pi).astype(self.dtype) * linear(w.part("scalar"), h)
        for l in range(1, s.lmax + 1):
            f = features.tensors[:, part(l)]
            turned = (f * gate_in[:, None, l - 1]) @ w["first"][l - 1]
            both = turned + (f @ w["second"][l - 1]) * gate_out[:, None, l - 1]
            tensors[:, part(l)] = both * np.sqrt(4.0 * np.pi / (2 * l + 1)).astype(self.dtype)
        return Given(tensors, linear(w.part("known"), h), np.exp(w["log_scale"])[numbers])

    def gates(self, given: Given, points: npt.NDArray[np.float64], images: npt.NDArray[np.float64]) -> Gates:
        """Weight and strength of every image (I, 3), ``given`` of each, within reach of every point (P, 3), Å."""
        s = self.settings
        image, point, exact = pairs(points, images, s.cutoff**2)
        vectors = exact.astype(self.dtype)
        seen = np.empty((len(image), s.channels * (s.lmax + 1)), dtype=self.dtype)
        products(given.tensors, image, vectors, s.lmax, s.narrowest, seen)
        if self.dtype == np.float32:
            times_radial(self.table, TABLE_STEP * s.narrowest, vectors, seen)
        else:
            seen *= self.radial((exact**2).sum(1))
        near, falling = np.empty((2, len(image)), dtype=self.dtype)
        by_distance(exact, s.cutoff, CORE, near, falling)
        first, s_last, c_last = self.edge[0], self.weights.part("strength", 2), self.weights.part("chemical", 2)
        hidden = seen @ self.weights["compress.weight"].T
        add_rows(given.known + self.weights["compress.bias"], image, hidden)
        hidden = activated(linear(first, activated(hidden)))
        ends = hidden @ self.ends[0] + self.ends[1]
        if s.gate != "sum":
            around = np.zeros((len(points), s.width + 1), dtype=self.dtype)
            gather(point, near, hidden, around)
            around[:, -1] = np.bincount(point, near, len(points))
            add_rows(around @ self.context, point, ends[:, s.width :])
        activated(ends)
        brought = seen @ self.weights["direct.weight"][0] + linear(s_last, ends[:, : s.width])[:, 0]
        strength = TYPICAL * brought * falling * given.scale[image]
        if s.gate == "sum":
            return Gates(point, image, near, strength, np.bincount(point, near, len(points)))
        chemical = linear(c_last, ends[:, s.width :])[:, 0].astype(float)
        raised = np.exp(LARGEST_WEIGHT * np.tanh(chemical / LARGEST_WEIGHT))
        if s.gate != "softmax":
            raised *= near
        total = np.bincount(point, raised, len(points))
        empty = float(np.exp(self.weights["log_empty"])) if s.gate == "full" else float(np.finfo(self.dtype).tiny)
        return Gates(point, image, raised / (empty + total)[point], strength, total / (empty + total))

    def radial(self, r2: npt.NDArray[np.float64]) -> npt.NDArray:
        """Functions of the distance of everything that is seen, (E, (lmax+1) K), at r² in Å²."""
        s, w = self.settings, self.weights
        sigma = np.geomspace(s.narrowest, s.widest, s.functions)
        gaussians = np.exp(np.maximum(-0.5 * r2[:, None] / sigma**2, -80.0))
        shells = np.diff(gaussians, axis=1, prepend=0.0).astype(self.dtype)
        found: npt.NDArray = (mlp(w.part("radial"), shells) + linear(w.part("shells"), shells)) * np.exp(w["log_size"])
        return found

    @cached_property
    def table(self) -> npt.NDArray:
        """`radial` on the distances that `times_radial` reads."""
        step = TABLE_STEP * self.settings.narrowest
        r = step * np.arange(-1.0, int(self.settings.cutoff / step) + 4)
        return np.ascontiguousarray(self.radial(np.square(r, dtype=np.float64)))

    @cached_property
    def edge(self) -> list[Weights]:
        """Layers between what is seen and what an edge says."""
        return self.weights.part("edge", 1).numbered

    @cached_property
    def ends(self) -> tuple[npt.NDArray, npt.NDArray]:
        """Last layer of an edge, then first of strength and chemical weight: one matrix (width, 2 width), one bias."""
        last, width = self.edge[-1], self.settings.width
        strength, chemical = (self.weights.part(name, 0) for name in ("strength", "chemical"))
        both = np.concatenate([strength["weight"], chemical["weight"][:, :width]]).astype(float)
        bias = np.concatenate([strength["bias"], chemical["bias"]]) + both @ last["bias"].astype(float)
        return (both @ last["weight"].astype(float)).T.astype(self.dtype, order="C"), bias.astype(self.dtype)

    @cached_property
    def context(self) -> npt.NDArray:
        """The same of what all edges of a point say together, (width + 1, width); the last row is their bias."""
        last, width = self.edge[-1], self.settings.width
        matrix = self.weights.part("chemical", 0)["weight"][:, width:].astype(float)
        both = np.concatenate([(matrix @ last["weight"]).T, (matrix @ last["bias"])[None]])
        return np.ascontiguousarray(both, dtype=self.dtype)
