"""The workflow: choices it makes for the user, errors it raises before work starts, and the whole chain once."""

import numpy as np
import pytest
from ase.build import bulk

from rhotem.analysis import run
from rhotem.analysis.factors import factor_table
from rhotem.core import InputError, PeriodicGrid, reflections
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.files import write_density
from rhotem.microscope.presets import get_preset
from rhotem.potential.crystal import structure_factors
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase


def test_zone_axis_follows_the_crystal_system():
    assert run.direction(phase("LiCoO2"), None) == ((1, 0, 0), False)
    assert run.direction(phase("LiMn2O4"), None) == ((1, 1, 0), False)
    assert run.direction(phase("LiFePO4"), None) == ((0, 0, 1), False)
    assert run.direction(phase("LiF"), (1, 1, 1)) == ((1, 1, 1), False)
    with pytest.raises(InputError, match="give one"):
        run.direction(phase("LiF"), (1, 1, 1), (0, 0, 1))


def test_grid_carries_the_detectors_and_too_coarse_a_one_is_refused_with_the_step_needed():
    preset = get_preset("layered-oxide")
    # λ/(2 · 2/3 pixel) must exceed 200 mrad at 200 kV: λ = 0.02508 Å.
    cut = run.specimen(phase("LiF"), (1, 0, 0), preset=preset)
    assert cut.carried >= 200
    assert cut.grid.spacing[:2].max() <= 0.0411
    with pytest.raises(InputError, match=r"200 mrad need 0\.040"):
        run.specimen(phase("LiF"), (1, 0, 0), sampling=0.1)


def test_grid_does_not_depend_on_the_detectors_alone():
    """Bright field to 22 mrad needs what scatters far beyond; a coarser grid is allowed and its error said."""
    preset = run.adjusted_preset("layered-oxide", detectors=["ABF=11-22"])
    cut = run.specimen(phase("SrTiO3"), (0, 0, 1), preset=preset, thickness=5.0)
    assert cut.carried >= cut.reach > 130
    coarse = run.specimen(phase("SrTiO3"), (0, 0, 1), preset=preset, thickness=5.0, sampling=0.2)
    (note,) = coarse.notes
    assert "sampling 0.2 Å carries 41 mrad" in note and "% of an image's range" in note
    assert not run.specimen(phase("SrTiO3"), (0, 0, 1), preset=preset, thickness=5.0, sampling=0.03).notes


def test_heavier_thicker_slower_and_still_need_more():
    def need(name="SrTiO3", kv=200, thickness=10.0, **options):
        preset = run.adjusted_preset("layered-oxide", energy=kv, detectors=["ABF=11-22"])
        crystal = Structure(bulk("Au", cubic=True)) if name == "Au" else phase(name)
        cut = run.specimen(crystal, (0, 0, 1), preset=preset, thickness=thickness, **options)
        return cut.reach / cut.preset.microscope.wavelength, cut.oversampling / cut.grid.spacing[0], cut.grid.spacing[2]

    usual = need(at_rest=False)
    assert need(at_rest=True)[0] > usual[0]
    assert need("Au", at_rest=False)[0] > usual[0] and need("Au")[1] > usual[1] and need("Au")[2] < usual[2]
    assert need("Au", 60, at_rest=False)[0] > need("Au", at_rest=False)[0]
    assert need("Au", thickness=30.0, at_rest=False)[0] > need("Au", at_rest=False)[0]


def test_dark_field_of_atoms_at_rest_does_not_depend_on_the_grid_at_columns():
    """Beams at the far rim of the probe reach the edge of a detector by way of angles beyond it: 3.1 % of range."""
    from rhotem.microscope.bloch import BlochEngine
    from rhotem.microscope.record import Recorder
    from rhotem.potential.slices import build_potential

    preset = run.adjusted_preset("layered-oxide", detectors=["HAADF=68-200"])

    def at_column_and_beside(**options):
        cut = run.specimen(phase("Si"), (1, 1, 0), preset=preset, thickness=2.0, **options)
        slices = build_potential(cut.block, cut.grid, parametrization="lobato", oversampling=cut.oversampling)
        engine = BlochEngine(preset.microscope, slices.extent, slices.wave_grid, slices.thickness, (1, 1))
        column = cut.block.structure.positions[0, :2]
        recorder = Recorder(preset.detectors, 2, preset.microscope.wavelength, engine.supercell)
        engine.run(slices.array, column + np.array([[0.0, 0.0], [1.3, 0.0]]), {len(slices.array): recorder})
        return recorder.sums[:, 0]

    usual, finer = at_column_and_beside(), at_column_and_beside(sampling=0.023)
    assert np.abs(usual - finer).max() < 0.005 * np.ptp(finer)


def test_same_seed_moves_atoms_alike_whatever_the_density():
    crystal = phase("LiF")
    cut = run.specimen(crystal, (1, 0, 0), thickness=0.8, preset="pacbed")
    grid = PeriodicGrid.from_spacing(cut.crystal.cell, 0.4)
    rng = np.random.default_rng(0)
    values = rng.normal(size=grid.shape)
    fields = [
        DensityField("deformation", cut.crystal, grid, scale * (values - values.mean())) for scale in (0.0, 0.01, 0.02)
    ]
    slices = [next(iter(run.potential(cut, f, phonons=1, seed=4))).array for f in fields]
    assert np.abs(slices[1] - slices[0]).max() > 1e-3
    assert np.allclose(slices[2] - slices[0], 2 * (slices[1] - slices[0]), atol=1e-4 * np.abs(slices[1]).max())


def test_chain_from_phase_to_images_of_one_cell():
    """HAADF of a thin crystal at rest peaks at the heavier column; the picture is one cell."""
    cut = run.specimen(run.structure("LiF"), (1, 0, 0), thickness=0.8)
    images = run.image(cut, run.potential(cut, run.density(cut), phonons=0), phonons=0)
    assert images.scan.size == pytest.approx(tuple(cut.cell.lengths[:2]))
    peak = np.unravel_index(images["HAADF"].argmax(), images.scan.shape) * np.array(images.scan.step)
    fluorine = cut.cell.structure.positions[cut.cell.structure.numbers == 9][:, :2]
    offset = (fluorine - peak + cut.cell.lengths[:2] / 2) % cut.cell.lengths[:2] - cut.cell.lengths[:2] / 2
    assert np.linalg.norm(offset, axis=1).min() < 0.3


def test_reflections_are_one_of_each_pair_and_factors_of_free_atoms_do_not_change():
    crystal = phase("Si", primitive=True)
    h = reflections(crystal.cell, 1.0)
    assert len({tuple(x) for x in h.tolist()} & {tuple(-x) for x in h}) == 0
    grid = PeriodicGrid(crystal.cell, (8, 8, 8))
    table = factor_table(DensityField("deformation", crystal, grid, np.zeros(grid.shape)), 1.0)
    change = table.change
    assert np.nanmax(np.abs(change)) < 1e-12
    # (222) of diamond: free atoms cancel.
    g222 = np.abs(table.g - np.sqrt(12) / 5.431) < 5e-3
    assert np.isnan(change[g222]).any()


def test_a_density_file_keeps_its_frame_when_the_crystal_is_turned(tmp_path):
    """A lobe along z of the file's frame stays along the crystal's c axis, so (020) and (002) do not see it alike."""
    crystal = phase("LiF")
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.3)
    radii = np.linspace(0.0, 0.8, 60)
    lobes = np.zeros((9, 60))
    lobes[6] = 0.5 * radii**2 * (1 - radii / 0.8) ** 2
    written = DensityField("deformation", crystal, grid, np.zeros(grid.shape), (OneCentre(0, radii, lobes),))
    write_density(written, tmp_path / "lobes.npz")
    cut = run.specimen(crystal, (1, 1, 0), thickness=0.8, primitive=False)
    assert np.abs(cut.cell.rotation - np.eye(3)).max() > 0.5
    field = run.density(cut, str(tmp_path / "lobes.npz"))
    h = np.array([[2, 0, 0], [0, 2, 0], [0, 0, 2], [3, 1, 1], [1, 1, 3]])
    expected = structure_factors(written, crystal, h) - structure_factors(None, crystal, h)
    found = structure_factors(field, cut.crystal, h) - structure_factors(None, cut.crystal, h)
    assert abs(expected[2]) > 1.5 * abs(expected[1]) > 0
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_a_density_file_fits_its_crystal_strained_to_close_the_cell(tmp_path):
    crystal = phase("Li2MnO3")
    cut = run.specimen(crystal, (1, 0, 0), thickness=0.8, preset="pacbed", primitive=False)
    assert cut.cell.max_strain > 2e-3
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.6)
    values = np.random.default_rng(0).normal(size=grid.shape)
    write_density(DensityField("deformation", crystal, grid, values - values.mean()), tmp_path / "rho.npz")
    field = run.density(cut, str(tmp_path / "rho.npz"))
    assert np.allclose(field.structure.cell, crystal.cell)
    assert np.allclose(field.structure.positions, crystal.positions)
    next(iter(run.potential(cut, field, phonons=0)))


def test_zero_is_not_taken_for_not_given():
    with pytest.raises(InputError, match="sampling 0"):
        run.specimen(phase("LiF"), (1, 0, 0), sampling=0.0)


def test_the_potential_says_how_many_configurations_there_are():
    """No number has to be said twice: at rest means one image without thermal motion, a list its length."""
    preset = run.adjusted_preset("layered-oxide", detectors=["BF=8"])
    cut = run.specimen(phase("LiF"), (1, 0, 0), thickness=0.4, preset=preset)
    field = run.density(cut)
    still = run.potential(cut, field, phonons=0)
    assert len(still) == 1 and still.record() == {"configurations": 0, "displacements": "at rest"}
    assert run.image(cut, still).record["configurations"] == 1
    moving = run.potential(cut, field, phonons=3, seed=2)
    assert run.image(cut, moving).record["configurations"] == 3
    one, again = (np.stack([s.array for s in moving]) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert moving.record()["temperature_K"] == 300.0 and "halide" in moving.record()["displacements"]
    assert run.image(cut, [next(iter(still))] * 2).record["configurations"] == 2
    with pytest.raises(InputError, match="say how many"):
        run.image(cut, iter(still))


def test_a_pixelated_detector_scans_what_is_asked():
    """Patterns exist only where the probe was: the steps and cells of the scan are those asked for."""
    preset = run.adjusted_preset("layered-oxide", detectors=["4D=10"], convergence=8.0)
    cut = run.specimen(phase("LiF"), (1, 0, 0), thickness=0.4, preset=preset)
    images = run.image(cut, run.potential(cut, run.density(cut), phonons=0), scan_step=1.0, field_of_view=5.0)
    lx, ly = cut.cell.lengths[:2]
    assert images.scan.size == pytest.approx((2 * lx, 2 * ly))
    patterns = images.patterns["4D"]
    assert patterns.shape[:2] == images.scan.shape == (2 * int(np.ceil(lx)), 2 * int(np.ceil(ly)))
    nx = images.scan.shape[0] // 2
    np.testing.assert_allclose(patterns[:nx], patterns[nx:], atol=1e-5 * patterns.max())


def test_every_ready_phase_is_found_by_name():
    assert run.structure("LiNi0.5Mn1.5O4").formula == run.structure("LNMO").formula
    with pytest.raises(InputError, match="no such file"):
        run.structure("missing.cif")


def test_a_learned_density_needs_no_fine_grid() -> None:
    """Every coefficient of its smooth part is on the grid that it asks for, to 1e-6."""
    from rhotem.core import reflections
    from rhotem.density.fourier import coefficients
    from rhotem.learned.source import Model

    crystal, model = run.structure("LiCoO2"), Model("fast", positive="off")
    h = reflections(crystal.cell, 2.4)
    own = run.density_grid(model, crystal)
    assert own.spacing.max() <= 0.2 and run.density_grid(object(), crystal).spacing.max() <= 0.12
    coarse, fine = (
        coefficients(model(crystal, grid), h) for grid in (own, PeriodicGrid.from_spacing(crystal.cell, 0.08))
    )
    assert np.abs(coarse - fine).max() < 1e-6 * np.abs(fine).max()
