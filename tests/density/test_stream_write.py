"""Densities written plane by plane: the same numbers as in memory, also by the workers of a cluster."""

import ase
import numpy as np
import pytest

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid
from rhotem.density import stream_write
from rhotem.density.convert import as_kind
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.files import read_density
from rhotem.density.stream import streamed
from rhotem.density.stream_write import write_streamed
from rhotem.structure.model import Structure

CELL = np.array([[6.1, 0.0, 0.4], [0.7, 5.2, 0.0], [0.0, -0.5, 17.3]])
SITES = np.array([[0.02, 0.1, 0.99], [0.5, 0.45, 0.3], [0.9, 0.2, 0.62]])


@pytest.fixture
def field() -> DensityField:
    """Noise and sharp lobes in a long oblique cell, atoms across its faces."""
    rng = np.random.default_rng(0)
    structure = Structure(ase.Atoms("LiFO", SITES @ CELL, cell=CELL, pbc=True))
    grid = PeriodicGrid(CELL, (30, 27, 84))
    radii = np.linspace(0.0, 1.2, 50)
    terms = tuple(
        OneCentre(i, radii, rng.normal(size=(9, 1)) * (radii**2 * (1.2 - radii) ** 2)[None]) for i in range(3)
    )
    return DensityField("deformation", structure, grid, 0.01 * rng.normal(size=grid.shape), terms)


@pytest.mark.parametrize("kind", ["deformation", "valence", "total"])
def test_planes_hold_what_the_whole_holds(field, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(stream_write, "ATOM", 0.0)
    expected = as_kind(field, kind)
    memory = 32.0 * 30 * 27 * 17
    record = write_streamed(streamed(field), tmp_path / "n.zarr", kind, memory_limit=memory)
    found = read_density(tmp_path / "n.zarr")
    np.testing.assert_allclose(found.values, expected.values, atol=1e-9 * np.abs(expected.values).max())
    assert record["electrons_on_grid"] == pytest.approx(field.grid.integrate(expected.values), abs=1e-9)
    assert found.structure.formula == field.structure.formula and found.grid == field.grid
    assert [p.name for p in tmp_path.iterdir()] == ["n.zarr"]
    if kind == "total":  # neutral atoms, 20 electrons, and what the deformation holds
        assert record["electrons_on_grid"] == pytest.approx(
            20.0 + field.grid.integrate(as_kind(field, "deformation").values)
        )


@pytest.mark.parametrize("kind", ["valence", "total"])
def test_atoms_that_do_not_reach_the_planes_are_left_out(field, tmp_path, kind, monkeypatch):
    """Asking only atoms that are near gives what asking all gives, bit for bit; fewer are asked."""
    from rhotem.density.superpose import add_atom_to_planes

    monkeypatch.setattr(stream_write, "ATOM", 0.0)
    asked = []

    def counted(values, wanted, structure, grid, atom, *more):
        asked.append(atom)
        add_atom_to_planes(values, wanted, structure, grid, atom, *more)

    monkeypatch.setattr(stream_write, "add_atom_to_planes", counted)
    memory = 32.0 * 30 * 27 * 17
    write_streamed(streamed(field), tmp_path / "near.zarr", kind, memory_limit=memory)
    some = len(asked)
    monkeypatch.setattr(stream_write, "near_planes", lambda grid, planes, positions, reach: np.arange(len(positions)))
    write_streamed(streamed(field), tmp_path / "all.zarr", kind, memory_limit=memory)
    assert some < len(asked) - some
    near, every = (read_density(tmp_path / f"{name}.zarr").values for name in ("near", "all"))
    np.testing.assert_array_equal(near, every)


def test_what_cannot_be_is_said(field, tmp_path):
    with pytest.raises(MemoryLimitError, match="allowed"):
        write_streamed(streamed(field), tmp_path / "n.zarr", memory_limit=1e6)
    with pytest.raises(InputError, match="kind"):
        write_streamed(streamed(field), tmp_path / "n.zarr", "spin")
    assert not list(tmp_path.iterdir())


def test_workers_write_the_same_bits(field, tmp_path):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    limit = stream_write.ATOM + 32.0 * 30 * 27 * 17
    write_streamed(streamed(field), tmp_path / "here.zarr", memory_limit=limit)
    with distributed.LocalCluster(**options) as cluster:
        scheduler = cluster.scheduler_address
        write_streamed(streamed(field), tmp_path / "there.zarr", memory_limit=limit, scheduler=scheduler)
    here, there = (read_density(tmp_path / f"{name}.zarr").values for name in ("here", "there"))
    np.testing.assert_array_equal(there, here)
