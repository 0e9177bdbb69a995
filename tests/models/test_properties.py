"""Every architecture against the same properties."""

import importlib.util
from pathlib import Path

from rhotem.models.encoders.nequip import NequipSettings
from rhotem.models.model import DensityModel, ModelSettings, make_model

_spec = importlib.util.spec_from_file_location("models_suite", Path(__file__).with_name("suite.py"))
assert _spec and _spec.loader
suite = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(suite)


class TestNequipSpherical(suite.PropertySuite):
    def make(self) -> DensityModel:
        small = NequipSettings(channels=8, scalars=16, embedding=4, radial_width=8, lmax_sent=2)
        return make_model(ModelSettings(nequip=small, elements=suite.ELEMENTS), seed=1)
