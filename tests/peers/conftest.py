"""The three reference checkpoints, imported once."""

import importlib.util
from pathlib import Path

import pytest

from rhotem.peers.checkpoint import import_checkpoint, load_peer

_spec = importlib.util.spec_from_file_location("peers_official", Path(__file__).with_name("official.py"))
assert _spec and _spec.loader
_official = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_official)


@pytest.fixture(scope="session")
def official():
    """Module that writes checkpoints in the official layouts."""
    return _official


@pytest.fixture(scope="session")
def imported(tmp_path_factory):
    """Function: name of a reference -> its model, imported from the official layout."""
    models = {}

    def load(name: str):
        if name not in models:
            folder = tmp_path_factory.mktemp(name)
            path = import_checkpoint(_official.write(folder / "official", name), name, folder=folder)
            models[name] = load_peer(path)[0]
        return models[name]

    return load
