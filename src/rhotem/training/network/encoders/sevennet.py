"""The interaction layers of SevenNet with their pretrained weights, as given features of atoms.

SevenNet (Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024); code and weights: MIT licence) is a NequIP-type
potential trained on the trajectories of the Materials Project, 89 elements. Its weights are frozen here unless a
training run asks for them (`Pretrained.tune`).
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, pairwise

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from rhotem.core import InputError
from rhotem.core.packages import require
from rhotem.learned.couplings import coupling, part
from rhotem.learned.dense import SILU
from rhotem.learned.encoders.interaction import CHANNELS, CUTOFF, DECAY, convolution_paths
from rhotem.learned.encoders.sevennet import SPECIES, trained_settings
from rhotem.learned.settings import NequipSettings, SevenNetSettings
from rhotem.learned.weights import PUBLISHED, read_arrays
from rhotem.training.network.encoders.base import AtomFeatures
from rhotem.training.network.encoders.nequip import Nequip
from rhotem.training.network.graph import Graph
from rhotem.training.network.radial import end_function
from rhotem.training.network.tensor import ExactTables, directions

#: Added to the spread of features when they are standardised: those that hardly vary stay small.
SMALLEST = 1e-2
#: Edges handled at once, so that what they need stays in the cache of a core.
EDGES_AT_ONCE = 1_000
#: Bessel functions, width of the radial networks.
BESSEL, WIDTH = 8, 64


@lru_cache(maxsize=4)
def published(name: str) -> dict[str, torch.Tensor]:
    """Weights of a published body as `SevenNet` has them: SevenNet-0's come with the package, l3i5's with ``sevenn``.

    Raises
    ------
    MissingDependencyError
        If ``sevenn`` is needed and not installed.
    """
    if name in PUBLISHED:
        return {key: torch.from_numpy(array) for key, array in read_arrays(PUBLISHED[name]).items()}
    require("sevenn", extra="battery", what=f"body {name}")
    from sevenn.util import model_from_checkpoint, pretrained_name_to_path

    original, config = model_from_checkpoint(pretrained_name_to_path(name.replace("sevennet", "7net")))
    return convert(original.state_dict(), config["_type_map"], 4).state_dict()


class Pretrained(nn.Module):
    """Frozen layers of SevenNet, then trained layers up to l = 4 that start from what it knows.

    Given features are brought to mean 0 and variance 1 over the atoms trained on (`standardise`). ``Graph.extra`` may
    hold them; they are calculated where it does not.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, settings: SevenNetSettings, nequip: NequipSettings) -> None:
        super().__init__()
        channels = CHANNELS[settings.name]
        self.body = SevenNet(channels, settings.layers, settings.tensors == "all")
        self.top = Nequip(trained_settings(settings, nequip))
        self.settings = self.top.settings
        self.cutoff = CUTOFF
        self.receptive_field = self.body.receptive_field + self.top.receptive_field
        self.scalars, self.channels, self.lmax = self.top.scalars, self.top.channels, self.top.lmax
        self.register_buffer("mean", torch.zeros(sum(self.body.widths)))
        self.register_buffer("scale", torch.ones(sum(self.body.widths)))

    def given(self, graph: Graph) -> torch.Tensor:
        """Features of the frozen layers, standardised."""
        return (self.body(graph) - self.mean) / self.scale

    def forward(self, graph: Graph) -> AtomFeatures:
        """Features of every atom."""
        return self.top(graph if graph.extra is not None else replace(graph, extra=self.given(graph)))

    def load_published(self, name: str) -> None:
        """Take the weights of the frozen layers of `published`."""
        own = self.body.state_dict()
        self.body.load_state_dict({key: tensor for key, tensor in published(name).items() if key in own})

    def tune(self) -> None:
        """Let the weights of the pretrained layers be trained; the waves and the neighbour counts stay as they are."""
        for name, parameter in self.body.named_parameters():
            parameter.requires_grad_(not name.endswith(("frequencies", "denominator")))

    def standardise(self, graphs: Sequence[Graph]) -> list[torch.Tensor]:
        """Set mean and scale from the structures trained on; components of one tensor share theirs.

        Returns what `given` says of them, so that they need not be calculated again.
        """
        features = torch.cat([self.body(g) for g in graphs])
        start = self.body.widths[0]
        scalars = features[:, :start]
        self.mean[:start] = scalars.mean(0)
        self.scale[:start] = scalars.std(0) + SMALLEST
        for l, channels in enumerate(self.body.given, start=1):
            stop = start + (2 * l + 1) * channels
            tensor = features[:, start:stop].view(-1, 2 * l + 1, channels)
            size = tensor.square().mean((0, 1)).sqrt() + SMALLEST
            self.scale[start:stop] = size.repeat(2 * l + 1)
            start = stop
        return list(((features - self.mean) / self.scale).split([len(g.numbers) for g in graphs]))


class SevenNet(nn.Module):
    """Features of atoms after the first ``layers`` interaction layers, made exactly even under inversion.

    The original does not distinguish polar from axial tensors. So it is evaluated for the structure and for its image
    under inversion, and what has parity (−1)^l is kept.

    Parameters
    ----------
    channels : tuple of int
        Channels of l = 0, 1, …: (128, 64, 32) of SevenNet-0, (128, 64, 32, 32) of SevenNet-l3i5.
    layers : int
        1–4; a fifth makes energies only.
    all_tensors : bool
        Whether the tensors of all layers are given, or those of the last.
    """

    cutoff = CUTOFF
    species: torch.Tensor

    def __init__(self, channels: tuple[int, ...], layers: int, all_tensors: bool = False) -> None:
        super().__init__()
        self.channels, self.all_tensors = channels, all_tensors
        self.lmax = len(channels) - 1
        self.receptive_field = layers * CUTOFF
        self.register_buffer("species", torch.full((119,), -1, dtype=torch.long))
        self.frequencies = _frozen(BESSEL)
        self.embedding = _frozen(SPECIES, channels[0])
        self.layers = nn.ModuleList(_Layer(channels[:1] if n == 0 else channels, channels) for n in range(layers))

    def forward(self, graph: Graph) -> torch.Tensor:
        """Features (N, width): scalars of every layer, then tensors, l by l: component, layer (if of all), channel.

        Raises
        ------
        InputError
            If an element is unknown.
        """
        species = self.species_of(graph.numbers)
        order = torch.argsort(graph.centre, stable=True)
        edges = {name: getattr(graph, name)[order] for name in ("centre", "neighbour", "vectors")}
        graph = replace(graph, **edges)
        radial = radial_functions(graph.vectors.norm(dim=-1), self.frequencies, self.lmax)
        harmonics = directions(graph.vectors, self.lmax)
        start = self.embedding[species] / math.sqrt(SPECIES)
        # the structure and its image under inversion side by side: they share distances, and Y changes by (−1)^l
        x = [start[:, None, None].expand(-1, 1, 2, -1)]
        scalars, polar = [], []
        for layer in self.layers:
            x = layer(x, graph, radial, harmonics)
            scalars.append(x[0].mean(2)[:, 0])
            polar.append([0.5 * (t[:, :, 0] + (-1.0) ** l * t[:, :, 1]) for l, t in enumerate(x)][1:])
        chosen = zip(*(polar if self.all_tensors else polar[-1:]), strict=True)
        return torch.cat(scalars + [torch.cat(t, dim=2).flatten(1) for t in chosen], dim=1)

    def species_of(self, numbers: torch.Tensor) -> torch.Tensor:
        """Its own numbers of elements.

        Raises
        ------
        InputError
            If an element is unknown.
        """
        species = self.species[numbers]
        if len(species) and int(species.min()) < 0:
            z = int(numbers[species.argmin()])
            raise InputError(f"encoder sevennet: element {z} is unknown to it; use a model with another encoder")
        return species

    @property
    def widths(self) -> tuple[int, ...]:
        """Columns of `forward`: all scalars, then l = 1, 2, …"""
        tensors = ((2 * l + 1) * k for l, k in enumerate(self.given, start=1))
        return (self.channels[0] * len(self.layers), *tensors)

    @property
    def given(self) -> tuple[int, ...]:
        """Channels of the tensors that `forward` gives, l = 1, 2, …"""
        return tuple(k * (len(self.layers) if self.all_tensors else 1) for k in self.channels[1:])


class _Layer(ExactTables):
    """One interaction: linear, convolution over the edges, linear, self-connection, gate.

    Features are lists over l of (N, 2l+1, 2, K): the structure, and its image under inversion.
    """

    def __init__(self, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        super().__init__()
        lmax = len(after) - 1
        gated = (after[0] + sum(after[1:]), *after[1:])
        self.after = after
        self.paths = paths = convolution_paths(before, lmax)
        self.widths = [before[l1] for l1, _, _ in paths]
        for l1, l2, l3 in paths:
            self.register_table(f"c{l1}{l2}{l3}", torch.tensor(coupling(l1, l2, l3)))
        summed = [sum(before[p[0]] for p in paths if p[2] == l) for l in range(lmax + 1)]
        self.connect = _linear(before, gated[: len(before)])
        self.first = _linear(before, before)
        self.second = _linear(tuple(summed), gated)
        self.radial = nn.ParameterList(_frozen(a, b) for a, b in pairwise((BESSEL, WIDTH, WIDTH, sum(self.widths))))
        self.denominator = _frozen(1)

    def forward(
        self, x: list[torch.Tensor], graph: Graph, radial: torch.Tensor, harmonics: torch.Tensor
    ) -> list[torch.Tensor]:
        """Features after the interaction; edges sorted by centre. Atoms in pieces: memory does not grow with edges.

        Where they are trained, a piece is calculated again on the way back instead of being kept.
        """
        kept = [a @ w / math.sqrt(len(w)) for a, w in zip(x, self.connect, strict=True)]
        sent = [a @ w / math.sqrt(len(w)) for a, w in zip(x, self.first, strict=True)]
        bounds = torch.searchsorted(graph.centre, torch.arange(len(x[0]) + 1, device=graph.centre.device))
        pieces = []
        step = max(1, EDGES_AT_ONCE * len(x[0]) // max(1, len(radial)))
        for start in range(0, len(x[0]), step):
            atoms = slice(start, min(start + step, len(x[0])))
            e = slice(int(bounds[atoms.start]), int(bounds[atoms.stop]))
            edges = (graph.centre[e] - start, graph.neighbour[e], radial[e], harmonics[e])
            own = [k[atoms] for k in kept]
            if torch.is_grad_enabled() and sent[0].requires_grad:
                pieces.append(checkpoint(self._atoms, edges, sent, own, use_reentrant=False))
            else:
                pieces.append(self._atoms(edges, sent, own))
        return [torch.cat(p) for p in zip(*pieces, strict=True)]

    def _atoms(
        self, edges: tuple[torch.Tensor, ...], sent: list[torch.Tensor], kept: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        """Features of a piece of the atoms; their edges: centre, neighbour, radial functions, harmonics."""
        centre, neighbour, radial, harmonics = edges
        weights = radial_network(list(self.radial), radial)
        gathered = [s[neighbour].flatten(2) for s in sent]
        sums: list[list[torch.Tensor]] = [[] for _ in self.after]
        for (l1, l2, l3), weight in zip(self.paths, weights.split(self.widths, dim=1), strict=True):
            table = getattr(self, f"c{l1}{l2}{l3}")
            matrix = torch.einsum("eb,abc->eca", harmonics[:, part(l2)], table)
            both = torch.cat([weight, (-1.0) ** l2 * weight], dim=1)
            message = torch.bmm(matrix, gathered[l1]) * both[:, None]
            total = message.new_zeros(len(kept[0]), *message.shape[1:]).index_add(0, centre, message)
            sums[l3].append(total.unflatten(2, (2, -1)))
        y = [torch.cat(s, dim=-1) / self.denominator for s in sums]
        y = [a @ w / math.sqrt(len(w)) for a, w in zip(y, self.second, strict=True)]
        y = [a + kept[l] if l < len(kept) else a for l, a in enumerate(y)]
        scalars = SILU * nn.functional.silu(y[0])
        gates = [scalars[..., a:b] for a, b in pairwise(accumulate(self.after))]
        return [scalars[..., : self.after[0]], *(a * g for a, g in zip(y[1:], gates, strict=True))]


def _frozen(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(*shape), requires_grad=False)


def _linear(before: tuple[int, ...], after: tuple[int, ...]) -> nn.ParameterList:
    """One matrix per l of both."""
    return nn.ParameterList(_frozen(a, b) for a, b in zip(before, after, strict=False))


def radial_functions(r: torch.Tensor, frequencies: torch.Tensor, lmax: int) -> torch.Tensor:
    """What the radial networks start from, zero beyond the cutoff; (E, BESSEL) at distances r (E,) in Å."""
    waves = 2.0 / CUTOFF * torch.sin(frequencies * r[:, None]) / r[:, None]
    # the two published sets end their edges differently
    end = _decay(r) if lmax == 2 else end_function(r / CUTOFF)
    return waves * end[:, None]


def radial_network(matrices: list[torch.Tensor], radial: torch.Tensor) -> torch.Tensor:
    """Weights of every path and channel from `radial_functions`, (E, …)."""
    for n, w in enumerate(matrices):
        radial = radial @ w / math.sqrt(len(w))
        if n < len(matrices) - 1:
            radial = SILU * nn.functional.silu(radial)
    return radial


def _decay(r: torch.Tensor) -> torch.Tensor:
    """XPLOR: 1 up to DECAY, then smoothly to 0 at CUTOFF."""
    a, b, c = r.clamp(max=CUTOFF) ** 2, DECAY**2, CUTOFF**2
    return torch.where(r < DECAY, torch.ones_like(r), (c - a) ** 2 * (c + 2 * a - 3 * b) / (c - b) ** 3)


def convert(state: dict[str, torch.Tensor], species: dict[int, int], layers: int) -> SevenNet:
    """SevenNet as this module, from the state of the model that ``sevenn`` builds, and its ``_type_map``.

    Raises
    ------
    InputError
        If the sizes are not those of SevenNet-0 or SevenNet-l3i5, or the state is the checkpoint file's own.
    """
    check_couplings(state)
    channels = (128, 64, 32) if state["1_self_interaction_1.linear.weight"].numel() == 21504 else (128, 64, 32, 32)
    model = SevenNet(channels, layers)
    with torch.no_grad():
        for z, index in species.items():
            model.species[z] = index
        model.frequencies.copy_(state["edge_embedding.basis_function.coeffs"])
        model.embedding.copy_(state["onehot_to_feature_x.linear.weight"].view(SPECIES, channels[0]))
        for n, layer in enumerate(m for m in model.layers if isinstance(m, _Layer)):
            names = {"self_connection_intro": layer.connect, "self_interaction_1": layer.first}
            for name, target in {**names, "self_interaction_2": layer.second}.items():
                flat = state[f"{n}_{name}.linear.weight"]
                if flat.numel() != sum(w.numel() for w in target):
                    raise InputError(f"SevenNet checkpoint: size of {n}_{name} unexpected; give SevenNet-0 or l3i5")
                for w, piece in zip(target, flat.split([w.numel() for w in target]), strict=True):
                    w.copy_(piece.view_as(w))
            for k, w in enumerate(layer.radial):
                w.copy_(state[f"{n}_convolution.weight_nn.layer{k}.weight"])
            layer.denominator.copy_(state[f"{n}_convolution.denominator"])
    return model


def check_couplings(state: dict[str, torch.Tensor]) -> None:
    """Refuse a state whose couplings have other signs than ours: its weights belong to those.

    Published checkpoint files are of an older e3nn, in which three couplings have the opposite sign; ``sevenn`` turns
    weights and couplings when it builds the model. Scalars made with the file's own weights are wrong by up to 2.9.

    Raises
    ------
    InputError
        If a sign differs, or there are no couplings to look at.
    """
    known = {name: match for name in state if (match := re.search(r"_w3j_(\d)_(\d)_(\d)$", name))}
    for name, match in known.items():
        ours = torch.tensor(coupling(*map(int, match.groups())))
        if float((ours * state[name]).sum()) < 0.0:
            raise InputError(
                f"SevenNet checkpoint: {name.rpartition('.')[2]} has the sign of an older e3nn, weights would be "
                "wrong; give model_from_checkpoint(...)[0].state_dict() of the package sevenn"
            )
    if not known:
        raise InputError("SevenNet checkpoint: no couplings (_w3j_...) in it, so that their signs cannot be checked")
