"""What novelty looks at: the compiled encoder gives what the plain one gives, in any memory; the nearest atoms."""

import ase
import numpy as np
import pytest
import torch

from rhotem.learned.encoder import FastEncoder
from rhotem.learned.encoders.sevennet import PretrainedEncoder
from rhotem.learned.error_bars import nearest_atoms
from rhotem.learned.novelty import atom_features, visit_features
from rhotem.learned.settings import ModelSettings, NequipSettings, SevenNetSettings
from rhotem.learned.weights import Weights
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import as_learned
from rhotem.training.network.encoders.sevennet import Pretrained
from rhotem.training.network.graph import Graph, build_graph
from rhotem.training.network.model import DensityModel, make_model

SMALL = NequipSettings(channels=6, scalars=12, embedding=4, radial_width=8, lmax_sent=1, layers=2)
CELL = np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]])
SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [0.52, 0.07, 0.46]])


def pretrained(name="sevennet-0", layers=2, dtype=torch.float64) -> Pretrained:
    encoder = Pretrained(SevenNetSettings(name=name, layers=layers), SMALL)
    encoder.load_published(name)
    return encoder.to(dtype)


def crystal(repeat=(1, 1, 1), moved=0.0, charge=0.0) -> Structure:
    made = ase.Atoms([27, 8, 3, 8], SITES @ CELL, cell=CELL, pbc=True).repeat(repeat)
    made.positions += np.random.default_rng(0).normal(0.0, moved, made.positions.shape)
    return Structure(made, charge=charge)


def layer_scalars(encoder: Pretrained, s: Structure, layers: int, memory=None):
    """Scalars of the classes, and the classes."""
    name = "sevennet-0" if encoder.body.lmax == 2 else "sevennet-l3i5"
    arrays = {key: t.numpy() for key, t in encoder.state_dict().items()}
    settings = SevenNetSettings(name=name, layers=len(encoder.body.layers))
    own = PretrainedEncoder(settings, SMALL, Weights(arrays))
    stages = own.first_scalars(layers)
    fast = FastEncoder(own, s.numbers, s.positions, s.cell, s.charge, stages=stages)
    result = np.zeros((len(fast.representatives), stages[-1].held["scalars"]), dtype=fast.dtype)

    def keep(rows, features):
        result[rows] = features.scalars

    fast.run(keep, fast.tiles(memory))
    return result, fast.classes


def graph_of(encoder: Pretrained, s: Structure) -> Graph:
    return build_graph(s.numbers, s.positions, s.cell, encoder.cutoff, s.charge).to("cpu", torch.float64)


@pytest.mark.parametrize("name", ["sevennet-0", "sevennet-l3i5"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_scalars_of_the_first_layers_are_those_of_the_plain_encoder(name, layers):
    encoder = pretrained(name, 3)
    encoder.mean.uniform_(-1.0, 1.0)  # not standardised: training changes nothing
    structure = crystal(moved=0.1, charge=1.0)
    with torch.no_grad():
        expected = encoder.body(graph_of(encoder, structure))[:, : 128 * layers]
    found, classes = layer_scalars(encoder, structure, layers)
    np.testing.assert_allclose(found[classes], expected.numpy(), atol=1e-9 * float(expected.abs().max()))


def test_in_single_precision_to_what_its_splines_are_worth():
    structure = crystal(moved=0.1)
    found, classes = layer_scalars(pretrained(dtype=torch.float32), structure, 2)
    encoder = pretrained()
    with torch.no_grad():
        expected = encoder.body(graph_of(encoder, structure))[:, :256]
    np.testing.assert_allclose(found[classes], expected.numpy(), atol=2e-5 * float(expected.abs().max()))


def test_little_memory_and_repeated_cells_change_nothing(monkeypatch):
    monkeypatch.setattr("rhotem.learned.encoder.LEAST", 20)
    encoder = pretrained()
    displaced = crystal((2, 2, 2), moved=0.05)
    whole, classes = layer_scalars(encoder, displaced, 2)
    counted = []
    tiles = FastEncoder.tiles
    monkeypatch.setattr(FastEncoder, "tiles", lambda self, memory: counted.append(tiles(self, memory)) or counted[-1])
    little, again = layer_scalars(encoder, displaced, 2, memory=1e4)
    assert len(counted[0]) > 1
    np.testing.assert_allclose(little[again], whole[classes], atol=1e-12)
    features, classes = layer_scalars(encoder, crystal((3, 1, 2)), 2)
    assert len(features) == 4 and len(classes) == 24


def small(**settings) -> DensityModel:
    return make_model(ModelSettings(nequip=SMALL, elements=[3, 8, 27], **settings), seed=1).double().eval()


@pytest.mark.parametrize("settings", [{}, {"readout": "gated"}])
def test_other_encoders_are_asked_for_their_scalars(settings):
    model, structure = small(**settings), crystal(moved=0.1)
    with torch.no_grad():
        expected = model.encoder(model.graph(structure)).scalars.numpy()
    np.testing.assert_allclose(atom_features(as_learned(model), structure), expected, atol=1e-9)
    found = np.zeros_like(expected)
    classes, first = visit_features(as_learned(model), structure, found.__setitem__, memory=1e5)
    np.testing.assert_allclose(found[first][classes], expected, atol=1e-9)


def test_nearest_atom_in_cells_of_any_shape():
    rng = np.random.default_rng(0)
    for _ in range(20):
        cell = np.tril(rng.uniform(-5.0, 5.0, (3, 3)), -1) + np.diag(rng.uniform(2.0, 6.0, 3))
        count = int(rng.integers(1, 5))
        s = Structure(ase.Atoms("Li" * count, rng.normal(size=(count, 3)) * 6.0, cell=cell, pbc=True))
        points = rng.normal(size=(40, 3)) * 5.0
        distance, nearest = nearest_atoms(s, points)
        inverse = np.linalg.inv(cell)
        offset = ((points[:, None] - s.positions) @ inverse + 0.5) % 1.0 - 0.5
        images = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell
        every = np.linalg.norm((offset @ cell)[:, :, None] + images, axis=-1).min(2)
        np.testing.assert_allclose(distance, every.min(1))
        np.testing.assert_allclose(every[np.arange(40), nearest], distance)
