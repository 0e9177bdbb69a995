"""Which source is taken where none is named."""

import pytest

from rhotem.core import MissingDependencyError
from rhotem.density import source


def test_the_learned_density():
    assert source.default_source() == "model"


def test_a_source_whose_package_is_missing_says_what_to_install(monkeypatch):
    class Entry:
        name = "peer"

        @staticmethod
        def load():
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(source, "registered", lambda group: {Entry.name: Entry})
    with pytest.raises(MissingDependencyError, match=r"needs torch.*rhotem\[training\]"):
        source.get_source("peer")
