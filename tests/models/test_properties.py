"""Every architecture against the same properties."""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from rhotem.models.dataset import make_probes
from rhotem.models.encoders.nequip import NequipSettings
from rhotem.models.graph import build_graph
from rhotem.models.model import DensityModel, ModelSettings, make_model

_spec = importlib.util.spec_from_file_location("models_suite", Path(__file__).with_name("suite.py"))
assert _spec and _spec.loader
suite = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(suite)


class TestNequipSpherical(suite.PropertySuite):
    def make(self) -> DensityModel:
        small = NequipSettings(channels=8, scalars=16, embedding=4, radial_width=8, lmax_sent=2)
        return make_model(ModelSettings(nequip=small, elements=suite.ELEMENTS), seed=1)


class TestMembers(suite.PropertySuite):
    """Three readouts on one encoder: their mean has every property that one has."""

    def make(self) -> DensityModel:
        small = NequipSettings(channels=4, scalars=16, embedding=4, radial_width=8, lmax_sent=1, layers=1)
        return make_model(ModelSettings(nequip=small, elements=suite.ELEMENTS, members=3), seed=2)

    def test_the_density_is_the_mean_of_different_members(self, model, points):
        s = suite.crystal()
        graph = build_graph(s.numbers, s.positions, s.cell, model.encoder.cutoff)
        probes = make_probes(points, s, *model.cutoffs[1:]).to("cpu", torch.float64)
        with torch.no_grad():
            members = zip(*model.member_coefficients(graph), strict=True)
            each = torch.stack([model.readout.at_points(c, probes) for c in members]).numpy()
        assert len(each) == 3 and each.std(0).mean() > 0.1 * np.abs(each).mean()
        np.testing.assert_allclose(each.mean(0), suite.density(model, s, points), atol=1e-12)
