"""Charges of faces: the potential of smeared charges, and polar cuts that are healed."""

import ase.build
import numpy as np
import pytest
from scipy.special import erf

from rhotem.battery.faces import SMEARING, Block, balance, neutralise
from rhotem.battery.overlaps import saturation
from rhotem.core.units import EPS0
from rhotem.structure.model import Structure

A = 4.03
LIF = Structure(ase.build.bulk("LiF", "rocksalt", a=A, cubic=True))


def block(atoms: ase.Atoms, depth: np.ndarray) -> Block:
    """Periodic along x and y, vacuum along z."""
    cell = np.diag(atoms.cell.array)
    return Block(LIF, atoms.numbers, atoms.positions, depth, cell * [1, 1, 0], cell)


def slab(layers: int = 8, vacuum: float = 20.0) -> ase.Atoms:
    """Alternating planes of Li and F across z, the polar (111) direction of rock salt."""
    numbers, positions = [], []
    a, d = A / np.sqrt(2), A / np.sqrt(3)
    for layer in range(layers):
        for z, height in ((3, layer * d), (9, (layer + 0.5) * d)):
            place = layer + (0.0 if z == 3 else 1.5)
            for x, y in ((0.0, 0.0), (0.5, 0.5)):
                numbers.append(z)
                positions.append([x * a, (y + place / 3) * a * np.sqrt(3), height + vacuum / 2])
    cell = [a, a * np.sqrt(3), layers * d + vacuum]
    made = ase.Atoms(numbers, positions, cell=cell, pbc=True)
    made.positions[:, :2] = (made.positions[:, :2] + 1e-9) % cell[:2]
    return made.repeat((5, 3, 1))


def step(given: Block, length: float) -> float:
    """Potential difference between the middles of vacuum at both ends, V, by planes."""
    import finufft

    charges = np.where(given.alive, given.charges, 0.0).astype(complex)
    sums = finufft.nufft3d1(*given.phases, charges, given.green.shape, eps=1e-8, isign=-1) * given.green
    x, y, z = (n // 2 for n in sums.shape)
    h = np.arange(-z, z + 1)
    low, high = (float((sums[x, y] * np.exp(2j * np.pi * h * f)).sum().real) for f in (3.0 / length, -3.0 / length))
    return high - low


def test_two_ions_far_apart():
    """Smeared by Gaussians, opposite charges at a distance r attract as 1/r times the error function."""
    cell = np.full(3, 60.0)
    atoms = ase.Atoms("LiF", [[20.0, 30.0, 30.0], [30.0, 30.0, 30.0]], cell=cell)
    given = Block(LIF, atoms.numbers, atoms.positions, np.zeros(2), np.zeros(3), cell)
    coulomb = -erf(10.0 / np.sqrt(2.0) / SMEARING) / (4.0 * np.pi * EPS0 * 10.0)
    assert given.energy() == pytest.approx(coulomb, rel=0.02)  # 1 %: dipoles of the images
    np.testing.assert_allclose(given.charges, [1.0, -1.0])


def test_binding_counts_unlike_neighbours():
    atoms = LIF.atoms.repeat((2, 2, 2))
    cell = np.diag(atoms.cell.array)
    bulk = saturation(LIF, atoms.numbers, atoms.positions, np.zeros(64), cell, 5.0)
    np.testing.assert_allclose(bulk, 1.0)
    free = saturation(LIF, atoms.numbers, atoms.positions, np.zeros(64), np.zeros(3), 5.0)
    corner = np.flatnonzero((atoms.positions < 0.1).all(axis=1))[0]
    assert free[corner] == pytest.approx(3 / 6)


def test_the_field_of_a_polar_slab_is_healed():
    """Planes of Li+ and F-: half of the outer planes goes, as Tasker's rule for polar surfaces demands."""
    atoms = slab()
    z = atoms.positions[:, 2]
    depth = np.minimum(z - z.min(), z.max() - z)
    given = block(atoms, depth)
    length = atoms.cell[2, 2]
    before, energy = step(given, length), given.energy()
    neutralise(given)
    gone = ~given.alive
    assert abs(before) > 20.0 and abs(step(given, length)) < 0.15 * abs(before)
    assert given.energy() < energy
    assert (atoms.numbers[gone] == 3).sum() == (atoms.numbers[gone] == 9).sum() > 0
    assert depth[gone].max() < 3.0  # from the surfaces
    plane = (np.abs(z - z.min()) < 0.1).sum()
    assert (gone & (z < z.mean())).sum() == pytest.approx(plane / 2, abs=0.2 * plane)


def test_neutral_faces_are_left_alone():
    """(100) planes of rock salt hold as much Li as F."""
    atoms = LIF.atoms.repeat((3, 3, 3))
    atoms.cell[2, 2] += 15.0
    z = atoms.positions[:, 2]
    given = block(atoms, np.minimum(z - z.min(), z.max() - z))
    balance(given)
    neutralise(given)
    assert given.alive.all()
