"""How well the radial functions of a readout can describe labels at all: the floor of the model's error.

    python benchmarks/model_basis.py MODEL LABEL.npz ...

Coefficients of every atom fitted to all voxels by least squares, no network. Cells of a few atoms; a fit of four atoms
takes seconds.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from rhotem.labels.label import Label
from rhotem.learned.couplings import part
from rhotem.learned.model import load_model
from rhotem.learned.radial import Block
from rhotem.training.dataset import make_probes, read_label
from rhotem.training.network.radial import gaussians
from rhotem.training.network.tensor import solid_harmonics

VOXELS = 4000
#: Ridge relative to the mean square of a column.
RIDGE = 1e-8


def design(label: Label, blocks: tuple[Block, ...], points: np.ndarray) -> torch.Tensor:
    """Every function of every atom at points; (P, atoms · functions)."""
    probes = make_probes(points, label.structure, *(b.cutoff for b in blocks)).to("cpu", torch.float64)
    atoms, columns = len(label.structure), []
    for block, pairs in zip(blocks, (probes.near, probes.far), strict=True):
        near = gaussians(block, (pairs.vectors**2).sum(-1))
        harmonics = solid_harmonics(pairs.vectors, block.lmax)
        atom = torch.repeat_interleave(torch.arange(atoms), torch.tensor(pairs.per_atom))
        for l in range(block.lmax + 1):
            radial = near @ torch.from_numpy(block.orthonormal(l))
            values = (radial[:, :, None] * harmonics[:, None, part(l)]).flatten(1)
            column = torch.zeros(len(points), atoms, values.shape[1], dtype=torch.float64)
            columns.append(column.index_put((pairs.point, atom), values, accumulate=True).flatten(1))
    return torch.cat(columns, dim=1)


def floor(label: Label, blocks: tuple[Block, ...]) -> float:
    """Deformation error of the least-squares fit."""
    points, target = label.grid.points().reshape(-1, 3), torch.from_numpy(label.treated.ravel())
    order = np.array_split(np.random.default_rng(0).permutation(len(points)), -(-len(points) // VOXELS))
    size = sum(b.coefficients for b in blocks) * len(label.structure)
    square, right = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    for chosen in order:
        a = design(label, blocks, points[chosen])
        square += a.T @ a
        right += a.T @ target[chosen]
    ridge = RIDGE * square.diagonal().mean() * torch.eye(size, dtype=torch.float64)
    fitted = torch.linalg.solve(square + ridge, right)
    error = sum(float((design(label, blocks, points[c]) @ fitted - target[c]).abs().sum()) for c in order)
    return error / float(target.abs().sum())


def main(name: str, *paths: str) -> None:
    model, _ = load_model(name)
    for path in paths:
        label = read_label(Path(path))
        print(f"{label.name:18s} {label.family:14s} {label.formula:10s} {floor(label, model.readout.blocks):.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
