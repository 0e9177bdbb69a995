"""Shipped weights give what the plain networks in PyTorch give with them; no PyTorch is needed to see it.

The numbers are made by scripts/make_learned_reference.py, in double precision and stored in single.
"""

import sys
from pathlib import Path

import ase
import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.learned.coefficients import class_features
from rhotem.learned.grid import on_grid
from rhotem.learned.model import LearnedModel, load_model
from rhotem.learned.spin import moment_signs, spin_coefficients
from rhotem.structure.model import Structure

DATA = Path(__file__).parents[1] / "data" / "learned"
#: Largest difference over the largest number: of what is stored, and of single precision.
LIMITS = {np.float64: 2e-7, np.float32: 1e-5}


@pytest.fixture(scope="module", params=["default", "fast"])
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def stored(name) -> dict[str, np.ndarray]:
    with np.load(DATA / f"{name}.npz") as data:
        return dict(data)


@pytest.fixture(scope="module")
def structure(stored) -> Structure:
    atoms = ase.Atoms(stored["numbers"], stored["positions"], cell=stored["cell"], pbc=True)
    return Structure(atoms, charge=float(stored["charge"]))


@pytest.fixture(scope="module", params=LIMITS, ids=["double", "single"])
def dtype(request) -> type:
    return request.param


@pytest.fixture(scope="module")
def model(name, dtype) -> LearnedModel:
    return load_model(name, dtype)[0]


def assert_close(found: np.ndarray, expected: np.ndarray, dtype: type) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=LIMITS[dtype] * np.abs(expected).max())


def test_features_of_atoms(model, structure, stored, dtype):
    encoder, features = class_features(model, structure)
    assert_close(features.scalars[encoder.classes], stored["scalars"], dtype)
    kept = stored["tensors"].shape[2]
    assert_close(features.tensors[encoder.classes][:, :, :kept], stored["tensors"], dtype)


def test_coefficients_of_the_mean_and_of_every_member(model, structure, stored, dtype):
    for key, c in zip(("near", "far"), model.readout.prepare(structure), strict=True):
        assert_close(c, stored[key], dtype)
    for key, c in zip(("near", "far"), model.readout.prepare_members(structure), strict=True):
        assert_close(c[:, 0], stored[f"members_{key}"], dtype)


def test_the_density_at_points_and_on_a_grid(model, structure, stored, dtype):
    prepared = model.readout.prepare(structure)
    assert_close(model.readout.at_points(prepared, structure, stored["points"]), stored["density"], dtype)
    grid = PeriodicGrid(structure.cell, (6, 5, 4))
    on_points = model.readout.at_points(prepared, structure, grid.points().reshape(-1, 3)).reshape(grid.shape)
    values = on_grid(model.readout.blocks, prepared, structure.positions, grid)
    np.testing.assert_allclose(values, on_points, atol=1e-12 * np.abs(values).max())


def test_the_magnetisation(model, structure, stored, dtype):
    if model.spin is None:
        assert "spin_near" not in stored
        return
    found = spin_coefficients(model, structure, moment_signs(structure))
    for key, c in zip(("near", "far"), found, strict=True):
        assert_close(c, stored[f"spin_{key}"], dtype)


def test_predicting_does_not_import_what_training_needs():
    import subprocess

    code = (
        "import sys; from rhotem.learned.source import Model; from rhotem.structure.phases import phase;"
        "from rhotem.core import PeriodicGrid; s = phase('LiF');"
        "m = Model('default', spin=True); m(s, PeriodicGrid.from_spacing(s.cell, 0.5)); m.planes(s);"
        "list(m.members(s, PeriodicGrid.from_spacing(s.cell, 0.5)));"
        "print([p for p in ('torch', 'e3nn', 'sevenn', 'rhotem.training') if p in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
