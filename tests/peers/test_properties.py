"""Symmetries and limits of the peers; small, with random weights, in float64."""

import ase
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from rhotem.core import InputError, PeriodicGrid
from rhotem.peers import tables
from rhotem.peers.charge3net import ChargE3NetSettings, radial_basis
from rhotem.peers.checkpoint import load_peer, save_peer
from rhotem.peers.deepdft import DeepDFTSettings
from rhotem.peers.evaluate import at_points, on_grid
from rhotem.peers.neighbours import between_atoms, to_probes
from rhotem.peers.networks import make_peer
from rhotem.structure.model import Structure

CELL = np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]])
SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [0.52, 0.07, 0.46]])
NUMBERS = [27, 8, 3, 8]
SETTINGS = {
    "schnet": DeepDFTSettings(architecture="deepdft-schnet", size=16),
    "painn": DeepDFTSettings(architecture="deepdft-painn", size=16),
    "charge3net": ChargE3NetSettings(mul=24, lmax=2, functions=8),
    "charge3net-scalars": ChargE3NetSettings(mul=12, lmax=0, functions=8),
    "charge3net-spin": ChargE3NetSettings(mul=24, lmax=3, functions=8, spin=True, basis="bessel"),
}


def crystal() -> Structure:
    """Four atoms without any symmetry."""
    return Structure(ase.Atoms(NUMBERS, SITES @ CELL, cell=CELL, pbc=True))


@pytest.fixture(params=SETTINGS)
def model(request):
    return make_peer(SETTINGS[request.param], seed=2).double().eval()


@pytest.fixture
def points():
    return np.random.default_rng(0).random((40, 3)) @ CELL


def agree(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_allclose(a, b, atol=1e-9 * np.abs(b).max())


def test_the_density_is_not_trivial(model, points):
    values = at_points(model, crystal(), points)
    assert (np.ptp(values, axis=0) > 1e-3 * np.abs(values).max(axis=0)).all()


def test_rotation(model, points):
    turn = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix().T
    turned = Structure(ase.Atoms(NUMBERS, crystal().positions @ turn, cell=CELL @ turn, pbc=True))
    agree(at_points(model, turned, points @ turn), at_points(model, crystal(), points))


def test_inversion(model, points):
    mirrored = Structure(ase.Atoms(NUMBERS, -crystal().positions, cell=CELL, pbc=True))
    got, expected = at_points(model, mirrored, -points), at_points(model, crystal(), points)
    if expected.shape[1] == 1:
        agree(got, expected)
    else:
        # Published with an odd second output: only the spin density (the even one) is invariant; the other turns over.
        agree(got[:, 1], expected[:, 1])
        agree(got[:, 0] - got[:, 1], -(expected[:, 0] - expected[:, 1]))


def test_translation_permutation_supercell(model, points):
    reference = at_points(model, crystal(), points)
    shift = np.array([1.234, -0.77, 7.1])
    moved = Structure(ase.Atoms(NUMBERS, crystal().positions + shift, cell=CELL, pbc=True))
    agree(at_points(model, moved, points + shift), reference)
    agree(at_points(model, Structure(crystal().atoms[[2, 0, 3, 1]]), points), reference)
    agree(at_points(model, Structure(crystal().atoms.repeat((2, 1, 2))), points + CELL[0]), reference)


def test_float32_agrees_with_float64(model, points):
    double = at_points(model, crystal(), points)
    single = at_points(model.float(), crystal(), points)
    assert np.abs(single - double).max() < 2e-5 * np.abs(double).max()


@pytest.mark.parametrize("basis", tables.SMOOTH)
@pytest.mark.parametrize("spin", [False, True])
def test_tables_are_the_network(basis, spin, points):
    """Interpolation to 1e-6, with probes on nuclei and just within the cutoff, in cells with several images."""
    settings = ChargE3NetSettings(mul=24, lmax=3, functions=8, spin=spin, basis=basis)
    model = make_peer(settings, seed=2).double().eval()
    geometry = crystal().positions, CELL
    edge = crystal().positions[0] + [0.0, 0.0, 3.99999]
    places = np.concatenate([points, crystal().positions, edge[None]])
    with torch.no_grad():
        states = model.encode(torch.tensor(NUMBERS), between_atoms(*geometry, 4.0, model.readout))
        near = to_probes(places, *geometry, 4.0, model.readout)
        direct, tabulated = model.density(states, near), tables.density(model, states, near)
    assert (tabulated - direct).abs().max() < 1e-6 * direct.abs().max()


def test_gradients_are_finite_on_nuclei(model):
    structure = crystal()
    geometry = structure.positions, np.asarray(structure.cell)
    parameter = next(model.parameters())
    states = model.encode(torch.tensor(NUMBERS), between_atoms(*geometry, 4.0, parameter))
    points = np.concatenate([structure.positions, structure.positions + 0.2])
    model.density(states, to_probes(points, *geometry, 4.0, parameter)).square().sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    assert all(g is not None and torch.isfinite(g).all() for g in gradients.values())


def test_saved_and_loaded_it_is_the_same_bit_for_bit(model, points, tmp_path):
    model = model.float()
    save_peer(tmp_path / "m.safetensors", model)
    again, header = load_peer(tmp_path / "m.safetensors")
    assert header["settings"]["architecture"] == model.settings.architecture
    np.testing.assert_array_equal(at_points(again, crystal(), points), at_points(model, crystal(), points))


def test_painn_is_continuous_at_the_cutoff_and_zero_beyond_is_the_same_everywhere():
    model = make_peer(SETTINGS["painn"], seed=2).double().eval()
    alone = Structure(ase.Atoms([8], [[0, 0, 0]], cell=np.eye(3) * 20.0, pbc=True))
    x = np.array([3.999, 3.9999, 4.0001, 6.0])[:, None] * np.array([[1.0, 0.0, 0.0]])
    values = at_points(model, alone, x)[:, 0]
    assert abs(values[1] - values[2]) < 1e-2 * abs(values[0] - values[2]) + 1e-12
    assert values[2] == pytest.approx(values[3], abs=1e-12)


@pytest.mark.parametrize("basis", ["gaussian", "cosine", "smooth_finite", "bessel"])
def test_radial_basis_is_that_of_e3nn(basis):
    from e3nn.math import soft_one_hot_linspace

    r = torch.linspace(0.05, 3.97, 57, dtype=torch.float64)
    expected = soft_one_hot_linspace(r, 0.0, 4.0, 9, basis, False)
    torch.testing.assert_close(radial_basis(r, basis, 9, 4.0), expected, atol=1e-12, rtol=1e-6)


def test_an_atom_without_neighbours_and_absurd_structures():
    model = make_peer(SETTINGS["painn"])
    lonely = Structure(ase.Atoms([8], [[1.0, 1.0, 1.0]], cell=np.eye(3) * 14.0, pbc=True))
    values = on_grid(model, lonely, PeriodicGrid.from_spacing(lonely.cell, 2.0))
    assert values.shape[0] == 1 and np.isfinite(values).all()
    close = Structure(ase.Atoms([8, 8], [[0, 0, 0], [0.3, 0, 0]], cell=np.eye(3) * 4.0, pbc=True))
    with pytest.raises(InputError, match=r"0\.30 Å apart"):
        at_points(model, close, np.zeros((1, 3)))
    with pytest.raises(InputError, match="no atoms"):
        at_points(model, Structure(ase.Atoms(cell=np.eye(3) * 4.0, pbc=True)), np.zeros((1, 3)))
