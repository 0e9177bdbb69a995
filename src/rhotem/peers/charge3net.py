"""ChargE3Net: density at probes from spherical tensors passed on by equivariant convolutions.

Koker, Quigley, Taw, Tibbetts and Li, npj Comput. Mater. 10, 161 (2024). Every convolution (after e3nn's points
convolution) multiplies features of the senders with harmonics of the edge, weighted by a network of its length, and
mixes the sum with the receiver's own features by an angle that it predicts. Only atoms send.
"""

import math
from functools import lru_cache
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from rhotem.learned.couplings import coupling, part
from rhotem.peers.deepdft import ELEMENTS
from rhotem.peers.irreps import EVEN, Irrep, Irreps, Layout, Path, hidden_irreps, matrices, numel
from rhotem.peers.neighbours import Neighbours
from rhotem.training.network.tensor import solid_harmonics

#: e3nn's bases of distance but "fourier": its constant function has no spread, the official code divides by zero.
Basis = Literal["gaussian", "cosine", "smooth_finite", "bessel"]
#: Width of the hidden layer of radial networks, and the start of the mixing angle.
HIDDEN, SMALL_ANGLE = 100, 0.1
#: e3nn scales activations to unit second moment under a normal distribution; it estimates the factors from 10⁶ samples.
SILU, TANH, SIGMOID = 1.6791767923989418, 1.5937334472592695, 1.8467055342154763
#: Samples from which mean and spread of the radial basis are taken.
SAMPLES = 4000

#: Features by irrep, (R, 2l + 1, channels) each.
Features = dict[Irrep, torch.Tensor]


class ChargE3NetSettings(BaseModel):
    """What a ChargE3Net is made of; defaults are the published ones.

    Parameters
    ----------
    mul : int
        Channels shared by the irreps up to ``lmax``.
    neighbours : float
        Sums over edges are divided by its square root.
    basis : str
        Functions of distance, of e3nn's ``soft_one_hot_linspace``.
    spin : bool
        Predict density and spin density.
    """

    model_config = ConfigDict(extra="forbid")
    architecture: Literal["charge3net"] = "charge3net"
    interactions: int = Field(3, ge=1)
    neighbours: float = Field(20.0, gt=0)
    mul: int = Field(500, ge=1)
    lmax: int = Field(4, ge=0)
    cutoff: float = Field(4.0, gt=0)
    basis: Basis = "gaussian"
    functions: int = Field(20, ge=2)
    spin: bool = False


def radial_basis(r: torch.Tensor, basis: Basis, count: int, cutoff: float) -> torch.Tensor:
    """Functions of distance on (0, cutoff), no end at the cutoff; (E, count)."""
    k = torch.arange(count, dtype=r.dtype, device=r.device)
    if basis == "bessel":
        k = (k + 1) / cutoff
        return math.sqrt(2.0 / cutoff) * math.pi * k * torch.sinc(k * r[:, None])
    x = r[:, None] * ((count - 1) / cutoff) - k
    if basis == "gaussian":
        return torch.exp(-(x**2)) / 1.12
    if basis == "cosine":
        return torch.cos(0.5 * math.pi * x) * (x.abs() < 1)
    return 1.14136 * math.e**2 * _step(x + 1) * _step(1 - x)


def _step(x: torch.Tensor) -> torch.Tensor:
    """exp(−1/x) for x > 0, else 0."""
    positive = x > 0
    return torch.where(positive, torch.exp(-1.0 / torch.where(positive, x, torch.ones_like(x))), torch.zeros_like(x))


def basis_statistics(settings: ChargE3NetSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and inverse spread of the radial basis over (0, cutoff]."""
    r = torch.linspace(0.0, settings.cutoff, SAMPLES + 1)[1:]
    spread, mean = torch.std_mean(radial_basis(r, settings.basis, settings.functions, settings.cutoff), dim=0)
    return mean, 1.0 / spread


def linear(weight: torch.Tensor, first: Irreps, second: Irreps, features: Features) -> Features:
    """Mix channels of equal irreps; each output has unit variance if the inputs have."""
    sizes = [a * b for _, a, b in matrices(first, second)]
    result = {}
    for (ir, a, b), w in zip(matrices(first, second), weight.split(sizes), strict=True):
        result[ir] = features[ir] @ w.reshape(a, b) / math.sqrt(a)
    return result


class Convolution(nn.Module):
    """Messages of atoms to receivers, mixed with what the receivers have, then gated."""

    def __init__(self, layout: Layout, settings: ChargE3NetSettings) -> None:
        super().__init__()
        self.layout = layout
        self.senders, self.receivers = dict(layout.senders), dict(layout.receivers)
        self.scale = settings.neighbours**-0.5
        self.own = nn.Parameter(torch.randn(numel(self.receivers, layout.out)))
        self.before = nn.Parameter(torch.randn(numel(self.senders, self.senders)))
        self.radial0 = nn.Parameter(torch.randn(settings.functions, HIDDEN))
        self.radial1 = nn.Parameter(torch.randn(HIDDEN, layout.weights))
        self.after = nn.Parameter(torch.randn(numel(layout.middle, layout.out)))
        self.angle = nn.Parameter(torch.randn(layout.middle[EVEN]))

    def radial(self, basis: torch.Tensor) -> torch.Tensor:
        """Weights of edges (E, weights) from their radial basis."""
        hidden = SILU * nn.functional.silu(basis @ self.radial0 / math.sqrt(self.radial0.shape[0]))
        return hidden @ self.radial1 / math.sqrt(HIDDEN)

    def sent(self, atoms: Features) -> Features:
        """Features as they are sent."""
        return linear(self.before, self.senders, self.senders, atoms)

    def messages(self, atoms: Features, near: Neighbours, harmonics: torch.Tensor, basis: torch.Tensor) -> Features:
        """Sums over the edges of products with harmonics; (R, 2l + 1, channels of `Layout.middle`)."""
        weights, sent = self.radial(basis), self.sent(atoms)
        at_edges = {ir: x[near.atom] for ir, x in sent.items()}
        parts: dict[Irrep, list[torch.Tensor]] = {ir: [] for ir in self.layout.middle}
        for path in self.layout.paths:
            turn = torch.einsum("eb,abc->eca", harmonics[:, part(path.l)], path_table(path, harmonics))
            weight = weights[:, path.weight : path.weight + path.channels]
            product = torch.bmm(turn, at_edges[path.first]) * weight[:, None]
            zero = product.new_zeros(near.receivers, *product.shape[1:])
            parts[path.out].append(zero.index_add(0, near.receiver, product))
        return {ir: torch.cat(pieces, dim=2) * self.scale for ir, pieces in parts.items()}

    def maps(self) -> dict[Irrep, torch.Tensor]:
        """Matrices from summed products to output, scales included; the even scalars' last column is the angle."""
        middle, out = self.layout.middle, self.layout.out
        shapes = matrices(middle, out)
        found = {
            ir: w.reshape(a, b) * (self.scale / math.sqrt(a))
            for (ir, a, b), w in zip(shapes, self.after.split([a * b for _, a, b in shapes]), strict=True)
        }
        angle = self.angle[:, None] * (SMALL_ANGLE * self.scale / math.sqrt(middle[EVEN]))
        return {**found, EVEN: torch.cat([found[EVEN], angle], dim=1)}

    def mixed(self, messages: Features) -> tuple[Features, torch.Tensor]:
        """Messages after their linear map, and the mixing angle (R, 1, 1) of every receiver."""
        middle = self.layout.middle
        angle = messages[EVEN] @ self.angle[:, None] * (SMALL_ANGLE / math.sqrt(middle[EVEN]))
        return linear(self.after, middle, self.layout.out, messages), angle

    def joined(self, messages: Features, angle: torch.Tensor, receivers: Features) -> Features:
        """Receivers' own features turned into the messages by the angle, gated."""
        own = linear(self.own, self.receivers, self.layout.out, receivers)
        both = {}
        for ir in self.layout.out:
            message = messages.get(ir)
            if ir in own:
                turned = own[ir] * angle.cos()
                both[ir] = turned if message is None else turned + message * angle.sin()
            elif message is not None:
                both[ir] = message
        return self.gated(both)

    def gated(self, x: Features) -> Features:
        """Activations of scalars; every other tensor times the activation of its gate."""
        features = dict(self.layout.features)
        scalars = features.get(EVEN, 0)
        gates = SIGMOID * torch.sigmoid(x[EVEN][:, :, scalars:])
        result: Features = {}
        start = 0
        for (l, p), n in features.items():
            if l == 0:
                even = p == 1
                result[l, p] = SILU * nn.functional.silu(x[EVEN][:, :, :n]) if even else TANH * torch.tanh(x[l, p])
            else:
                result[l, p] = x[l, p] * gates[:, :, start : start + n]
                start += n
        return result


def path_table(path: Path, like: torch.Tensor) -> torch.Tensor:
    """Coupling coefficients of a path, (2·l1+1, 2·l2+1, 2·l3+1), in the dtype and on the device of ``like``."""
    return _table(path.first[0], path.l, path.out[0], like.dtype, like.device)


@lru_cache(maxsize=1024)
def _table(l1: int, l2: int, l3: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.tensor(coupling(l1, l2, l3), dtype=dtype, device=device)


class ChargE3Net(nn.Module):
    """Atoms, then probes, by the same kind of convolution."""

    def __init__(self, settings: ChargE3NetSettings) -> None:
        super().__init__()
        self.settings = settings
        hidden = hidden_irreps(settings.mul, settings.lmax)
        self.atoms, self.probes = nn.ModuleList(), nn.ModuleList()
        irreps: Irreps = {EVEN: ELEMENTS}
        sequence: list[Irreps] = []
        for _ in range(settings.interactions):
            layout = Layout.make(irreps, irreps, hidden, settings.lmax)
            irreps = dict(layout.features)
            sequence.append(irreps)
            self.atoms.append(Convolution(layout, settings))
        irreps = {EVEN: 1}
        for senders in sequence:
            layout = Layout.make(senders, irreps, hidden, settings.lmax)
            irreps = dict(layout.features)
            self.probes.append(Convolution(layout, settings))
        self.last = irreps
        self.targets = [ir for ir in ((0, -1), EVEN) if ir in irreps] if settings.spin else [EVEN]
        self.readout = nn.Parameter(torch.randn(sum(irreps[ir] for ir in self.targets)))
        for kind in ("atom", "probe"):
            mean, inverse = basis_statistics(settings)
            self.register_buffer(f"{kind}_mean", mean)
            self.register_buffer(f"{kind}_inv_std", inverse)

    def convolutions(self, kind: Literal["atom", "probe"]) -> list[Convolution]:
        """Convolutions among atoms or to probes."""
        layers = self.atoms if kind == "atom" else self.probes
        return [layer for layer in layers if isinstance(layer, Convolution)]

    def basis(self, r: torch.Tensor, kind: Literal["atom", "probe"]) -> torch.Tensor:
        """Normalised radial basis; (E, functions)."""
        s = self.settings
        plain = radial_basis(r, s.basis, s.functions, s.cutoff)
        return (plain - self.get_buffer(f"{kind}_mean")) * self.get_buffer(f"{kind}_inv_std")

    def harmonics(self, near: Neighbours) -> torch.Tensor:
        """√(4π) Y_lm of the edges; (E, (lmax+1)²)."""
        return solid_harmonics(near.directions, self.settings.lmax) * math.sqrt(4.0 * math.pi)

    def encode(self, numbers: torch.Tensor, near: Neighbours) -> list[Features]:
        """Features of the atoms after every convolution."""
        one_hot = nn.functional.one_hot(numbers, ELEMENTS).to(self.get_buffer("atom_mean").dtype)
        features: Features = {EVEN: one_hot[:, None]}
        harmonics, basis = self.harmonics(near), self.basis(near.distances, "atom")
        states = []
        for layer in self.convolutions("atom"):
            messages, angle = layer.mixed(layer.messages(features, near, harmonics, basis))
            features = layer.joined(messages, angle, features)
            states.append(features)
        return states

    def density(self, states: list[Features], near: Neighbours) -> torch.Tensor:
        """Density at the probes in e/Å³, (P, 1); with spin also n↑ − n↓, (P, 2)."""
        harmonics, basis = self.harmonics(near), self.basis(near.distances, "probe")
        features = self.start(near.receivers)
        for layer, atoms in zip(self.convolutions("probe"), states, strict=True):
            messages, angle = layer.mixed(layer.messages(atoms, near, harmonics, basis))
            features = layer.joined(messages, angle, features)
        return self.read(features)

    def start(self, receivers: int) -> Features:
        """Probes know nothing at first."""
        return {EVEN: self.readout.new_zeros(receivers, 1, 1)}

    def read(self, features: Features) -> torch.Tensor:
        """Density, and spin density if there is one."""
        sizes = [self.last[ir] for ir in self.targets]
        read = {
            ir: features[ir][:, 0] @ w[:, None] / math.sqrt(len(w))
            for ir, w in zip(self.targets, self.readout.split(sizes), strict=True)
        }
        even = read[EVEN]
        if not self.settings.spin:
            return even
        # As the official forward pass leaves it: the sum of both outputs, and the even one.
        odd = read.get((0, -1), torch.zeros_like(even))
        return torch.cat([even + odd, even], dim=1)
