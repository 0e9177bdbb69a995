"""Summaries of densities against waves that are known, and slices against atoms whose places are known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from rhotem.analysis.columns import columns
from rhotem.analysis.run import specimen, structure
from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import EPS0
from rhotem.density.field import DensityField
from rhotem.library.density.slices import PLANES, SIDE, richest, slice_of, spacing
from rhotem.library.density.summary import POINTS, STEP, grid_of, open_summary, summarised
from rhotem.library.layout import DESCRIPTION
from rhotem.library.shard import read_shard, seal
from rhotem.structure.model import Structure

#: Lattice constant of LiF in Å.
A = 4.03
LIF = Structure(bulk("LiF", "rocksalt", a=A, cubic=True))


class Waves:
    """A source whose members are waves cos 2πx/a of these heights in e/Å³."""

    spacing = 0.2

    def __init__(self, *heights):
        self.heights = heights

    @property
    def member_count(self):
        return len(self.heights)

    def members(self, structure, grid):
        for height in self.heights:
            yield self.field(structure, grid, height)

    def __call__(self, structure, grid):
        return self.field(structure, grid, np.mean(self.heights))

    @staticmethod
    def field(structure, grid, height):
        x = (grid.points().reshape(-1, 3) @ np.linalg.inv(structure.cell))[:, 0].reshape(grid.shape)
        return DensityField("deformation", structure, grid, height * np.cos(2 * np.pi * x), source="waves")


@pytest.fixture(scope="module")
def cut():
    return specimen(LIF, zone=(0, 0, 1), thickness=0.4, keep_cell=True)


@pytest.fixture(scope="module")
def summary(cut):
    source = Waves(0.2, 0.3, 0.4)
    crystal = cut.cell.unrotated
    return summarised(cut, source(crystal, PeriodicGrid.from_spacing(crystal.cell, 0.2)), source)


def test_a_wave_is_kept_and_makes_its_potential(summary):
    """Folding damps cos 2πx/a by exp(−2(πσ/a)²), σ = half a step; Poisson makes −e A a²/(4π²ε0) of it."""
    damped = 0.3 * np.exp(-2 * (np.pi * 0.5 * summary.step / A) ** 2)
    assert summary.step <= STEP and summary.difference.max() == pytest.approx(damped, rel=1e-6)
    assert summary.difference[0, :, :] == pytest.approx(damped, rel=1e-6)
    assert summary.potential.min() == pytest.approx(-0.3 * A**2 / (4 * np.pi**2 * EPS0), rel=1e-2)


def test_error_bars_are_the_spread_of_members(summary):
    """Members of 0.2, 0.3, 0.4 have σ = 0.1; 90 % of a Gaussian lies within 1.645 σ."""
    assert summary.missing == ""
    assert summary.error.max() == pytest.approx(1.645 * 0.1 / 0.3 * summary.difference.max(), rel=1e-3)
    assert summary.potential_error.max() == pytest.approx(1.645 / 3 * np.abs(summary.potential).max(), rel=1e-3)


def test_without_members_it_says_so(cut):
    crystal = cut.cell.unrotated
    field = Waves.field(crystal, PeriodicGrid.from_spacing(crystal.cell, 0.2), 0.3)
    held = summarised(cut, field, object())
    assert held.error is None and held.potential_error is None and "does not know" in held.missing


def test_free_atoms_have_none(cut):
    crystal = cut.cell.unrotated
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.2)
    nothing = DensityField("deformation", crystal, grid, np.broadcast_to(0.0, grid.shape), source="free atoms")
    assert summarised(cut, nothing, object()) is None


def test_of_large_cells_it_is_coarser():
    large = Structure(Atoms("H", cell=[40, 41, 42], pbc=True))
    assert grid_of(large).size <= POINTS < PeriodicGrid.from_spacing(large.cell, STEP).size


def test_what_is_written_is_read(summary, tmp_path):
    summary.save(tmp_path / "density.zarr")
    again = open_summary(tmp_path / "density.zarr")
    np.testing.assert_allclose(again.difference, summary.difference, atol=2e-4)
    np.testing.assert_allclose(again.potential_error, summary.potential_error, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(again.numbers, summary.numbers)
    assert (again.extent, again.source, again.missing) == (summary.extent, "waves", "")
    assert sum(path.stat().st_size for path in Path(tmp_path).rglob("*") if path.is_file()) < 300_000


def test_a_side_that_was_changed_is_seen_on_opening_and_by_verify(summary, tmp_path):
    """A cell of another extent would be drawn as if it had been calculated."""
    folder = tmp_path / "0123"
    folder.mkdir()
    summary.save(folder / "density.zarr")
    (folder / DESCRIPTION).write_text(json.dumps({"entry": {"id": "0123"}}))
    seal(folder)
    assert read_shard(folder)["entry"]["id"] == "0123"
    about = folder / "density.zarr" / "zarr.json"
    said = json.loads(about.read_text())
    said["attributes"]["extent"][0] *= 1.01
    about.write_text(json.dumps(said))
    with pytest.raises(InputError, match=r"density\.zarr: what it says of itself differs from what was written"):
        open_summary(folder / "density.zarr")
    with pytest.raises(InputError, match=r"density\.zarr/zarr\.json differs from what was written"):
        read_shard(folder)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"cell": np.full((3, 3), np.nan)},
        {"cell": np.ones((3, 3))},
        {"cell": 1e-3 * A * np.eye(3), "named": 1e-3 * A * np.eye(3)},
        {"difference": np.zeros(27)},
        {"difference": np.full((5, 5, 5), np.nan), "error": None},
        {"error": np.zeros((3, 3, 3))},
        {"potential_error": np.zeros(9)},
        {"numbers": np.full(8, 200)},
        {"positions": np.zeros((3, 3))},
        {"extent": (0.0, 4.0)},
        {"extent": (np.nan, 4.0)},
    ],
    ids=lambda spoilt: "-".join(spoilt),
)
def test_what_no_crystal_has_is_refused(summary, tmp_path, spoilt):
    """Written with checksums that are right: shapes, numbers that are none, atoms that there are not."""
    replace(summary, **spoilt).save(tmp_path / "density.zarr")
    with pytest.raises(InputError, match="make it again"):
        open_summary(tmp_path / "density.zarr")


def test_another_version_is_refused(summary, tmp_path):
    summary.save(tmp_path / "density.zarr")
    about = tmp_path / "density.zarr" / "zarr.json"
    said = json.loads(about.read_text())
    said["attributes"]["version"] = 9
    about.write_text(json.dumps(said))
    with pytest.raises(InputError, match="version 9 of density summary"):
        open_summary(tmp_path / "density.zarr")


def test_a_slice_follows_the_wave(summary):
    """Across x the plane at x = a/4 has zero, at a/2 minus the wave's height; along x it has the whole wave."""
    most = summary.difference.max()
    assert slice_of(summary, (1, 0, 0), 0.25).values == pytest.approx(0.0, abs=1e-3 * most)
    assert slice_of(summary, (1, 0, 0), 0.5).values == pytest.approx(-most, rel=2e-3)
    along = slice_of(summary, (0, 0, 1), 0.0)
    assert (along.values.min(), along.values.max()) == (pytest.approx(-most, rel=1e-2), pytest.approx(most, rel=1e-2))
    assert spacing(summary, (1, 1, 0)) == pytest.approx(A / np.sqrt(2))


def test_atoms_near_a_slice(summary):
    """The plane (001) of LiF at height 0 has Li and F in turn, a/2 apart; halfway to the next there is none."""
    cut = slice_of(summary, (0, 0, 1), 0.0)
    assert set(cut.labels) == {"Li", "F"} and np.abs(cut.away).max() < 1e-9
    assert ((cut.places >= 0) & (cut.places <= SIDE)).all()
    lithium = cut.places[[label == "Li" for label in cut.labels]]
    fluorine = cut.places[[label == "F" for label in cut.labels]]
    apart = np.linalg.norm(lithium[:, None] - fluorine[None], axis=2)
    assert apart.min() == pytest.approx(A / 2)
    assert len(cut.labels) in (25, 30, 36)  # 12 Å hold five or six rows of 2.015 Å
    assert slice_of(summary, (0, 0, 1), 0.25).labels == []
    plane, height = richest(summary)
    assert set(slice_of(summary, plane, height).labels) == {"Li", "F"}
    with pytest.raises(InputError, match="not all zero"):
        slice_of(summary, (0, 0, 0), 0.0)


def test_atoms_lie_on_the_extremes_of_a_density_that_has_them(summary):
    """A wave whose crests are the x = 0 planes: atoms drawn at x = 0 lie on its largest values."""
    cut = slice_of(summary, (0, 0, 1), 0.0)
    values = [cut.values[tuple(np.minimum((place / cut.pixel).astype(int), 119))] for place in cut.places]
    assert min(abs(abs(v) - summary.difference.max()) for v in values) < 0.01
    assert np.mean([abs(abs(v) - summary.difference.max()) for v in values]) < 0.02


def test_planes_have_the_names_of_the_standard_cell():
    """LiCoO2 is calculated in its primitive cell; (001) is that of the layers, which repeat after c/3."""
    crystal = structure("LiCoO2")
    made = specimen(crystal, zone=(1, 0, 0), thickness=0.3)
    inner = made.cell.unrotated
    field = Waves.field(inner, PeriodicGrid.from_spacing(inner.cell, 0.2), 0.1)
    held = summarised(made, field, object())
    c = float(np.linalg.norm(held.named[2]))
    assert c == pytest.approx(14.05, abs=0.05) and spacing(held, (0, 0, 1)) == pytest.approx(c / 3, rel=1e-4)
    heights = [k / 12 for k in range(12)]
    layers = [set(slice_of(held, (0, 0, 1), height).labels) for height in heights]
    assert {"Li"} in layers and {"Co"} in layers and {"O"} in layers and {"Li", "Co"} not in layers
    assert slice_of(held, (0, 0, 1), 0.0).right @ np.array([0, 0, 1]) == 0


@pytest.mark.parametrize("zone", [(0, 0, 1), (1, 0, 0), (1, 1, 0)])
def test_an_oblique_cell_is_neither_bent_nor_mirrored(zone):
    """A blob of electrons at the oxygen of a triclinic cell without a centre: every slice has its crest on the circle.

    Nothing here is even, as a wave is: a sign of a Fourier sum that is wrong puts the crest at −r.
    """
    cell = np.array([[4.1, 0, 0], [1.0, 5.3, 0], [-0.8, 1.4, 6.7]])
    places = [[0.5, 0.7, 0.4], [2.3, 2.9, 1.9], [1.4, 4.6, 5.2]]
    made = specimen(Structure(Atoms("LiOF", positions=places, cell=cell, pbc=True)), zone=zone, thickness=0.4)
    crystal = made.cell.unrotated
    oxygen = crystal.positions[list(crystal.numbers).index(8)]
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.15)
    blob = np.zeros(grid.shape)
    for shift in np.ndindex(3, 3, 3):
        away = grid.points() - oxygen - (np.array(shift) - 1) @ crystal.cell
        blob += np.exp(-(away**2).sum(axis=-1) / (2 * 0.45**2))
    field = DensityField("deformation", crystal, grid, blob - blob.mean(), source="blob")
    held = summarised(made, field, object())
    crest = held.difference.max()
    for plane in PLANES:
        normal = np.linalg.inv(held.named) @ np.array(plane)
        height = oxygen @ normal / np.linalg.norm(normal) / spacing(held, plane) % 1.0
        cut = slice_of(held, plane, height)
        at = cut.places[[label == "O" for label in cut.labels]]
        values = [cut.values[tuple(np.minimum((place / cut.pixel).astype(int), 119))] for place in at]
        assert len(at) > 1 and min(values) > 0.95 * crest
        peak = (np.array(np.unravel_index(cut.values.argmax(), cut.values.shape)) + 0.5) * cut.pixel
        assert np.linalg.norm(at - peak, axis=1).min() < cut.pixel
    # and the map is that of the image: electrons make the lowest potential at oxygen's columns, x first
    lowest = np.array(np.unravel_index(held.potential.argmin(), held.potential.shape)) / held.potential.shape
    names = columns(made.cell)
    apart = [(np.array(c.position) / held.extent - lowest + 0.5) % 1 - 0.5 for c in names if c.label == "O"]
    assert np.linalg.norm(np.array(apart) * held.extent, axis=1).min() < 0.2
