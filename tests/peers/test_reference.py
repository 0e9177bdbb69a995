"""Densities of the official codes, from checkpoints in their layouts."""

import ase
import numpy as np
import pytest
import torch

from rhotem.peers import tables
from rhotem.peers.evaluate import at_points
from rhotem.peers.neighbours import between_atoms, to_probes
from rhotem.structure.model import Structure

NAMES = ("deepdft-schnet", "deepdft-painn", "charge3net")


@pytest.mark.parametrize("name", NAMES)
def test_official_densities(name, imported, official):
    reference = np.load(official.DATA / f"{name}.npz")
    structure = Structure(ase.Atoms(reference["numbers"], reference["positions"], cell=reference["cell"], pbc=True))
    got = at_points(imported(name), structure, reference["probe_xyz"])
    expected = reference["density"]
    assert got.shape == (64, 1)
    # 1e-5 of the largest value, in float32; the values differ by far more than that
    assert np.abs(got[:, 0] - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.ptp(expected) > 0.1 * np.abs(expected).max()


def test_tables_of_charge3net_give_the_official_densities(imported, official):
    model = imported("charge3net")
    reference = np.load(official.DATA / "charge3net.npz")
    like = model.readout
    geometry = reference["positions"], reference["cell"]
    with torch.no_grad():
        states = model.encode(torch.from_numpy(reference["numbers"]), between_atoms(*geometry, 4.0, like))
        got = tables.density(model, states, to_probes(reference["probe_xyz"], *geometry, 4.0, like))
    expected = reference["density"]
    assert np.abs(got[:, 0].numpy() - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", NAMES)
def test_batches_and_images_do_not_matter(name, imported, official):
    reference = np.load(official.DATA / f"{name}.npz")
    structure = Structure(ase.Atoms(reference["numbers"], reference["positions"], cell=reference["cell"], pbc=True))
    points = reference["probe_xyz"][:12]
    whole = at_points(imported(name), structure, points)
    shift = np.random.default_rng(0).integers(-2, 3, (12, 3)) @ structure.cell
    parts = at_points(imported(name), structure, points + shift, batch=5)
    np.testing.assert_allclose(parts, whole, atol=1e-5 * np.abs(whole).max())
