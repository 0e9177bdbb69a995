"""The fast weights of the package rhotem-data: small, compiled, better than weights that saw labels only."""

import pytest

from rhotem.density.source import get_source
from rhotem.learned.model import load_model
from rhotem.learned.source import Model
from rhotem.learned.weights import find_model, installed_models, read_header


@pytest.fixture(scope="module")
def fast() -> Model:
    return Model("fast")


def test_small_listed_and_found_by_name():
    assert find_model("fast").stat().st_size <= 3e6
    assert {"default", "fast"} <= set(installed_models())
    assert get_source("model:fast").name == "fast"


def test_accuracy_beside_the_teacher():
    """A quarter more error than the teacher at most. (No number of old: the cells held out grow with the labels.)"""
    own, teacher = (read_header(find_model(name))["info"]["accuracy"] for name in ("fast", "default"))
    for part in ("family", "validation"):
        assert own[part]["structures"] == teacher[part]["structures"]
        assert own[part]["deformation_error"] < 1.25 * teacher[part]["deformation_error"]


def test_its_functions_and_elements_are_those_of_the_default(fast):
    teacher, _ = load_model("default")
    assert fast.model.readout.blocks == teacher.readout.blocks
    assert set(fast.model.settings.elements) == teacher.known_elements  # those of few labels came after it
    assert fast.model.settings.members == teacher.settings.members
