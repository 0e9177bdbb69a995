"""A network that draws n: what it is compared with is Δn and free atoms, and what comes out is Δn again."""

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.convert import as_kind
from rhotem.density.fourier import coefficients, free_atom_coefficients
from rhotem.learned.planes import stream
from rhotem.learned.source import Model
from rhotem.training.checkpoint import save_model
from rhotem.structure.model import Structure
from rhotem.training.dataset import Label, make_sample
from rhotem.training.error_bars.calibrate import calibrate
from rhotem.training.evaluate import evaluate_label
from rhotem.training.loss import plane_indices, potential_target
from rhotem.learned.settings import NequipSettings
from rhotem.training.network.model import DensityModel, make_model
from rhotem.learned.settings import ModelSettings

CELL = np.array([[4.1, 0.0, 0.2], [0.3, 4.4, 0.0], [0.0, -0.2, 4.7]])
SHAPE = (30, 32, 34)
SMALL = NequipSettings(channels=4, scalars=8, embedding=4, radial_width=8, lmax_sent=1, layers=1)


@pytest.fixture
def label() -> Label:
    atoms = ase.Atoms([3, 8], [[0.4, 0.5, 0.6], [2.3, 2.5, 2.2]], cell=CELL, pbc=True)
    values = np.random.default_rng(0).normal(size=SHAPE) * 0.05
    return Label("x", Structure(atoms), PeriodicGrid(CELL, SHAPE), values - values.mean(), "pair", "LiO", False)


def make(target: str) -> DensityModel:
    return make_model(ModelSettings(nequip=SMALL, elements=[3, 8], target=target), seed=2).eval()


def test_drawn_voxels_differ_by_the_free_atoms(label):
    cutoffs = (5.0, 2.2, 4.0)
    parts = [make_sample(label, cutoffs, t).draw(300, np.random.default_rng(1)) for t in ("density", "deformation")]
    table, s = free_atoms.load(), label.structure
    shifts = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), -1).reshape(-1, 3) @ CELL
    free = np.zeros(300)
    for z, electrons, centre in zip((3, 8), (1.0, 6.0), s.positions, strict=True):
        r = np.linalg.norm(parts[0].points[:, None] - centre - shifts, axis=2)
        free += table.evaluate(z, r, electrons).sum(1)
    np.testing.assert_array_equal(parts[0].points, parts[1].points)
    np.testing.assert_array_equal(parts[0].weight, parts[1].weight)
    np.testing.assert_allclose(parts[0].target - parts[1].target, free, rtol=2e-4, atol=1e-5)


def test_the_potential_is_compared_with_the_analytic_free_atoms(label):
    blocks = make("density").readout.blocks
    whole, bonding = (potential_target(label, blocks, t) for t in ("density", "deformation"))
    free = free_atom_coefficients(label.structure, plane_indices(label.grid), "valence")
    difference = (whole.values - bonding.values).numpy()
    np.testing.assert_allclose(difference[0] + 1j * difference[1], free, atol=1e-6)
    np.testing.assert_array_equal(whole.weight, bonding.weight)


def test_it_starts_as_large_as_free_atoms():
    """Without it, training would spend its first thousand steps on growing."""
    sizes = [make(target).readout.log_scale[8, 0].exp().max() for target in ("density", "deformation")]
    assert sizes[0] > 10 * sizes[1]


def test_as_a_source_and_in_the_metrics_it_is_a_deformation(label, tmp_path):
    model = make("density")
    save_model(tmp_path / "m.safetensors", model)
    field = Model(str(tmp_path / "m.safetensors"))(label.structure, label.grid)
    assert field.kind == "deformation"
    # far from the truth, but free atoms are taken off: on the grid and in Fourier space alike
    on_grid = label.grid.fourier(as_kind(field, "deformation").values)
    h = np.array([[1, 0, 0], [0, 1, 1], [2, -1, 0]])
    np.testing.assert_allclose(coefficients(field, h), on_grid[tuple(h.T)], atol=3e-3 * abs(on_grid).max())
    assert abs(evaluate_label(model, label)["electrons_off"]) < 0.05
    assert as_kind(field, "valence").values.sum() * label.grid.voxel_volume == pytest.approx(7.0, abs=0.05)


def test_it_is_not_streamed(label, tmp_path):
    save_model(tmp_path / "m.safetensors", make("density"))
    with pytest.raises(InputError, match="target"):
        stream(Model(str(tmp_path / "m.safetensors")), label.structure)


def test_error_bars_are_for_deformations(label):
    with pytest.raises(InputError, match="target"):
        calibrate(make("density"), [label], [label])
