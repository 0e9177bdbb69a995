"""How much of a label is the basis, and how much of that is the free atoms' own.

    rhotem labels run PLAN   # crystals at 400 and at 800 eV, and each of their atoms in a box at 400 eV
    python benchmarks/basis_error.py CRYSTAL-400.npz CRYSTAL-800.npz ATOM.npz ATOM.npz ...

An atom in a box, in the configuration of its PAW set and spin-paired, has no deformation but for the basis. What it
shows at 400 eV is put, as a spherical function, at the atoms of the crystal and taken away from the label. Both labels
are compared at 800 eV: Σ|Δn − Δn_800| / Σ|Δn_800| of their Fourier series up to |g| (1/Å, without 2π).
"""

import sys

import numpy as np

from rhotem.core import PeriodicGrid
from rhotem.density.metrics import treat_near_nuclei
from rhotem.labels.label import Label
from rhotem.labels.read import read_label

#: Å: radius of the spherical functions, and the width of their bins.
REACH, BIN = 3.4, 0.04


def treated(record: Label) -> np.ndarray:
    """Δn of a label in e/Å³, treated near nuclei."""
    return treat_near_nuclei(record.deformation, record.structure, record.grid)[0].astype(float)


def distances(grid: PeriodicGrid, place: np.ndarray, shift: tuple[int, ...] = (0, 0, 0)) -> np.ndarray:
    """Distances in Å of all grid points from ``place``, moved by lattice vectors ``shift``."""
    points = np.stack(np.meshgrid(*[np.arange(n) / n for n in grid.shape], indexing="ij"), axis=-1)
    return np.linalg.norm((points + np.array(shift)) @ grid.cell - place, axis=-1)


def spherical(record: Label) -> tuple[np.ndarray, np.ndarray]:
    """Radii in Å and mean Δn in e/Å³ around the one atom of a label, in the middle of its box."""
    values, r = treated(record).ravel(), distances(record.grid, record.structure.positions[0]).ravel()
    inside = r < REACH
    bins = (r[inside] / BIN).astype(int)
    count = np.bincount(bins)
    full = count > 0
    return tuple((np.bincount(bins, what[inside])[full] / count[full]) for what in (r, values))  # type: ignore[return-value]


def correction(record: Label, atoms: dict[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Σ of the atoms' spherical functions on the grid of a crystal, in e/Å³."""
    total = np.zeros(record.grid.shape)
    images = 1 + int(np.ceil(REACH * np.linalg.norm(record.grid.reciprocal, axis=1).max()))
    for place, symbol in zip(record.structure.positions, record.structure.atoms.symbols, strict=True):
        for index in np.ndindex(*3 * [2 * images + 1]):
            r = distances(record.grid, place, tuple(i - images for i in index))
            total += np.where(r < REACH, np.interp(r, *atoms[symbol]), 0.0)
    return total


def smooth(values: np.ndarray, cell: np.ndarray, limit: float) -> np.ndarray:
    """Fourier series up to |g| ``limit`` in 1/Å without its mean, on a grid of 40³."""
    coefficients = np.fft.fftn(values) / values.size
    h = np.stack(np.meshgrid(*[np.fft.fftfreq(n) * n for n in values.shape], indexing="ij"), axis=-1)
    g = np.linalg.norm(h @ np.linalg.inv(cell).T, axis=-1)
    out = np.zeros((40, 40, 40), dtype=complex)
    chosen = (g < limit) & (g > 0) & (np.abs(h) < 20).all(axis=-1)
    out[tuple(h[chosen].astype(int).T)] = coefficients[chosen]
    return np.fft.ifftn(out).real * out.size


def main(coarse: str, fine: str, *atoms: str) -> None:
    """Print the comparison."""
    low, high = read_label(coarse), read_label(fine)
    known = {str(r.structure.atoms.symbols[0]): spherical(r) for r in map(read_label, atoms)}
    cell = low.structure.cell
    a, b, c = treated(low), treated(high), correction(low, known)
    for limit in (1.0, 2.0, 3.0):
        x, y, z = (smooth(v, cell, limit) for v in (a, b, c))
        error, rest = np.abs(x - y).sum() / np.abs(y).sum(), np.abs(x - z - y).sum() / np.abs(y).sum()
        print(f"|g| < {limit:.0f} /Å: {error:.3f}, without the atoms' own error {rest:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
