"""Which spherical tensors ChargE3Net carries, and where the weights of its products stand in flat official vectors.

An irrep is (l, p), p = ±1 the parity; sorted by l, odd before even. Flat vectors hold one matrix after another, in the
order in which e3nn lists its instructions.
"""

from dataclasses import dataclass
from functools import cached_property

Irrep = tuple[int, int]
#: Multiplicity by irrep, sorted.
Irreps = dict[Irrep, int]

EVEN: Irrep = (0, 1)


def hidden_irreps(mul: int, lmax: int) -> Irreps:
    """Irreps of both parities up to ``lmax`` sharing ``mul`` channels: round(mul / (lmax + 1) / (2l + 1)) each."""
    return {(l, p): round(mul / (lmax + 1) / (2 * l + 1)) for l in range(lmax + 1) for p in (-1, 1)}


def products(first: Irrep, l: int) -> list[Irrep]:
    """Irreps in the product of ``first`` and the harmonics of order ``l``."""
    return [(out, first[1] * (-1) ** l) for out in range(abs(first[0] - l), first[0] + l + 1)]


def reachable(irreps: Irreps, lmax: int, wanted: Irreps) -> Irreps:
    """Those of ``wanted`` that occur in products of ``irreps`` with harmonics up to ``lmax``."""
    found = {out for first in irreps for l in range(lmax + 1) for out in products(first, l)}
    return {ir: n for ir, n in wanted.items() if ir in found}


@dataclass(frozen=True)
class Path:
    """Irrep ``first`` of the sender times harmonics of order ``l`` into irrep ``out``, channel by channel.

    Parameters
    ----------
    channels : int
    weight : int
        Where the path's weights start among the radial weights of an edge.
    row : int
        Where its channels start among all channels that make ``out``.
    """

    first: Irrep
    l: int
    out: Irrep
    channels: int
    weight: int
    row: int


@dataclass(frozen=True)
class Layout:
    """A convolution: senders' and receivers' irreps in, gated features with their gates out."""

    senders: tuple[tuple[Irrep, int], ...]
    receivers: tuple[tuple[Irrep, int], ...]
    features: tuple[tuple[Irrep, int], ...]
    lmax: int

    @classmethod
    def make(cls, senders: Irreps, receivers: Irreps, hidden: Irreps, lmax: int) -> "Layout":
        """Layout whose features are those of ``hidden`` that the receivers' products with harmonics reach."""
        features = reachable(receivers, lmax, hidden)
        return cls(tuple(senders.items()), tuple(receivers.items()), tuple(features.items()), lmax)

    @cached_property
    def gates(self) -> int:
        """Number of gates, one per tensor with l > 0; they follow the even scalars in the output."""
        return sum(n for (l, _), n in self.features if l > 0)

    @cached_property
    def out(self) -> Irreps:
        """Irreps before the gate."""
        out = dict(self.features)
        out[EVEN] = out.get(EVEN, 0) + self.gates
        return dict(sorted(out.items()))

    @cached_property
    def paths(self) -> list[Path]:
        """Products in e3nn's order; only what the output or the even scalars need."""
        found: list[Path] = []
        weight = 0
        rows: dict[Irrep, int] = {}
        for first, channels in self.senders:
            for l in range(self.lmax + 1):
                for out in products(first, l):
                    if out in self.out or out == EVEN:
                        found.append(Path(first, l, out, channels, weight, rows.get(out, 0)))
                        weight += channels
                        rows[out] = rows.get(out, 0) + channels
        return found

    @cached_property
    def middle(self) -> Irreps:
        """Channels of each irrep after the products."""
        rows: Irreps = {}
        for path in self.paths:
            rows[path.out] = rows.get(path.out, 0) + path.channels
        return dict(sorted(rows.items()))

    @property
    def weights(self) -> int:
        """Radial weights of an edge."""
        return sum(path.channels for path in self.paths)


def matrices(first: Irreps, second: Irreps) -> list[tuple[Irrep, int, int]]:
    """Shapes of the matrices of an equivariant linear map, in the order of its flat vector."""
    return [(ir, n, second[ir]) for ir, n in first.items() if ir in second]


def numel(first: Irreps, second: Irreps) -> int:
    """Weights of an equivariant linear map."""
    return sum(a * b for _, a, b in matrices(first, second))
