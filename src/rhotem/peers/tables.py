"""ChargE3Net at many probes: what an atom sends is a fixed function around it, tabulated once.

A probe's messages are linear in what the atoms send, and only atoms send. So the product with the harmonics, the radial
network and the linear map after the sum fold into one function of the vector from the atom,

    Σ_lm T_lm(r) Y_lm(r̂)        T_lm(r): one row of numbers per atom, radius and lm,

which is tabulated in r and interpolated by a cubic (four points). Probes in the same interval of r need the same four
rows: sorted by r, an atom's contribution is one matrix product per interval. The numbers are those of
`ChargE3Net.density`.
"""

import torch

from rhotem.learned.couplings import part, size
from rhotem.peers.charge3net import ChargE3Net, Convolution, Features, path_table
from rhotem.peers.cubic import cubic, radii
from rhotem.peers.irreps import EVEN
from rhotem.peers.neighbours import Neighbours

#: Step of the table in Å: interpolation is right to 1e-6 of the largest density.
STEP = 0.01
#: Bases whose functions are smooth enough for that.
SMOOTH = ("gaussian", "bessel")
#: Receivers whose own features are handled at once, and atoms tabulated at once (46 MB each at published sizes).
PART, BLOCK = 2000, 4


def density(model: ChargE3Net, states: list[Features], near: Neighbours) -> torch.Tensor:
    """As `ChargE3Net.density`, without gradients; (P, 1 or 2)."""
    harmonics = model.harmonics(near)
    features = model.start(near.receivers)
    senders = [(atom, *_by_interval(near.distances[edges], edges)) for atom, edges in near.slices]
    for layer, atoms in zip(model.convolutions("probe"), states, strict=True):
        sent = layer.sent(atoms)
        total = near.vectors.new_zeros(near.receivers, _columns(layer))
        tables = _new_tables(model, layer, min(BLOCK, len(senders)))
        for first in range(0, len(senders), BLOCK):
            block = senders[first : first + BLOCK]
            _fill(tables[: len(block)], model, layer, {ir: x[[atom for atom, *_ in block]] for ir, x in sent.items()})
            for table, (_, edges, counts) in zip(tables, block, strict=False):
                _add(total, table, near, harmonics, edges, counts)
        features = _joined(layer, total, features)
    return model.read(features)


def _new_tables(model: ChargE3Net, layer: Convolution, atoms: int) -> torch.Tensor:
    """Room for tables, (atoms, radii, (lmax+1)², columns); where no path leads there stay zeros.

    Columns are the irreps of the layer's output, m before channels, the mixing angle last of the even scalars.
    """
    count = len(radii(model.settings.cutoff, STEP, layer.before))
    return layer.before.new_zeros(atoms, count, size(model.settings.lmax), _columns(layer))


def _fill(tables: torch.Tensor, model: ChargE3Net, layer: Convolution, sent: Features) -> None:
    """Tabulate what atoms send, ``sent`` (A, 2l + 1, channels), at radii −STEP, 0, STEP, …"""
    atoms, count, _, _ = tables.shape
    weights = layer.radial(model.basis(radii(model.settings.cutoff, STEP, tables), "probe")).T
    start = 0
    for ir, matrix in layer.maps().items():
        m, channels = 2 * ir[0] + 1, matrix.shape[1]
        columns = slice(start, start + m * channels)
        start = columns.stop
        for l in range(model.settings.lmax + 1):
            paths = [p for p in layer.layout.paths if p.out == ir and p.l == l]
            if not paths:
                continue
            turned = [torch.einsum("abc,nau->nbcu", path_table(p, tables), sent[p.first]) for p in paths]
            radial = torch.cat([weights[p.weight : p.weight + p.channels] for p in paths])
            mixing = torch.cat([matrix[p.row : p.row + p.channels] for p in paths])
            folded = (radial[:, :, None] * mixing[:, None]).flatten(1)
            made = torch.cat(turned, dim=3).flatten(0, 2) @ folded
            place = tables[:, :, part(l), columns].unflatten(3, (m, channels))
            place.copy_(made.reshape(atoms, 2 * l + 1, m, count, channels).permute(0, 3, 1, 2, 4))


def _columns(layer: Convolution) -> int:
    return sum((2 * ir[0] + 1) * matrix.shape[1] for ir, matrix in layer.maps().items())


def _by_interval(r: torch.Tensor, edges: slice) -> tuple[torch.Tensor, list[tuple[int, int]]]:
    """Edges of an atom sorted by interval of r, and (interval, how many)."""
    sorted_, order = torch.sort(cubic(r, STEP)[0])
    interval, counts = torch.unique_consecutive(sorted_, return_counts=True)
    return order + edges.start, list(zip(interval.tolist(), counts.tolist(), strict=True))


def _add(
    total: torch.Tensor,
    table: torch.Tensor,
    near: Neighbours,
    harmonics: torch.Tensor,
    edges: torch.Tensor,
    counts: list[tuple[int, int]],
) -> None:
    """Add what one atom sends to its receivers."""
    _, weights = cubic(near.distances[edges], STEP)
    left = (weights[:, :, None] * harmonics[edges][:, None]).flatten(1)
    receivers = near.receiver[edges]
    start = 0
    for interval, count in counts:
        here = slice(start, start + count)
        total.index_add_(0, receivers[here], left[here] @ table[interval : interval + 4].flatten(0, 1))
        start += count


def _joined(layer: Convolution, total: torch.Tensor, features: Features) -> Features:
    """Messages split into irreps and joined with the receivers' own features, part by part."""
    parts = []
    for begin in range(0, len(total), PART):
        rows = slice(begin, begin + PART)
        messages: Features = {}
        angle = total[rows, :0, None]
        start = 0
        for ir, matrix in layer.maps().items():
            m, channels = 2 * ir[0] + 1, matrix.shape[1]
            piece = total[rows, start : start + m * channels].reshape(-1, m, channels)
            start += m * channels
            if ir == EVEN:
                piece, angle = piece[:, :, :-1], piece[:, :, -1:]
            messages[ir] = piece
        parts.append(layer.joined(messages, angle, {ir: x[rows] for ir, x in features.items()}))
    return {ir: torch.cat([p[ir] for p in parts]) for ir in parts[0]}
