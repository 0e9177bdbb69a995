"""What every architecture must satisfy (inherit `PropertySuite` and give `make`)."""

from __future__ import annotations

import ase
import ase.build
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.convert import as_kind
from rhotem.density.field import DensityField
from rhotem.density.harmonics import real_harmonics
from rhotem.density.superpose import superpose
from rhotem.learned.pairs import probe_pairs
from rhotem.learned.source import Model
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import as_learned, load_network, save_model
from rhotem.training.network.graph import build_graph, join
from rhotem.training.network.model import DensityModel
from rhotem.training.network.readouts.gated import Gated
from rhotem.training.network.readouts.spherical import Pairs, Probes

ELEMENTS = [3, 8, 27]
CELL = np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]])
SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [0.52, 0.07, 0.46]])
NUMBERS = [27, 8, 3, 8]


def crystal(charge: float = 0.0) -> Structure:
    """Four atoms without any symmetry."""
    return Structure(ase.Atoms(NUMBERS, SITES @ CELL, cell=CELL, pbc=True), charge=charge)


def density(model: DensityModel, structure: Structure, points: np.ndarray) -> np.ndarray:
    """Δn at points in float64."""
    graph = build_graph(structure.numbers, structure.positions, structure.cell, model.encoder.cutoff, structure.charge)
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        return (
            model.readout.at_points(model(graph.to("cpu", dtype)), exact_probes(model, structure, points))
            .double()
            .numpy()
        )


def exact_probes(model: DensityModel, structure: Structure, points: np.ndarray) -> Probes:
    """Pairs with vectors in the precision of the model (training's are single)."""
    dtype = next(model.parameters()).dtype
    point, atom, vectors = probe_pairs(points, structure.positions, structure.cell, max(model.cutoffs[1:]))
    parts = []
    for reach in model.cutoffs[1:]:
        keep = (vectors**2).sum(1) < reach**2
        counts = np.bincount(atom[keep], minlength=len(structure)).tolist()
        parts.append(Pairs(torch.from_numpy(point[keep]), torch.from_numpy(vectors[keep]).to(dtype), counts))
    return Probes(len(points), *parts)


def lobes(points: np.ndarray) -> np.ndarray:
    """What t2g and eg leave around Co in an oxide: some e/Å³ of the cubic harmonic x⁴ + y⁴ + z⁴ − 3r⁴/5."""
    r2 = (points**2).sum(1)
    return -60.0 * ((points**4).sum(1) - 0.6 * r2**2) * np.exp(-r2 / (2 * 0.2**2))


def sphere() -> tuple[np.ndarray, np.ndarray]:
    """Directions and weights on a sphere, exact to l = 13."""
    x, w = np.polynomial.legendre.leggauss(7)
    phi = np.arange(14) * np.pi / 7.0
    sine = np.sqrt(1.0 - x**2)
    columns = [np.outer(sine, np.cos(phi)), np.outer(sine, np.sin(phi)), np.repeat(x[:, None], 14, 1)]
    return np.stack(columns, -1).reshape(-1, 3), np.repeat(w, 14) * np.pi / 7.0


class PropertySuite:
    """Symmetries, limits and failures of one architecture; random weights, so nothing holds by training."""

    #: Electrons by which the plain sum over a grid of 0.1 to 0.25 Å may miss the charge.
    grid_count = 0.02

    def make(self) -> DensityModel:
        raise NotImplementedError

    @pytest.fixture
    def model(self) -> DensityModel:
        return self.make().double().eval()

    @pytest.fixture
    def points(self) -> np.ndarray:
        return np.random.default_rng(0).random((60, 3)) @ CELL

    def test_the_density_is_not_trivial(self, model, points):
        assert np.abs(density(model, crystal(), points)).max() > 1e-3

    def test_rotation_and_inversion(self, model, points):
        s = crystal()
        reference = density(model, s, points)
        for matrix in (Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix(), -np.eye(3), np.diag([1.0, 1.0, -1.0])):
            turned = Structure(ase.Atoms(NUMBERS, s.positions @ matrix.T, cell=CELL @ matrix.T, pbc=True))
            np.testing.assert_allclose(density(model, turned, points @ matrix.T), reference, atol=1e-9)

    def test_translation_and_wrapping(self, model, points):
        s = crystal()
        shift = np.array([1.234, -0.77, 7.1])
        moved = Structure(ase.Atoms(NUMBERS, s.positions + shift, cell=CELL, pbc=True))
        np.testing.assert_allclose(density(model, moved, points + shift), density(model, s, points), atol=1e-9)

    def test_permutation(self, model, points):
        s, order = crystal(), [2, 0, 3, 1]
        permuted = Structure(s.atoms[order])
        np.testing.assert_allclose(density(model, permuted, points), density(model, s, points), atol=1e-9)

    @pytest.mark.parametrize("charge", [0.0, 0.5])
    def test_a_supercell_is_the_tiled_cell(self, model, points, charge):
        big = Structure(crystal().atoms.repeat((2, 1, 2)), charge=4 * charge)
        reference = density(model, crystal(charge), points)
        np.testing.assert_allclose(density(model, big, points + CELL[0]), reference, atol=1e-9)

    def test_another_choice_of_lattice_vectors(self, model, points):
        sheared = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ CELL
        other = Structure(ase.Atoms(NUMBERS, SITES @ CELL, cell=sheared, pbc=True))
        np.testing.assert_allclose(density(model, other, points), density(model, crystal(), points), atol=1e-9)

    def test_continuity_through_a_nucleus_and_along_a_line(self, model):
        s = crystal()
        t = np.linspace(-5.0, 5.0, 20001)
        line = s.positions[0] + t[:, None] * np.array([0.3, 0.5, 0.81])
        values = density(model, s, line)
        assert np.isfinite(values).all()
        # A continuous function changes half as much over half the step; a jump does not.
        coarse, fine = np.abs(np.diff(values[::2])).max(), np.abs(np.diff(values)).max()
        assert fine < 0.6 * coarse

    def test_atoms_crossing_the_encoder_cutoff(self, model):
        cell = np.eye(3) * 30.0
        cutoff, point = model.encoder.cutoff, np.array([[0.5, 0.4, 0.3]])

        def at(distance: float) -> float:
            atoms = ase.Atoms([27, 8], [[0, 0, 0], [distance, 0, 0]], cell=cell, pbc=True)
            return density(model, Structure(atoms), point)[0]

        inside, outside = at(cutoff - 1e-4), at(cutoff + 1e-4)
        assert abs(inside - outside) < 1e-6
        assert abs(at(cutoff - 2.0) - outside) > 1e-7

    def test_the_density_ends_smoothly_in_vacuum(self, model):
        atoms = ase.Atoms([8, 27], [[0, 0, 0], [1.9, 0, 0]], cell=np.eye(3) * 25.0, pbc=True)
        reach = max(model.cutoffs[1:])
        step = 0.01
        x = reach - step * np.array([20.0, 2.0, 1.0, 0.0, -5.0])
        values = density(model, Structure(atoms), -x[:, None] * np.array([1.0, 0.0, 0.0]))
        assert values[0] != 0.0
        assert values[3] == values[4] == 0.0
        # value and slope vanish: the end is of third order or better
        assert abs(values[2]) < abs(values[1]) / 4.0 and abs(values[1]) < abs(values[0]) / 100.0

    def test_float32_agrees_with_float64(self, points):
        single, double = self.make().eval(), self.make().double().eval()
        a, b = density(single, crystal(), points), density(double, crystal(), points)
        assert np.abs(a - b).max() < 2e-5 * np.abs(b).max() + 2e-6

    @pytest.mark.parametrize("charge", [0.0, 0.5])
    def test_a_batch_is_its_structures(self, model, points, charge):
        one, two = crystal(charge), Structure(ase.build.bulk("Li", cubic=True))
        both = [
            build_graph(s.numbers, s.positions, s.cell, model.encoder.cutoff, s.charge).to("cpu", torch.float64)
            for s in (two, one)
        ]
        with torch.no_grad():
            batch = model(join(both))
            alone = model(both[1])
        for a, b in zip(batch, alone, strict=True):
            np.testing.assert_allclose(a[len(two) :], b, atol=1e-12)

    def test_pieces_are_the_whole(self, model, points):
        whole = density(model, crystal(), points)
        pieces = [density(model, crystal(), part) for part in (points[:7], points[7:8], points[8:])]
        np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-12)

    @pytest.mark.parametrize("charge", [0.0, 1.0, -0.25])
    @pytest.mark.parametrize("shape", [(16, 17, 18), (40, 21, 36)])
    def test_the_sum_over_a_grid_is_the_charge(self, model, shape, charge):
        """The label grid of the metrics: everything on the grid."""
        structure, grid = crystal(charge), PeriodicGrid(CELL, shape)
        ready = as_learned(model)
        values = ready.readout.values(ready.readout.prepare(structure), structure, grid)
        assert abs(grid.integrate(values) - self.electrons(structure)) < self.grid_count

    def electrons(self, structure: Structure) -> float:
        """What the readout's values sum to."""
        return -structure.charge

    def test_gradients_are_finite(self, model):
        structure = crystal()
        points = np.concatenate([structure.positions, structure.positions + 0.3])
        graph = build_graph(structure.numbers, structure.positions, structure.cell, model.encoder.cutoff)
        probes = exact_probes(model, structure, points)
        model.readout.at_points(model(graph), probes).square().sum().backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        assert grads and all(torch.isfinite(g).all() for g in grads)

    def test_an_ideal_octahedron_gets_its_l4_lobes(self):
        """At Co in a perfect CoO6 all l = 1–3 vanish; t2g/eg is the cubic l = 4 harmonic."""
        model = self.make().train()
        cell = np.eye(3) * 3.8
        sites = np.array([[0, 0, 0], [1.9, 0, 0], [0, 1.9, 0], [0, 0, 1.9]])
        structure = Structure(ase.Atoms([27, 8, 8, 8], sites, cell=cell, pbc=True))
        rng = np.random.default_rng(0)
        r, v = rng.uniform(0.1, 0.8, 400), rng.normal(size=(400, 3))
        points = v / np.linalg.norm(v, axis=1, keepdims=True) * r[:, None]
        target = torch.from_numpy(lobes(points)).float()
        graph = build_graph(structure.numbers, structure.positions, structure.cell, model.encoder.cutoff).to("cpu")
        probes = exact_probes(model, structure, points)
        with torch.no_grad():
            features = model.encoder(graph)
        optimiser = torch.optim.Adam(model.readout.parameters(), lr=1e-2)
        for step in range(300):
            optimiser.param_groups[0]["lr"] = 1e-2 * (1.0 - step / 300)
            given = model.readout(features, graph)
            loss = (model.readout.at_points(given, probes) - target).abs().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        # l = 4 by quadrature on spheres, not where it was trained
        directions, weights = sphere()
        harmonics = real_harmonics(directions, 4)[:, 16:]
        on = (np.linspace(0.15, 0.75, 7)[:, None, None] * directions).reshape(-1, 3)
        parts = [(f.reshape(7, -1) * weights) @ harmonics for f in (density(model.eval(), structure, on), lobes(on))]
        assert np.linalg.norm(parts[0] - parts[1]) < 0.1 * np.linalg.norm(parts[1])

    def test_saved_and_loaded_it_is_the_same_bit_for_bit(self, points, tmp_path):
        model = self.make().eval()
        save_model(tmp_path / "m.safetensors", model)
        again, _ = load_network(tmp_path / "m.safetensors")
        np.testing.assert_array_equal(density(again, crystal(), points), density(model, crystal(), points))

    # -- as a density source ----------------------------------------------------------------------------------------

    @pytest.fixture
    def source(self, tmp_path) -> Model:
        save_model(tmp_path / "s.safetensors", self.make(), {"name": "test"})
        return Model(str(tmp_path / "s.safetensors"))

    @pytest.mark.parametrize("charge", [0.0, 0.5])
    @pytest.mark.parametrize("shape", [(12, 15, 14), (25, 26, 28)])
    def test_count_of_the_field_on_any_grid(self, source, shape, charge):
        from rhotem.density.fourier import coefficients

        field = source(crystal(charge), PeriodicGrid(CELL, shape))
        total = coefficients(field, [[0, 0, 0], [1, 0, 0]])[0].real * field.structure.volume
        assert total == pytest.approx(-charge, abs=1e-5)
        # and where everything is put on the grid, as for files
        assert field.grid.integrate(as_kind(field, "deformation").values) == pytest.approx(-charge, abs=1e-5)

    def test_field_is_the_density_at_the_points(self, source):
        grid = PeriodicGrid(CELL, (24, 26, 28))
        field = source(crystal(), grid)
        values = as_kind(field, "deformation").values
        direct = self.counted(self.make().double().eval(), field, grid.points().reshape(-1, 3)).reshape(grid.shape)
        assert np.abs(values - direct).sum() < 2e-2 * np.abs(direct).sum()

    def counted(self, model: DensityModel, field: DensityField, points: np.ndarray) -> np.ndarray:
        """Δn at points with the electron count that the field was given."""
        return density(model, field.structure, points)

    @pytest.mark.parametrize("charge", [0.0, 0.5])
    def test_never_negative_and_the_count_kept(self, tmp_path, charge):
        """A model made to dig holes deeper than the free atoms."""
        model = self.make()
        self.exaggerate(model)
        save_model(tmp_path / "s.safetensors", model, {"name": "test"})
        grid, structure = PeriodicGrid(CELL, (20, 21, 22)), crystal(charge)
        path = str(tmp_path / "s.safetensors")
        plain, positive = (Model(path, positive=what)(structure, grid) for what in ("report", "project"))
        assert plain.record["negative_electrons"] > 0.01
        total = superpose(structure, grid) + as_kind(positive, "deformation").values
        assert total.min() > -1e-12
        assert grid.integrate(positive.values) == pytest.approx(grid.integrate(plain.values), abs=1e-9)
        assert positive.record["moved_to_be_positive_e"] == pytest.approx(plain.record["negative_electrons"], rel=0.05)

    def exaggerate(self, model: DensityModel) -> None:
        """Make the density of ``model`` some hundred times as large."""
        with torch.no_grad():
            model.readout.log_scale += 6.0 if isinstance(model.readout, Gated) else 4.0

    def test_unknown_elements_fall_back_to_free_atoms_and_say_so(self, source):
        structure = Structure(ase.build.bulk("Au"))
        field = source(structure, PeriodicGrid.from_spacing(structure.cell, 0.3))
        assert not np.any(field.values) and not field.one_centre
        assert "Au" in field.source and field.record["fallback"] == "free atoms"

    def test_absurd_structures_are_refused(self, source):
        grid = PeriodicGrid(np.eye(3) * 4.0, (8, 8, 8))
        close = Structure(ase.Atoms([8, 8], [[0, 0, 0], [0.3, 0, 0]], cell=np.eye(3) * 4.0, pbc=True))
        with pytest.raises(InputError, match=r"0\.30 Å apart"):
            source(close, grid)
        with pytest.raises(InputError, match="no atoms"):
            source(Structure(ase.Atoms(cell=np.eye(3) * 4.0, pbc=True)), grid)
        with pytest.raises(InputError, match="no volume"):
            source.model.readout.prepare(Structure(ase.Atoms([8], [[0, 0, 0]])))
        slab = Structure(ase.Atoms([8], [[0, 0, 0]], cell=np.diag([4.0, 4.0, 20.0]), pbc=True), charge=1.0)
        with pytest.raises(InputError, match="vacuum"):
            source(slab, PeriodicGrid(slab.cell, (8, 8, 40)))

    def test_an_atom_without_neighbours_is_finite(self, source):
        lonely = Structure(ase.Atoms([8], [[1.0, 1.0, 1.0]], cell=np.eye(3) * 14.0, pbc=True))
        field = source(lonely, PeriodicGrid.from_spacing(lonely.cell, 0.5))
        assert np.isfinite(field.values).all()
