"""The frozen layers of SevenNet against the original, and the compiled readout against torch."""

import ase
import numpy as np
import pytest
import torch

from rhotem.learned.settings import ModelSettings, NequipSettings
from rhotem.structure.model import Structure
from rhotem.training.dataset import make_probes
from rhotem.training.network.encoders.sevennet import SevenNet, published
from rhotem.training.network.graph import build_graph
from rhotem.training.network.model import make_model
from rhotem.training.points import at_points

CELL = np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]])
SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [0.52, 0.07, 0.46]])


@pytest.fixture(scope="module")
def atoms() -> ase.Atoms:
    return ase.Atoms([27, 8, 3, 8], SITES @ CELL, cell=CELL, pbc=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("own", "original", "channels"),
    [("sevennet-0", "7net-0", (128, 64, 32)), ("sevennet-l3i5", "7net-l3i5", (128, 64, 32, 32))],
)
def test_scalars_of_every_layer_are_those_of_the_original(atoms, own, original, channels):
    """Away from inversion: the original's scalars are even but for a part of 1e-4, which is taken out here."""
    util = pytest.importorskip("sevenn.util")
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.train.dataload import unlabeled_atoms_to_graph

    reference, config = util.model_from_checkpoint(util.pretrained_name_to_path(original))
    reference.eval()
    reference.set_is_batch_data(False)
    data = reference._preprocess(AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(atoms, config["cutoff"])))
    flipped = ase.Atoms(atoms.numbers, -atoms.positions, cell=-CELL, pbc=True)
    other = reference._preprocess(AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(flipped, config["cutoff"])))
    expected = []
    with torch.no_grad():
        for name, module in reference._modules.items():
            data, other = module(data), module(other)
            if name.endswith("equivariant_gate"):
                expected.append(0.5 * (data["x"] + other["x"])[:, : channels[0]])
            if name == "3_equivariant_gate":
                break
    ours = SevenNet(channels, 4)
    ours.load_state_dict({k: v for k, v in published(own).items() if k in ours.state_dict()})
    graph = build_graph(atoms.numbers, atoms.positions, CELL, ours.cutoff).to("cpu")
    scalars = ours(graph)[:, : 4 * channels[0]]
    np.testing.assert_allclose(scalars, torch.cat(expected, dim=1), atol=5e-5)
    assert scalars.std() > 0.1


def test_weights_of_older_couplings_are_refused():
    """The published file has the other sign for 1 ⊗ 2 -> 2: its weights are not those of today's couplings."""
    from rhotem.core import InputError
    from rhotem.learned.couplings import coupling
    from rhotem.training.network.encoders.sevennet import check_couplings

    name, table = "1_convolution.convolution._w3j_1_2_2", torch.tensor(coupling(1, 2, 2).copy())
    check_couplings({name: table})
    with pytest.raises(InputError, match="sign of an older e3nn"):
        check_couplings({name: -table})
    with pytest.raises(InputError, match="no couplings"):
        check_couplings({"1_convolution.denominator": table})


def test_gradients_of_tuned_layers_are_those_of_differences(atoms):
    """Pieces of atoms are calculated again on the way back: that must not change what comes out."""

    channels = (128, 64, 32)
    model = SevenNet(channels, 2)
    model.load_state_dict({k: v for k, v in published("sevennet-0").items() if k in model.state_dict()})
    model = model.double()
    graph = build_graph(atoms.numbers, atoms.positions, CELL, model.cutoff)
    frozen = model(graph)
    assert not frozen.requires_grad
    generator = torch.Generator().manual_seed(0)
    outer = torch.randn(frozen.shape, generator=generator, dtype=torch.float64)
    chosen = [model.embedding, *(layer.radial[1] for layer in model.layers), model.layers[0].second[2]]
    for p in chosen:
        p.requires_grad_()
    features = model(graph)
    np.testing.assert_array_equal(features.detach(), frozen)
    gradients = torch.autograd.grad((features * outer).sum(), chosen)
    directions = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in chosen]
    expected = float(sum((g * d).sum() for g, d in zip(gradients, directions, strict=True)))
    sums = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            for p, d in zip(chosen, directions, strict=True):
                p += step * d
            sums.append(float((model(graph) * outer).sum()))
    assert abs(expected) > 1.0
    assert (sums[0] - sums[1]) / 2e-5 == pytest.approx(expected, rel=1e-5)


def test_a_trained_layer_of_smaller_lmax_reads_the_tensors_it_has_room_for(atoms):
    """Its invariants do not turn with the crystal; columns of l = 3 change nothing, those of l = 2 do."""
    from dataclasses import replace

    from rhotem.learned.settings import SevenNetSettings
    from rhotem.training.network.encoders.sevennet import Pretrained
    from rhotem.training.network.tensor import invariants

    small = NequipSettings(channels=6, scalars=12, embedding=4, radial_width=8, layers=1, lmax_sent=0, lmax=2)
    torch.manual_seed(0)
    encoder = Pretrained(SevenNetSettings(layers=1), small)
    encoder.load_published("sevennet-l3i5")
    encoder = encoder.double()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    graphs = [build_graph(atoms.numbers, atoms.positions @ t, CELL @ t, encoder.cutoff) for t in (np.eye(3), turn)]
    given = encoder.given(graphs[0])
    start = sum(encoder.body.widths[:3])
    less = [given.clone() for _ in range(2)]
    less[0][:, start:] = 0.0
    less[1][:, start - encoder.body.widths[2] : start] = 0.0
    with torch.no_grad():
        plain, turned, *cut = [
            invariants(encoder(g).tensors, 2) for g in (*graphs, *(replace(graphs[0], extra=x) for x in less))
        ]
    np.testing.assert_allclose(turned, plain, atol=1e-9 * float(plain.abs().max()))
    np.testing.assert_array_equal(cut[0], plain)
    assert (cut[1] - plain).abs().max() > 1e-3 * plain.abs().max()


def test_messages_of_scalars_are_the_same_by_atom_and_by_edge(atoms):
    from dataclasses import replace

    from rhotem.training.network.encoders.nequip import Nequip

    torch.manual_seed(0)
    encoder = Nequip(
        NequipSettings(channels=6, scalars=12, embedding=4, radial_width=8, layers=1, lmax_sent=0)
    ).double()
    graph = build_graph(atoms.numbers, atoms.positions, CELL, encoder.cutoff)
    orders = torch.argsort(graph.centre, stable=True), torch.randperm(len(graph.centre))
    both = [
        encoder(replace(graph, **{n: getattr(graph, n)[order] for n in ("centre", "neighbour", "vectors")})).tensors
        for order in orders
    ]
    assert both[0].detach().abs().max() > 0.1
    np.testing.assert_allclose(both[0].detach(), both[1].detach(), atol=1e-12)


def test_potential_error_is_that_of_the_analytic_coefficients(atoms):
    from rhotem.core import PeriodicGrid
    from rhotem.labels.label import Label
    from rhotem.training.loss import plane_indices, potential_error, potential_target
    from rhotem.training.network.readouts.fourier import fourier, make_tables

    small = NequipSettings(channels=4, scalars=8, embedding=4, radial_width=8, layers=1)
    model = make_model(ModelSettings(nequip=small))
    grid = PeriodicGrid(CELL, (20, 22, 24))
    values = np.random.default_rng(0).normal(size=grid.shape)
    label = Label.of_field(Structure(atoms), values - values.mean(), "x")
    given = model(build_graph(atoms.numbers, atoms.positions, CELL, 5.0).to("cpu"))
    g = plane_indices(grid) @ grid.reciprocal
    reference = np.fft.fftn(label.deformation)[tuple(plane_indices(grid).T % np.array(grid.shape)[:, None])] / grid.size
    predicted = fourier(given, make_tables(model.readout.blocks, g, atoms.positions, grid.volume)).detach().numpy()
    weight = 1.0 / (g**2).sum(1) ** 2
    expected = np.sqrt((weight * abs(predicted - reference) ** 2).sum() / (weight * abs(reference) ** 2).sum())
    assert float(potential_error(given, potential_target(label, model.readout.blocks)).detach()) == pytest.approx(
        expected, rel=1e-4
    )


def test_compiled_points_agree_with_torch_in_value_and_gradient(atoms):
    from rhotem.learned.pairs import images_near_cell

    small = NequipSettings(channels=4, scalars=8, embedding=4, radial_width=8, layers=1)
    model = make_model(ModelSettings(nequip=small))
    structure = Structure(atoms)
    points = (np.random.default_rng(0).random((200, 3)) @ CELL).astype(np.float32)
    points[0] = structure.positions[0]
    probes = make_probes(points.astype(float), structure, *model.cutoffs[1:]).to("cpu")
    given = tuple(
        c.detach().requires_grad_() for c in model(build_graph(atoms.numbers, atoms.positions, CELL, 5.0).to("cpu"))
    )
    images, owner = images_near_cell(structure.positions, CELL, max(model.cutoffs[1:]))
    ours = at_points(given, model.readout.blocks, points, images.astype(np.float32), owner)
    reference = model.readout.at_points(given, probes)
    outer = torch.from_numpy(np.random.default_rng(1).normal(size=200).astype(np.float32))
    gradients = [torch.autograd.grad((values * outer).sum(), given) for values in (ours, reference)]
    assert reference.abs().max() > 1e-3
    np.testing.assert_allclose(ours.detach(), reference.detach(), atol=2e-5 * float(reference.detach().abs().max()))
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * float(b.abs().max()))
