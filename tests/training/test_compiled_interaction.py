"""The compiled layers of SevenNet against the plain ones."""

import ase
import numpy as np
import pytest
import torch

from rhotem.core import InputError
from rhotem.learned.encoder import FastEncoder
from rhotem.learned.encoders.interaction import InteractionStage
from rhotem.learned.encoders.sevennet import PretrainedEncoder
from rhotem.learned.encoders.stage import AtomFeatures
from rhotem.learned.kernels.convolution import SPACING, spline_coefficients, spline_places
from rhotem.learned.settings import NequipSettings, SevenNetSettings
from rhotem.learned.weights import Weights
from rhotem.training.network.encoders.sevennet import Pretrained, radial_functions
from rhotem.training.network.graph import build_graph

CELL = np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]])
SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [-1.48, 0.07, 2.46]])


def made(name="sevennet-l3i5", layers=3, dtype=torch.float64, tensors="last") -> Pretrained:
    """Shipped weights of the frozen layers, random ones and a random standardisation on top."""
    torch.manual_seed(0)
    encoder = Pretrained(SevenNetSettings(name=name, layers=layers, tensors=tensors), SIZES)
    encoder.load_published(name)
    with torch.no_grad():
        encoder.mean[: encoder.body.widths[0]].uniform_(-1.0, 1.0)
        encoder.scale.uniform_(0.5, 2.0)
        encoder.top.charge.weight.normal_()
    return encoder.to(dtype)


SIZES = NequipSettings(channels=6, scalars=12, embedding=4, radial_width=8, layers=1, lmax_sent=1)


def compiled(encoder: Pretrained) -> PretrainedEncoder:
    """With the same weights."""
    body = encoder.body
    name = "sevennet-0" if body.lmax == 2 else "sevennet-l3i5"
    settings = SevenNetSettings(name=name, layers=len(body.layers), tensors="all" if body.all_tensors else "last")
    return PretrainedEncoder(settings, SIZES, Weights({k: t.numpy() for k, t in encoder.state_dict().items()}))


def atoms(repeat=(1, 1, 1), moved=0.0) -> ase.Atoms:
    structure = ase.Atoms([27, 8, 3, 8], SITES @ CELL, cell=CELL, pbc=True).repeat(repeat)
    structure.positions += np.random.default_rng(0).normal(0.0, moved, structure.positions.shape)
    return structure


def features(encoder: Pretrained, structure: ase.Atoms, memory: float | None = None) -> list[np.ndarray]:
    """Scalars and tensors of every atom, compiled."""
    fast = FastEncoder(compiled(encoder), *_arrays(structure), charge=0.5)
    found: dict[str, np.ndarray] = {}

    def keep(rows: np.ndarray, given: AtomFeatures) -> None:
        for name in ("scalars", "tensors"):
            values = getattr(given, name)
            found.setdefault(name, np.zeros((len(fast.representatives), *values.shape[1:]), values.dtype))[rows] = (
                values
            )

    fast.run(keep, fast.tiles(memory))
    return [found[name][fast.classes] for name in ("scalars", "tensors")]


def difference(encoder: Pretrained, plain: Pretrained, structure: ase.Atoms) -> float:
    """Largest difference of the compiled form of one to the plain form of the other, over the largest feature."""
    graph = build_graph(structure.numbers, structure.positions, structure.cell.array, encoder.cutoff, 0.5)
    with torch.no_grad():
        expected = plain(graph.to("cpu", plain.mean.dtype))
    found = zip(features(encoder, structure), (expected.scalars.numpy(), expected.tensors.numpy()), strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in found)


@pytest.mark.parametrize("layers", [1, 3])
def test_compiled_is_plain_to_double_precision(layers):
    """A cell without any symmetry: odd parts are not zero, and mix with even ones in every gate."""
    encoder = made(layers=layers)
    assert difference(encoder, encoder, atoms()) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("tensors", ["last", "all"])
def test_compiled_is_plain_for_the_smaller_set(tensors):
    """With the tensors of the last layer, and with those of all layers."""
    encoder = made("sevennet-0", layers=3, tensors=tensors)
    assert difference(encoder, encoder, atoms()) < 1e-9


def test_single_precision_with_splines_is_plain_in_double_precision():
    assert difference(made(layers=4, dtype=torch.float32), made(layers=4), atoms()) < 1e-5


def test_splines_meet_the_radial_network_between_their_knots():
    """Also next to the cutoff, where weights end, and at the shortest distance allowed."""
    encoder = compiled(made(dtype=torch.float32))
    r = np.concatenate([[0.5, 5.0 - 1e-9], np.random.default_rng(0).uniform(0.5, 5.0, 300)])
    for index in range(3):
        stage = InteractionStage(encoder, index)
        exact = stage.radial_weights(r)
        tables, cells, factors = stage._on_edges(r)
        for table, group in zip(tables, stage.groups, strict=True):
            splined = sum(factors[:, [n]] * table[cells + n] for n in range(4))
            assert np.abs(splined - exact[:, group.weights]).max() < 1e-6 * np.abs(exact).max()


def test_splines_are_exact_for_cubics_inside():
    x = np.arange(60) * SPACING
    r = np.linspace(20 * SPACING, 40 * SPACING, 77)

    def cubic(v):
        return 1.0 - 3.0 * v + 2.0 * v**2 - 0.7 * v**3

    cells, factors = spline_places(r, 0.0)
    coefficients = spline_coefficients(cubic(x)[:, None])[:, 0]
    found = (factors * coefficients[cells[:, None] + np.arange(4)]).sum(1)
    np.testing.assert_allclose(found, cubic(r), atol=1e-9)


def test_radial_functions_end_at_the_cutoff():
    frequencies = torch.arange(1, 9, dtype=torch.float64) * np.pi / 5.0
    beyond = radial_functions(torch.tensor([5.0, 5.1, 6.0], dtype=torch.float64), frequencies, 2)
    assert float(beyond.abs().max()) < 1e-12


def test_tiles_are_the_whole_and_equal_atoms_are_evaluated_once(monkeypatch):
    encoder = made(layers=1, dtype=torch.float32)
    structure = atoms((4, 4, 4), moved=0.03)
    fast = FastEncoder(compiled(encoder), *_arrays(structure))
    monkeypatch.setattr("rhotem.learned.encoder.LEAST", 100)
    little = 150 * fast.bytes_per_atom
    assert fast.needed(np.arange(len(structure))) > little
    for a, b in zip(features(encoder, structure), features(encoder, structure, little), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6 * float(np.abs(a).max()))
    assert len(FastEncoder(compiled(encoder), *_arrays(atoms((3, 2, 2)))).representatives) == 4


def _arrays(structure: ase.Atoms):
    return structure.numbers, structure.positions, structure.cell.array


def test_an_unknown_element_is_refused():
    structure = atoms()
    structure.numbers[0] = 118
    with pytest.raises(InputError, match="element 118"):
        features(made(layers=1), structure)
