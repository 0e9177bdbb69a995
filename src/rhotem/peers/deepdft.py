"""DeepDFT: density at probes by message passing from atoms, with SchNet or PaiNN blocks.

Jørgensen and Bhowmik, npj Comput. Mater. 8, 183 (2022). Messages reach a probe from atoms only, never from probes.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from rhotem.peers.cubic import cubic, radii
from rhotem.peers.neighbours import Neighbours

#: Entries of the embedding: "no element" and Z = 1–118.
ELEMENTS = 119
#: SchNet: step of the Gaussians of distance in Å, their width too; and the soft end 1 − sigmoid(5 (r − r_c + 1.5)).
STEP, STEEPNESS, BEFORE = 0.1, 5.0, 1.5
#: Step in Å of its tabulated filters; interpolation is right to 1e-6.
TABLE_STEP = 0.005
#: PaiNN: smallest square of a vector feature,
TINY = 1e-30
#: and functions sin(kπr/r_c)/r, k = 1 … 30.
SINES = 30


class DeepDFTSettings(BaseModel):
    """What a DeepDFT model is made of.

    Parameters
    ----------
    interactions : int
        Rounds of messages, among atoms and to probes.
    size : int
        Features per atom and probe.
    cutoff : float
        Å.
    """

    model_config = ConfigDict(extra="forbid")
    architecture: Literal["deepdft-schnet", "deepdft-painn"]
    interactions: int = Field(3, ge=1)
    size: int = Field(128, ge=1)
    cutoff: float = Field(4.0, gt=BEFORE)


class ShiftedSoftplus(nn.Module):
    """ln(1 + e^x) − ln 2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Elementwise."""
        return nn.functional.softplus(x) - math.log(2.0)


def two_layers(first: int, hidden: int, last: int, activation: type[nn.Module]) -> nn.Sequential:
    """Linear, activation, linear."""
    return nn.Sequential(nn.Linear(first, hidden), activation(), nn.Linear(hidden, last))


class Shells:
    """Distances of the edges of every pair, for every round, as rows of a table and their weights."""

    def __init__(self, near: Neighbours, cutoff: float) -> None:
        self.atom, self.receiver, pair = near.pairs
        self.cutoff, self.r = cutoff, near.distances
        first, weights = cubic(self.r, TABLE_STEP)
        self.rows = (first[:, None] + torch.arange(4, device=first.device)).flatten()
        self.weights = weights.flatten()
        counts = torch.bincount(pair, minlength=len(self.atom))
        self.starts = 4 * (counts.cumsum(0) - counts)

    def summed(self, function: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Sum of a function of distance, (E,) to (E, n), over the images in every pair; (M, n)."""
        table = function(radii(self.cutoff, TABLE_STEP, self.r))
        return nn.functional.embedding_bag(self.rows, table, self.starts, mode="sum", per_sample_weights=self.weights)


class SchnetMessage(nn.Module):
    """Σ over edges of MLP(sender, receiver) ⊙ MLP(Gaussians of r) · soft end of r."""

    def __init__(self, size: int, cutoff: float) -> None:
        super().__init__()
        self.size, self.cutoff = size, cutoff
        self.edge = two_layers(math.ceil(cutoff / STEP), size, size, ShiftedSoftplus)
        self.node = two_layers(2 * size, 2 * size, size, ShiftedSoftplus)

    def filter(self, r: torch.Tensor) -> torch.Tensor:
        """Filters at distances (E,) in Å; (E, size)."""
        centres = torch.arange(math.ceil(self.cutoff / STEP), dtype=r.dtype, device=r.device) * STEP
        end = 1.0 - torch.sigmoid(STEEPNESS * (r - (self.cutoff - BEFORE)))
        return self.edge(torch.exp((r[:, None] - centres) ** 2 * (-0.5 / STEP**2))) * end[:, None]

    def forward(self, senders: torch.Tensor, receivers: torch.Tensor, shells: Shells) -> torch.Tensor:
        """Features (N, size) and (R, size) to messages (R, size)."""
        gates = shells.summed(self.filter)
        weight, bias = self.node[0].get_parameter("weight"), self.node[0].get_parameter("bias")
        from_sender = torch.addmm(bias, senders, weight[:, : self.size].T)
        from_receiver = receivers @ weight[:, self.size :].T
        nodes = self.node[2](self.node[1](from_sender[shells.atom] + from_receiver[shells.receiver]))
        return torch.zeros_like(receivers).index_add_(0, shells.receiver, nodes * gates)


class SchnetAtoms(nn.Module):
    """One round among atoms: features plus MLP(messages)."""

    def __init__(self, size: int, cutoff: float) -> None:
        super().__init__()
        self.message = SchnetMessage(size, cutoff)
        self.transition = two_layers(size, size, size, ShiftedSoftplus)

    def forward(self, atoms: torch.Tensor, shells: Shells) -> torch.Tensor:
        """(N, size) to (N, size)."""
        return atoms + self.transition(self.message(atoms, atoms, shells))


class SchnetProbes(nn.Module):
    """One round to probes: a gate decides between the old features and MLP(messages)."""

    def __init__(self, size: int, cutoff: float) -> None:
        super().__init__()
        self.message = SchnetMessage(size, cutoff)
        self.gate = two_layers(size, size, size, ShiftedSoftplus)
        self.transition = two_layers(size, size, size, ShiftedSoftplus)

    def forward(self, atoms: torch.Tensor, probes: torch.Tensor, shells: Shells) -> torch.Tensor:
        """Features of atoms (N, size) and probes (P, size) to (P, size)."""
        gate = torch.sigmoid(self.gate(probes))
        return probes * gate + (1.0 - gate) * self.transition(self.message(atoms, probes, shells))


class Schnet(nn.Module):
    """DeepDFT with SchNet blocks: distances only, scalar features."""

    def __init__(self, settings: DeepDFTSettings) -> None:
        super().__init__()
        self.settings = settings
        size, cutoff, rounds = settings.size, settings.cutoff, range(settings.interactions)
        self.embedding = nn.Embedding(ELEMENTS, size)
        self.atoms = nn.ModuleList([SchnetAtoms(size, cutoff) for _ in rounds])
        self.probes = nn.ModuleList([SchnetProbes(size, cutoff) for _ in rounds])
        self.readout = two_layers(size, size, 1, ShiftedSoftplus)

    def encode(self, numbers: torch.Tensor, near: Neighbours) -> list[torch.Tensor]:
        """Features of the atoms after every round, (N, size) each."""
        states, shells = [self.embedding(numbers)], Shells(near, self.settings.cutoff)
        for layer in self.atoms:
            states.append(layer(states[-1], shells))
        return states[1:]

    def density(self, states: list[torch.Tensor], near: Neighbours) -> torch.Tensor:
        """Density at the probes in e/Å³; (P, 1)."""
        probes, shells = states[0].new_zeros(near.receivers, self.settings.size), Shells(near, self.settings.cutoff)
        for layer, atoms in zip(self.probes, states, strict=True):
            probes = layer(atoms, probes, shells)
        return self.readout(probes)


class PainnMessage(nn.Module):
    """Σ over edges of sender features times filters of distance; vectors also get the edge's direction."""

    def __init__(self, size: int, cutoff: float) -> None:
        super().__init__()
        self.cutoff, self.size = cutoff, size
        self.filter = nn.Linear(SINES, 3 * size)
        self.sender = two_layers(size, size, 3 * size, nn.SiLU)

    def forward(
        self, scalars: torch.Tensor, vectors: torch.Tensor, moments: "Moments"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Senders (N, size), (N, 3, size) to sums of messages (R, size), (R, 3, size)."""
        gain = self.sender(scalars)
        basis = torch.cat([self.filter.weight, self.filter.bias[:, None]], dim=1).T
        of_vector, of_direction, of_scalar = basis.split(self.size, dim=1)
        gain_vector, gain_direction, gain_scalar = gain.split(self.size, dim=1)
        atom = moments.atom
        even = moments.even @ torch.cat([of_scalar, of_vector], dim=1)
        sent = even[:, : self.size] * (scalars * gain_scalar)[atom]
        turned = (moments.odd @ of_direction) * gain_direction[atom][:, None]
        turned = turned + even[:, None, self.size :] * (vectors * gain_vector[:, None])[atom]
        return moments.gather(sent), moments.gather(turned)


class Moments:
    """Sums over the images in a pair of the radial functions, alone and times the direction.

    Radial functions are sin(kπr/r_c)/r and 1, times (1 + cos(πr/r_c))/2. Every round uses the same.
    """

    def __init__(self, near: Neighbours, cutoff: float) -> None:
        self.atom, self.receiver, pair = near.pairs
        self.receivers = near.receivers
        r = near.distances[:, None]
        k = torch.arange(1, SINES + 1, dtype=r.dtype, device=r.device) / cutoff
        end = 0.5 * (torch.cos(math.pi * r / cutoff) + 1.0) * (r < cutoff)
        radial = torch.cat([torch.sinc(k * r) * math.pi * k, torch.ones_like(r)], dim=1) * end
        self.even = radial.new_zeros(len(self.atom), SINES + 1).index_add(0, pair, radial)
        odd = radial[:, None] * near.directions[:, :, None]
        self.odd = odd.new_zeros(len(self.atom), 3, SINES + 1).index_add(0, pair, odd)

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of what pairs bring over the receivers."""
        return values.new_zeros(self.receivers, *values.shape[1:]).index_add(0, self.receiver, values)


class PainnUpdate(nn.Module):
    """Scalars and vectors of one place act on each other (Schütt, Unke and Gastegger, ICML 2021, eqs. 9–10)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.first = nn.Linear(size, size, bias=False)
        self.second = nn.Linear(size, size, bias=False)
        self.mix = two_layers(2 * size, size, 3 * size, nn.SiLU)

    def forward(self, scalars: torch.Tensor, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(R, size), (R, 3, size) to the same."""
        u, v = self.first(vectors), self.second(vectors)
        # bounded below, so that its gradient stays finite where symmetry forbids a vector
        length = (v * v).sum(1).clamp(min=TINY).sqrt()
        plain, inner, scale = self.mix(torch.cat([scalars, length], dim=1)).chunk(3, dim=1)
        return scalars + plain + inner * (u * v).sum(1), vectors + scale[:, None] * u


class PainnProbes(nn.Module):
    """One round to probes: a gate made of the messages decides between them and the old features."""

    def __init__(self, size: int, cutoff: float) -> None:
        super().__init__()
        self.message = PainnMessage(size, cutoff)
        self.gate = two_layers(size, 2 * size, 2 * size, nn.SiLU)
        self.update = PainnUpdate(size)

    def forward(
        self, atoms: tuple[torch.Tensor, torch.Tensor], probes: tuple[torch.Tensor, torch.Tensor], moments: Moments
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scalars and vectors of atoms and probes to those of the probes."""
        scalars, vectors = self.message(*atoms, moments)
        keep, keep_vectors = torch.sigmoid(self.gate(scalars)).chunk(2, dim=1)
        keep_vectors = keep_vectors[:, None]
        scalars = keep * probes[0] + (1.0 - keep) * scalars
        vectors = keep_vectors * probes[1] + (1.0 - keep_vectors) * vectors
        return self.update(scalars, vectors)


class Painn(nn.Module):
    """DeepDFT with PaiNN blocks: scalars and vectors, polarised by directions."""

    def __init__(self, settings: DeepDFTSettings) -> None:
        super().__init__()
        self.settings = settings
        size, cutoff, rounds = settings.size, settings.cutoff, range(settings.interactions)
        self.embedding = nn.Embedding(ELEMENTS, size)
        self.atoms = nn.ModuleList([PainnMessage(size, cutoff) for _ in rounds])
        self.updates = nn.ModuleList([PainnUpdate(size) for _ in rounds])
        self.probes = nn.ModuleList([PainnProbes(size, cutoff) for _ in rounds])
        self.readout = two_layers(size, size, 1, nn.SiLU)

    def encode(self, numbers: torch.Tensor, near: Neighbours) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Scalars (N, size) and vectors (N, 3, size) of the atoms after every round."""
        scalars = self.embedding(numbers)
        vectors = scalars.new_zeros(len(numbers), 3, self.settings.size)
        moments = Moments(near, self.settings.cutoff)
        states = []
        for message, update in zip(self.atoms, self.updates, strict=True):
            s, v = message(scalars, vectors, moments)
            scalars, vectors = update(scalars + s, vectors + v)
            states.append((scalars, vectors))
        return states

    def density(self, states: list[tuple[torch.Tensor, torch.Tensor]], near: Neighbours) -> torch.Tensor:
        """Density at the probes in e/Å³; (P, 1)."""
        size, moments = self.settings.size, Moments(near, self.settings.cutoff)
        zero = states[0][0].new_zeros(near.receivers, size)
        probes = (zero, zero[:, None].expand(-1, 3, -1))
        for layer, atoms in zip(self.probes, states, strict=True):
            probes = layer(atoms, probes, moments)
        return self.readout(probes[0])
