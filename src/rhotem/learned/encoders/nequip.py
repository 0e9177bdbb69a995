"""A NequIP-type encoder up to l = 4, ordered by atom: no array per edge and path.

`rhotem.training.network.encoders.nequip` is what was trained; the sums are the same.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.learned.couplings import couplings, invariants, size
from rhotem.learned.dense import linear, mix, mlp, sigmoid, silu
from rhotem.learned.encoders.stage import Stage, States, Surroundings
from rhotem.learned.kernels.products import atom_kernel, atom_tables, directions, edge_kernel, edge_tables
from rhotem.learned.radial import bessel, end_function
from rhotem.learned.settings import ELEMENTS, NequipSettings
from rhotem.learned.weights import Weights


class NequipEncoder:
    """Trained layers; see `rhotem.learned.encoders.stage.Encoder`.

    Parameters
    ----------
    settings : NequipSettings
    weights : Weights
    """

    def __init__(self, settings: NequipSettings, weights: Weights) -> None:
        s = settings
        self.settings, self.weights = s, weights
        weights.check({"embedding.weight": (ELEMENTS, s.embedding), "start.weight": (s.scalars, s.embedding + s.extra)})
        if len(weights.part("layers").numbered) != s.layers:
            raise ValueError(f"layers: {len(weights.part('layers').numbered)}, settings say {s.layers}")
        #: whether tensors of pretrained layers are there before the first layer
        self.continued = bool(s.extra_tensors)
        self.cutoff, self.receptive_field = s.cutoff, s.layers * s.cutoff
        self.scalars, self.lmax = s.scalars, s.lmax
        self.channels = (2 * s.layers + self.continued) * s.channels
        self.dtype = weights["start.weight"].dtype
        self.embedding = weights["embedding.weight"]
        self._stages = [NequipStage(self, n) for n in range(s.layers)]

    def start(self, numbers: npt.NDArray[np.int64], charge: float) -> States:
        """Scalars of elements and charge."""
        charges = np.full((len(numbers), 1), charge, dtype=self.dtype)
        w = self.weights
        return {"scalars": linear(w.part("start"), self.embedding[numbers]) + linear(w.part("charge"), charges)}

    def stages(self) -> Sequence[Stage]:
        """Its layers."""
        return self._stages

    def first_scalars(self, layers: int) -> None:
        """None: there are no pretrained layers."""


class NequipStage:
    """One layer; see `rhotem.learned.encoders.stage.Stage`.

    States: "scalars", "hidden" (what is sent on; not after the last layer) and "kept", the tensors of all layers so
    far. Before the first layer "hidden" is "kept", the pretrained tensors, or there is neither.
    """

    def __init__(self, encoder: NequipEncoder, index: int) -> None:
        s = encoder.settings
        self.encoder, self.weights = encoder, encoder.weights.part("layers", index)
        self.last = index == s.layers - 1
        self.lmax, self.channels = s.lmax, s.channels
        self.lmax_sent = 0 if index == 0 and not encoder.continued else min(s.lmax_sent, s.lmax)
        self.scale = encoder.dtype.type(1.0 / math.sqrt(s.mean_neighbours))
        self.paths = couplings(self.lmax_sent, s.lmax, s.lmax)
        self.weights.check({
            "weights.2.weight": (len(self.paths) * s.channels, s.radial_width),
            "radial.weight": (s.radial_width, s.bessel),
            "mix.weight": (s.lmax + 1, s.channels, s.channels),
        })  # fmt: skip
        components = size(s.lmax)
        kept = components * s.channels * (2 * (index + 1) + encoder.continued)
        # the last one's are handed on at once
        held = {"scalars": s.scalars, "kept": kept, "hidden": components * s.channels}
        self.held = {} if self.last else held
        self.sent = size(self.lmax_sent) * s.channels
        self.edges = edge_tables(self.paths, encoder.dtype)
        self.atoms = atom_tables([p for p in couplings(s.lmax, s.lmax, s.lmax) if 0 < p[0] <= p[1]], encoder.dtype)
        self.element = linear(self.weights.part("element"), encoder.embedding)
        self.element_sent = linear(self.weights.part("element_sent"), encoder.embedding)
        self.l_of = [l for l in range(s.lmax + 1) for _ in range(2 * l + 1)]

    def send(self, before: States) -> npt.NDArray:
        """What neighbours read, (M, lm, K)."""
        sent = linear(self.weights.part("send"), before["scalars"])[:, None]
        hidden = before.get("hidden", before.get("kept"))
        if hidden is None:
            return sent
        lower = hidden[:, : size(self.lmax_sent)].copy()
        lower[:, :1] += sent
        return lower

    def __call__(self, before: States, sent: npt.NDArray, around: Surroundings) -> States:
        """States of some atoms after the layer."""
        w, own = self.weights, around.own
        a = self._messages(sent, around)
        b = np.empty_like(a)
        atom_kernel(a, mix(w["mix.weight"], a), w["power.weight"], self.atoms, b)
        scalars = before["scalars"][own]
        known = np.concatenate([scalars, invariants(a, self.lmax), invariants(b, self.lmax)], axis=1)
        scalars = scalars + mlp(w.part("update"), known)
        both = np.concatenate([a, b], axis=2)
        kept = np.concatenate([before["kept"][own], both], axis=2) if "kept" in before else both
        if self.last:
            return {"scalars": scalars, "kept": kept}
        gate = sigmoid(linear(w.part("gate"), scalars)).reshape(len(own), self.lmax + 1, self.channels)
        hidden = before.get("hidden", before.get("kept"))
        joined = both if hidden is None else np.concatenate([both, hidden[own]], axis=2)
        return {"scalars": scalars, "kept": kept, "hidden": mix(w["join.weight"], joined) * gate[:, self.l_of]}

    def _messages(self, sent: npt.NDArray, around: Surroundings) -> npt.NDArray:
        """Summed messages to atoms, (n, lm, K)."""
        w, encoder, dtype = self.weights, self.encoder, self.encoder.dtype
        length = np.linalg.norm(around.vectors, axis=1).astype(dtype)
        own = np.repeat(self.element[around.numbers], np.diff(around.starts), axis=0)
        radial = linear(w.part("radial"), bessel(length, encoder.settings.bessel, encoder.cutoff))
        weights = mlp(w.part("weights"), silu(radial + own + self.element_sent[around.others]))
        weights *= end_function(length / dtype.type(encoder.cutoff))[:, None]
        matrices = directions(around.vectors, self.lmax, dtype) @ self.edges.matrix
        a = np.empty((len(around.own), size(self.lmax), self.channels), dtype=dtype)
        shaped = weights.reshape(len(length), len(self.edges.paths), self.channels)
        edge_kernel(around.starts, around.source, sent, matrices, shaped, self.edges.paths, a)
        a *= self.scale
        return a
