"""Slabs: the beam meets the slab first and once; vacuum across the beam is vacuum in the image."""

import numpy as np
import pytest

from rhotem.analysis import run
from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.density.source import by_planes, get_source
from rhotem.structure.assemble import slab
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase
from rhotem.structure.vacuum import find_vacuum


@pytest.fixture(scope="module")
def crystal() -> Structure:
    return slab(phase("LiF"), (0, 0, 1), 8.0, 10.0)


def test_beam_along_the_normal_meets_one_slab(crystal: Structure) -> None:
    """Whole atoms first, then vacuum; the thickness is that of the slab."""
    atoms = crystal.atoms.copy()
    # Across the end of the cell: half of it at either side of the vacuum.
    atoms.positions += atoms.cell[2] * (0.5 - atoms.get_scaled_positions()[:, 2].mean() + 0.5)
    atoms.wrap()
    cut = run.specimen(Structure(atoms), (0, 0, 1), basis="input")
    heights = cut.block.structure.positions[:, 2]
    length = cut.block.lengths[2]
    assert cut.repeats[2] == 1 and heights.min() >= 1.0 and heights.max() < length - cut.vacuum + 4.0
    assert cut.thickness == pytest.approx(np.ptp(heights) / 10, abs=1e-3)
    assert cut.vacuum == pytest.approx(length - np.ptp(heights), abs=1e-2)
    assert "one slab" in cut.notes[0]
    with pytest.raises(InputError, match="leave it out"):
        run.specimen(Structure(atoms), (0, 0, 1), basis="input", thickness=5.0)


@pytest.mark.slow
def test_vacuum_across_the_beam_is_empty_in_the_image(crystal: Structure) -> None:
    preset = run.adjusted_preset("layered-oxide", detectors=["HAADF=68-150"])
    cut = run.specimen(crystal, (1, 0, 0), basis="input", thickness=0.8, preset=preset)
    image = run.image(cut, run.potential(cut, run.density(cut), phonons=0))["HAADF"]
    axis = int(np.argmax(cut.cell.lengths[:2]))
    rows = image.mean(axis=1 - axis)
    heights = cut.cell.structure.positions[:, axis]
    places = np.arange(len(rows)) * cut.cell.lengths[axis] / len(rows)
    distance = np.abs(
        (places[:, None] - heights + cut.cell.lengths[axis] / 2) % cut.cell.lengths[axis] - cut.cell.lengths[axis] / 2
    ).min(axis=1)
    assert rows[distance > 4.0].size > 3
    assert rows[distance > 4.0].max() < 0.02 * rows.max()


def test_a_dipole_across_the_vacuum_is_warned_about(crystal: Structure, monkeypatch: pytest.MonkeyPatch) -> None:
    """p = 0.02 e/Å over the area gives a step of p/ε0 = 3.6 V; a symmetric density says nothing."""
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.4)
    s = np.arange(grid.shape[2]) / grid.shape[2] - crystal.atoms.get_scaled_positions()[:, 2].mean()
    for shape, said in ((np.sin(2 * np.pi * s), 1), (np.cos(2 * np.pi * s), 0)):
        values = np.broadcast_to(0.005 * shape, grid.shape).copy()
        field = DensityField("deformation", crystal, grid, values)
        monkeypatch.setattr(run, "get_source", lambda *a, field=field, **k: lambda structure, grid: field)
        warnings = run.density(crystal, "x").record.get("warnings", [])
        assert len(warnings) == said and all("potential step" in w for w in warnings)


@pytest.mark.parametrize("gap", [6.5, 7.5])
def test_one_definition_of_vacuum(gap: float) -> None:
    """A gap between planes is vacuum for the specimen, for the check of dipoles and for the learned density alike."""
    plain = slab(phase("LiF"), (0, 0, 1), 4.0, 20.0)
    atoms = plain.atoms.copy()
    atoms.cell[2, 2] = np.ptp(atoms.positions[:, 2]) + gap
    charged = Structure(atoms, charge=0.1)
    is_slab = find_vacuum(charged) is not None
    assert is_slab == (gap > 7.0)
    assert (run.specimen(charged, (0, 0, 1), basis="input", preset="pacbed").vacuum > 0) == is_slab
    model = get_source("model", novelty=False)
    if is_slab:
        with pytest.raises(InputError, match=" Å of vacuum"):
            by_planes(model, charged, 0.3)
    else:
        assert by_planes(model, charged, 0.3).structure is charged


def test_a_flat_sheet_is_as_thick_as_its_atoms() -> None:
    """Graphene: all nuclei at one height; two atoms of carbon scatter, and the phase is largest where they are."""
    from rhotem.analysis.columns import column_intensity, columns
    from rhotem.structure.edits.sheets import sheets

    preset = run.adjusted_preset("layered-oxide", energy=80.0, convergence=30.0, detectors=["CoM=40"])
    cut = run.specimen(sheets(phase("graphite"), 1, 10.0), (0, 0, 1), basis="input", keep_cell=True, preset=preset)
    assert cut.thickness == pytest.approx(0.2) and cut.vacuum == pytest.approx(8.0)
    image = run.image(cut, run.potential(cut, run.density(cut, "free-atoms"), phonons=0))["iCoM"]
    size = (float(cut.cell.lengths[0]), float(cut.cell.lengths[1]))
    seen = columns(cut.cell)
    assert len(seen) == 4
    heights = [column_intensity(image, size, c) for c in seen]
    assert min(heights) > 0.6 * image.max()  # of a disc of 0.3 Å
    assert np.ptp(heights) < 0.01 * image.max()
