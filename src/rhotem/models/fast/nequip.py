"""Layers of `rhotem.models.encoders.nequip` for the fast encoder, ordered by atom: same sums, no tensor per edge."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from rhotem.models.encoders.nequip import Nequip
from rhotem.models.fast.products import atom_kernel, atom_tables, directions, edge_kernel, edge_tables
from rhotem.models.fast.stage import States, Surroundings
from rhotem.models.radial import bessel, end_function
from rhotem.models.tensor import invariants, size


def nequip_start(encoder: Nequip, numbers: torch.Tensor, charge: float) -> States:
    """States before the first layer; ``charge`` of the cell per atom, e."""
    charges = torch.full((len(numbers), 1), charge, dtype=encoder.start.weight.dtype)
    return {"scalars": encoder.start(encoder.embedding(numbers)) + encoder.charge(charges)}


class NequipStage:
    """One layer; see `rhotem.models.fast.stage.Stage`.

    States: "scalars", "hidden" (what is sent on; not after the last layer) and "kept", the tensors of all layers so
    far. Before the first layer "hidden" is "kept", the given tensors, or there is neither.
    """

    def __init__(self, encoder: Nequip, index: int) -> None:
        layers: Any = encoder.layers
        s, layer = encoder.settings, layers[index]
        self.encoder, self.layer, self.last = encoder, layer, index == len(layers) - 1
        components = size(layer.lmax)
        kept = components * s.channels * (2 * (index + 1) + bool(s.extra_tensors))
        # the last one's are handed on at once
        held = {"scalars": s.scalars, "kept": kept, "hidden": components * s.channels}
        self.held = {} if self.last else held
        self.sent = size(layer.lmax_sent) * layer.channels
        self.edges, self.atoms = edge_tables(layer.product), atom_tables(layer.power)
        self.messages, self.power = edge_kernel(layer.channels, components), atom_kernel(layer.channels, components)
        self.power_weight = layer.power.weight.detach().numpy()
        with torch.no_grad():
            self.element = layer.element(encoder.embedding.weight)
            self.element_sent = layer.element_sent(encoder.embedding.weight)

    def send(self, before: States) -> npt.NDArray:
        """What neighbours read, (M, lm, K)."""
        sent = self.layer.send(before["scalars"])[:, None]
        hidden = before.get("hidden", before.get("kept"))
        if hidden is not None:
            lower = hidden[:, : size(self.layer.lmax_sent)]
            sent = torch.cat([sent + lower[:, :1], lower[:, 1:]], dim=1)
        return sent.contiguous().numpy()

    def __call__(self, before: States, sent: npt.NDArray, around: Surroundings) -> States:
        """States of some atoms after the layer."""
        layer, own = self.layer, torch.from_numpy(around.own)
        a = self._messages(sent, around)
        b = torch.empty_like(a)
        self.power(a.numpy(), layer.mix(a).numpy(), self.power_weight, self.atoms, b.numpy())
        scalars = before["scalars"][own]
        change = layer.update(torch.cat([scalars, invariants(a, layer.lmax), invariants(b, layer.lmax)], dim=1))
        scalars = scalars + change
        both = torch.cat([a, b], dim=2)
        kept = torch.cat([before["kept"][own], both], dim=2) if "kept" in before else both
        if self.last:
            return {"scalars": scalars, "kept": kept}
        gate = torch.sigmoid(layer.gate(scalars)).view(len(own), layer.lmax + 1, layer.channels)
        hidden = before.get("hidden", before.get("kept"))
        joined = both if hidden is None else torch.cat([both, hidden[own]], dim=2)
        return {"scalars": scalars, "kept": kept, "hidden": layer.join(joined) * gate[:, layer.l_of]}

    def _messages(self, sent: npt.NDArray, around: Surroundings) -> torch.Tensor:
        """Summed messages to atoms, (n, lm, K)."""
        layer, encoder = self.layer, self.encoder
        v = torch.from_numpy(around.vectors).to(self.element.dtype)
        length = v.norm(dim=-1)
        own = self.element[around.numbers].repeat_interleave(torch.from_numpy(np.diff(around.starts)), dim=0)
        radial = layer.radial(bessel(length, encoder.settings.bessel, encoder.cutoff))
        weights = layer.weights(nn.functional.silu(radial + own + self.element_sent[around.others]))
        weights *= end_function(length / encoder.cutoff)[:, None]
        matrices = directions(around.vectors, layer.lmax, v.dtype) @ self.edges.matrix
        a = torch.empty(len(around.own), size(layer.lmax), layer.channels, dtype=v.dtype)
        self.messages(
            around.starts,
            around.source,
            sent,
            matrices.numpy(),
            weights.view(len(v), len(self.edges.paths), layer.channels).numpy(),
            self.edges.paths,
            a.numpy(),
        )
        return a * layer.scale
