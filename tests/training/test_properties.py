"""Every architecture against the same properties."""

import importlib.util
from pathlib import Path

import ase.build
import numpy as np
import pytest
import torch

from rhotem.density.field import DensityField
from rhotem.learned.coefficients import atom_coefficients
from rhotem.learned.readouts.gated.field import Gating, sums
from rhotem.learned.readouts.gated.settings import GatedSettings
from rhotem.learned.readouts.spherical.coefficients import electrons_by_atom
from rhotem.learned.settings import ModelSettings, NequipSettings, SevenNetSettings
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import as_learned
from rhotem.training.dataset import make_probes
from rhotem.training.network.graph import Graph, build_graph
from rhotem.training.network.model import DensityModel, make_model
from rhotem.training.network.predict import prepared
from rhotem.training.network.readouts.gated import Gates

ELEMENTS = [3, 8, 27]

_spec = importlib.util.spec_from_file_location("models_suite", Path(__file__).with_name("suite.py"))
assert _spec and _spec.loader
suite = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(suite)


SMALL = NequipSettings(channels=8, scalars=16, embedding=4, radial_width=8, lmax_sent=2)


class TestNequipSpherical(suite.PropertySuite):
    def make(self) -> DensityModel:
        return make_model(ModelSettings(nequip=SMALL, elements=suite.ELEMENTS), seed=1)

    @pytest.mark.parametrize("charge", [0.0, 1.0, -0.25])
    def test_electron_count_is_analytic(self, model, charge):
        coefficients = atom_coefficients(as_learned(model), suite.crystal(charge))
        assert float(electrons_by_atom(model.readout.blocks, coefficients).sum()) == pytest.approx(-charge, abs=1e-9)


class GatedSuite(suite.PropertySuite):
    """What holds for every gate."""

    settings = GatedSettings(channels=6, functions=10, radial_width=12, width=12)
    grid_count = 1e-6

    def make(self) -> DensityModel:
        model = make_model(ModelSettings(readout="gated", nequip=SMALL, gated=self.settings, elements=ELEMENTS), seed=1)
        with torch.no_grad():
            model.readout.chemical[-1].weight.mul_(30.0)  # fresh weights are nearly even: no test
            model.readout.compress.weight.mul_(5.0)
        return model

    def counted(self, model: DensityModel, field: DensityField, points: np.ndarray) -> np.ndarray:
        readout, s = as_learned(model).readout, field.structure
        values, filled = sums(Gating(readout.maps, readout.prepare(s), s), points)[:2]
        return values + field.record["strength_shift_e_per_A3"] * filled


class TestNequipGated(GatedSuite):
    def gates(self, model: DensityModel, structure: Structure, points: np.ndarray) -> Gates:
        with torch.no_grad():
            return model.readout.gates(prepared(model, structure), suite.exact_probes(model, structure, points))

    def test_shares_add_up_to_what_the_empty_channel_leaves(self, model, points):
        gates = self.gates(model, suite.crystal(), points)
        sums = np.bincount(gates.point, gates.weight, len(points))
        np.testing.assert_allclose(sums, gates.filled, atol=1e-12)
        assert gates.weight.min() >= 0.0 and sums.min() > 0.01 and sums.max() < 1.0
        assert gates.weight.numpy().std() > 0.01

    def test_nothing_is_left_beyond_a_surface(self, model):
        slab = ase.build.fcc111("Li", (1, 1, 3), a=4.3, vacuum=8.0)
        slab.pbc = True
        structure = Structure(slab)
        top, reach = slab.positions[:, 2].max(), model.readout.cutoff
        heights = top + reach + np.array([-0.5, -0.1, -0.05, -0.025, -1e-6, 0.3])
        points = np.stack([np.full(6, 0.0) + slab.positions[-1, 0], np.full(6, slab.positions[-1, 1]), heights], axis=1)
        filled = self.gates(model, structure, points).filled.numpy()
        assert filled[0] > 1e-4 and filled[-2] < 1e-12 and filled[-1] == 0.0
        # third order: half the distance, an eighth of the value; value and slope vanish together
        assert filled[2] < filled[1] / 7.0 and filled[3] < filled[2] / 7.0

    def test_without_a_gate_to_train_nothing_else_changes(self, points):
        """The strengths do not know the weights."""
        full = self.make().double().eval()
        plain = make_model(full.settings.model_copy(update={"gated": self.settings.model_copy(update={"gate": "sum"})}))
        plain.load_state_dict(full.state_dict())
        a, b = (self.gates(m.double().eval(), suite.crystal(), points) for m in (full, plain))
        np.testing.assert_allclose(a.strength, b.strength, atol=1e-12)
        assert not np.allclose(a.weight, b.weight, atol=0.05)


def test_a_plain_softmax_jumps_where_the_last_atom_leaves():
    """Why w_geo and the empty channel are in the normalisation."""
    atoms = ase.Atoms([8], [[0, 0, 0]], cell=np.eye(3) * 20.0, pbc=True)
    values = {}
    for gate in ("full", "no-vacuum", "softmax", "sum"):
        settings = GatedSettings(channels=6, functions=10, radial_width=12, width=12, gate=gate)
        model = make_model(ModelSettings(readout="gated", nequip=SMALL, gated=settings, elements=ELEMENTS)).double()
        x = np.array([[settings.cutoff - 1e-3, 0, 0]])
        values[gate] = abs(suite.density(model.eval(), Structure(atoms), x)[0])
    assert values["softmax"] > 1e-4 and values["no-vacuum"] > 1e-4
    assert values["full"] < 1e-9 and values["sum"] < 1e-9


class TestPretrained(suite.PropertySuite):
    """Trained layers on top of the frozen ones of SevenNet, which do not know inversion by themselves."""

    def make(self) -> DensityModel:
        small = NequipSettings(channels=4, scalars=16, embedding=4, radial_width=8, lmax_sent=1, layers=1)
        body = SevenNetSettings(name="sevennet-0", layers=2)
        model = make_model(ModelSettings(encoder="sevennet", sevennet=body, nequip=small, elements=suite.ELEMENTS), 3)
        model.encoder.load_published("sevennet-0")
        model.encoder.standardise([graph_of(suite.crystal(), model.encoder.cutoff).to("cpu")])
        return model


def test_the_density_is_the_mean_of_different_members():
    small = NequipSettings(channels=4, scalars=16, embedding=4, radial_width=8, lmax_sent=1, layers=1)
    model = make_model(ModelSettings(nequip=small, elements=suite.ELEMENTS, members=3), seed=2).double()
    s, points = suite.crystal(), np.random.default_rng(0).random((60, 3)) @ suite.CELL
    probes = make_probes(points, s, *model.cutoffs[1:]).to("cpu", torch.float64)
    with torch.no_grad():
        members = zip(*model.member_coefficients(graph_of(s, model.encoder.cutoff)), strict=True)
        each = torch.stack([model.readout.at_points(c, probes) for c in members]).numpy()
    assert len(each) == 3 and each.std(0).mean() > 0.1 * np.abs(each).mean()
    # vectors to the points are kept in single precision
    np.testing.assert_allclose(each.mean(0), suite.density(model, s, points), atol=1e-8)


def graph_of(s: Structure, cutoff: float) -> Graph:
    return build_graph(s.numbers, s.positions, s.cell, cutoff, s.charge)
