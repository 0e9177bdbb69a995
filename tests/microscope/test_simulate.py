"""Images from potentials: analytic limits, conservation, signs, and agreement of the engines."""

import weakref

import numpy as np
import pytest

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid
from rhotem.microscope.plan import make_plan
from rhotem.microscope.presets import get_preset
from rhotem.microscope.scan import Scan, fourier_resample
from rhotem.microscope.settings import Annular, CenterOfMass, Microscope, Pixelated, Segmented
from rhotem.microscope.simulate import simulate, simulate_series
from rhotem.potential.slices import PotentialSlices

from .conftest import COLUMNS, gaussian_slices

MICROSCOPE = Microscope(energy=200e3, convergence=25.0)


def weak(strength=1e-3):
    """One slice so thin that scattering is first order."""
    return gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, number=1, thickness=0.01, strength=strength)


def test_icom_of_a_weak_phase_object_is_its_blurred_phase():
    """⟨k⟩ = ∇(σV ⊗ |ψ|²)/2π: iCoM is the projected phase times the transfer function of the round aperture."""
    slices = weak()
    scan = Scan.cell(slices.extent, MICROSCOPE)
    images = simulate([slices], MICROSCOPE, scan, [CenterOfMass(outer=60.0)], algorithm="bloch")
    phase = MICROSCOPE.interaction * slices.array[0]
    qx, qy = (np.fft.fftfreq(n) * n / l for n, l in zip(phase.shape, slices.extent, strict=True))
    q = np.hypot(qx[:, None], qy[None]) * MICROSCOPE.wavelength / (2 * MICROSCOPE.convergence * 1e-3)
    disc = np.arccos(np.clip(q, 0, 1))
    overlap = np.where(q < 1, 2 / np.pi * (disc - np.cos(disc) * np.sin(disc)), 0.0)
    blurred = np.fft.ifft2(np.fft.fft2(phase - phase.mean()) * overlap).real
    expected = fourier_resample(blurred, scan.shape)
    assert np.abs(images["iCoM"] - expected).max() < 0.01 * np.abs(expected).max()


def test_deflection_points_to_the_nucleus_and_idpc_peaks_there():
    slices = weak(1e-2)
    scan = Scan((24, 36), slices.extent)
    images = simulate([slices], MICROSCOPE, scan, [CenterOfMass(outer=60), Segmented(inner=0, outer=25)])
    x, y, _ = COLUMNS[0]
    i, j = round(x / scan.step[0]), round(y / scan.step[1])
    for name in ("CoM", "DPC"):
        assert images[f"{name}x"][i - 2, j] > 0 > images[f"{name}x"][i + 2, j]
        assert images[f"{name}y"][i, j - 2] > 0 > images[f"{name}y"][i, j + 2]
    for name in ("iCoM", "iDPC", "dDPC"):
        peak = np.unravel_index(images[name].argmax(), scan.shape)
        assert abs(peak[0] - i) <= 1 and abs(peak[1] - j) <= 1


def test_all_angles_together_are_the_whole_beam(crystal):
    fine = [gaussian_slices((4.2, 6.3), (96, 144), COLUMNS, number=6)]
    images = simulate(fine, MICROSCOPE, Scan((4, 6), (4.2, 6.3)), [Annular(name="all", outer=170.0)])
    assert np.allclose(images["all"], 1.0, atol=2e-3)
    assert images.diffraction.sum() == pytest.approx(1.0, abs=2e-3)


def test_vacuum_gives_the_detector_geometry():
    """No specimen: a disc of uniform intensity, so each ring takes its share of the area, whatever the supercell."""
    vacuum = gaussian_slices((4.2, 6.3), (48, 72), ((1.0, 1.0, 0.0),), number=2)
    detectors = [
        Annular(name="ABF", inner=12.5, outer=25),
        Annular(name="BF", outer=12.5),
        Segmented(inner=0, outer=25),
    ]
    for window in (13.0, 25.0):
        plan = make_plan(vacuum, MICROSCOPE, Scan((2, 2), vacuum.extent), detectors, window=window, algorithm="bloch")
        images = simulate([vacuum], MICROSCOPE, Scan((2, 2), vacuum.extent), detectors, plan=plan)
        assert np.allclose(images["ABF"], 0.75, atol=0.01)
        assert np.allclose(images["BF"], 0.25, atol=0.01)
        assert np.allclose(images["DPCx"], 0, atol=1e-4)


def test_a_scan_that_is_too_coarse_for_its_images_is_said(crystal):
    """λ/4α determines an image: the same plan at that step is silent, and says it in plan and record above it."""
    detectors, extent = [Annular(name="ADF", inner=30, outer=60)], crystal[0].extent
    enough = MICROSCOPE.wavelength / (4e-3 * MICROSCOPE.convergence)
    fewest = [int(np.ceil(length / enough)) for length in extent]
    fine, coarse = (
        make_plan(crystal[0], MICROSCOPE, Scan((fewest[0] - less, fewest[1]), extent), detectors) for less in (0, 1)
    )
    assert fine.warnings == () and "warning" not in str(fine)
    assert f"scan step {extent[0] / (fewest[0] - 1):.3f} Å" in str(coarse) and f"{enough:.3f} Å" in coarse.warnings[0]
    assert coarse.record()["warnings"] == coarse.warnings


def test_configurations_are_averaged_incoherently(crystal):
    """abTEM: plain mean. Bloch beams: each configuration gets half of the κ, so both orders together give it."""
    scan = Scan((5, 7), crystal[0].extent)
    detectors = [Annular(name="ADF", inner=30, outer=60)]
    for algorithm in ("multislice", "bloch"):
        plan = make_plan(crystal[0], MICROSCOPE, scan, detectors, algorithm=algorithm, configurations=2)
        single = [simulate([c], MICROSCOPE, scan, detectors, plan=plan, configurations=1)["ADF"] for c in crystal]
        both = [simulate(pair, MICROSCOPE, scan, detectors, plan=plan) for pair in (crystal, crystal[::-1])]
        assert np.allclose((both[0]["ADF"] + both[1]["ADF"]) / 2, (single[0] + single[1]) / 2, rtol=1e-5)
        assert both[0].record["configurations"] == 2
        assert np.allclose(both[0]["ADF"], both[1]["ADF"], rtol=1e-5) == (algorithm == "multislice")


def test_one_potential_at_a_time_is_in_memory():
    held = []

    def build(seed):
        assert not [ref for ref in held if ref() is not None]
        potential = gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, number=2, seed=seed)
        held.append(weakref.ref(potential))
        return potential

    bf = [Annular(name="BF", outer=10)]
    simulate((build(i) for i in range(3)), MICROSCOPE, Scan((2, 2), (4.2, 6.3)), bf, configurations=3)
    assert len(held) == 3


def test_equal_cells_of_a_scan_are_averaged_and_one_is_shown():
    """Two cells side by side, same atoms: the folded image is the image of the single cell, not of the pair."""
    one = gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, number=3)
    grid = PeriodicGrid(np.diag([8.4, 6.3, one.grid.cell[2, 2]]), (96, 72, 3))
    two = PotentialSlices(np.tile(one.array, (1, 2, 1)), grid, 0.0)
    detectors = [Annular(name="ADF", inner=30, outer=60), Segmented(inner=0, outer=25)]
    plans = [
        make_plan(s, MICROSCOPE, Scan((6, 9), s.extent), detectors, algorithm="bloch", window=16.0) for s in (one, two)
    ]
    single = simulate([one], MICROSCOPE, Scan((6, 9), one.extent), detectors, plan=plans[0])
    folded = simulate([two], MICROSCOPE, Scan((12, 9), two.extent), detectors, plan=plans[1], repeats=(2, 1))
    assert folded.scan.size == pytest.approx(single.scan.size)
    for name in single.images:
        assert np.allclose(folded[name], single[name], atol=2e-5 * np.abs(single[name]).max())


def test_thickness_series_equals_separate_runs(crystal):
    slices = crystal[0]
    scan = Scan((4, 6), slices.extent)
    detectors = [Annular(name="ADF", inner=30, outer=60)]
    series = simulate_series([slices], MICROSCOPE, scan, detectors, thicknesses=[4.0, 12.0])
    thin = PotentialSlices(slices.array[:2], PeriodicGrid(np.diag([4.2, 6.3, 4.0]), (48, 72, 2)), 0.0)
    plan = make_plan(slices, MICROSCOPE, scan, detectors)
    assert np.allclose(series[0]["ADF"], simulate([thin], MICROSCOPE, scan, detectors, plan=plan)["ADF"], rtol=1e-5)
    assert [s.record["thickness"] for s in series] == [4.0, 12.0]


@pytest.mark.parametrize("algorithm", ["multislice", "prism"])
def test_engines_agree(crystal, algorithm):
    """abTEM's multislice and uninterpolated PRISM against Bloch beams with the same detectors; edges differ."""
    scan = Scan((3, 4), crystal[0].extent)
    detectors = [Annular(name="ADF", inner=30, outer=60), Annular(name="BF", outer=15), CenterOfMass(outer=50)]
    ours = simulate(crystal[:1], MICROSCOPE, scan, detectors, algorithm="bloch")
    other = simulate(crystal[:1], MICROSCOPE, scan, detectors, algorithm=algorithm)
    for name in ("ADF", "BF"):
        assert np.abs(ours[name] - other[name]).max() < 0.04 * ours[name].max()
    assert np.abs(ours["CoMx"] - other["CoMx"]).max() < 0.04 * np.abs(ours["CoMx"]).max()


def test_focal_spread_is_an_average_over_defocus(crystal):
    spread = 30.0
    scan = Scan((4, 6), crystal[0].extent)
    detectors = [Annular(name="ADF", inner=30, outer=60)]
    blurred = simulate(crystal[:1], Microscope(convergence=25, focal_spread=spread), scan, detectors)["ADF"]
    nodes = np.linspace(-3, 3, 13)  # of a Gaussian the sum at half a deviation is the integral
    weights = np.exp(-(nodes**2) / 2)
    average = sum(
        w
        * simulate(crystal[:1], Microscope(convergence=25, defocus=spread * x), scan, detectors, algorithm="bloch")[
            "ADF"
        ]
        for x, w in zip(nodes, weights / weights.sum(), strict=True)
    )
    plan_window_effect = 0.01
    assert np.abs(blurred - average).max() < plan_window_effect * average.max()


def test_dose_noise_is_poisson():
    """Variance of counted electrons equals their mean, within four standard errors of 24·36 pixels."""
    slices = weak()
    scan = Scan((24, 36), slices.extent)
    microscope = Microscope(convergence=25.0, dose=1e3, pixel=None)
    detectors = [Annular(name="BF", outer=12.5)]
    clean = simulate([slices], MICROSCOPE, scan, detectors)["BF"]
    noisy = simulate([slices], microscope, scan, detectors, rng=np.random.default_rng(4))["BF"]
    electrons = 1e3 * scan.step[0] * scan.step[1]
    z = (noisy - clean) * electrons / np.sqrt(clean * electrons)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / z.size)
    assert np.allclose(noisy * electrons, np.round(noisy * electrons))


def test_noisy_images_cover_a_field_of_view_and_noise_does_not_repeat():
    """The mean signal repeats with the cell, the counts do not; doubling the pixel's area doubles its electrons."""
    slices = weak()
    detectors = [Annular(name="BF", outer=12.5), Segmented(inner=0, outer=25)]
    microscope = Microscope(convergence=25.0, dose=1e4, pixel=0.3, field=20.0)
    images = simulate([slices], microscope, None, detectors, algorithm="bloch", rng=np.random.default_rng(4))
    assert images.scan.shape == (14 * 5, 21 * 4) and images.scan.size == pytest.approx((21.0, 25.2))
    assert max(images.sampling) <= 0.3
    first, second = images["BF"][:14, :21], images["BF"][14:28, 21:42]
    expected = np.sqrt(2 * 0.25 / (1e4 * images.sampling[0] * images.sampling[1]))
    assert (first - second).std() == pytest.approx(expected, rel=0.2)
    assert images["iDPC"].shape == images.scan.shape


def test_source_size_damps_fourier_components(crystal):
    scan = Scan.cell(crystal[0].extent, MICROSCOPE)
    detectors = [Annular(name="ADF", inner=30, outer=60)]
    sharp = np.fft.fft2(simulate(crystal[:1], MICROSCOPE, scan, detectors)["ADF"])
    blurred = simulate(crystal[:1], Microscope(convergence=25, source_size=0.8), scan, detectors)["ADF"]
    sigma = 0.8 / 2.354820045
    expected = np.exp(-2 * (np.pi * sigma / 4.2) ** 2)
    assert abs(np.fft.fft2(blurred)[1, 0] / sharp[1, 0]) == pytest.approx(expected, rel=1e-6)


def test_nyquist_scan_determines_the_image_everywhere(crystal):
    coarse = Scan.cell(crystal[0].extent, MICROSCOPE)
    fine = Scan((2 * coarse.shape[0], 2 * coarse.shape[1]), coarse.size)
    detectors = [Annular(name="ADF", inner=30, outer=60), Pixelated(outer=20)]
    images = simulate(crystal[:1], MICROSCOPE, coarse, detectors)
    dense = simulate(crystal[:1], MICROSCOPE, fine, detectors)["ADF"]
    assert np.abs(fourier_resample(images["ADF"], fine.shape) - dense).max() < 1e-5 * dense.max()
    assert np.allclose(images.patterns["4D"][0, 0].sum(), dense.max(), atol=1.0)


def test_errors_are_one_clear_line(crystal):
    scan = Scan((2, 2), crystal[0].extent)
    haadf = [Annular(name="HAADF", inner=68, outer=200)]
    with pytest.raises(InputError, match=r"grid step 0\.0875 Å carries 93 mrad.*use a step of 0\.0405 Å"):
        simulate(crystal, MICROSCOPE, scan, haadf)
    with pytest.raises(InputError, match="no potential"):
        simulate([], MICROSCOPE, scan, haadf)
    with pytest.raises(InputError, match="rng"):
        simulate(crystal, Microscope(dose=10), scan, [Annular(name="BF", outer=10)])
    with pytest.raises(MemoryLimitError, match=r"needs .* GB, .* GB allowed"):
        make_plan(crystal[0], MICROSCOPE, scan, [Annular(name="BF", outer=10)], memory_limit=1e6)
    with pytest.raises(InputError, match="algorithm 'magic'"):
        make_plan(crystal[0], MICROSCOPE, scan, [Annular(name="BF", outer=10)], algorithm="magic")


@pytest.mark.parametrize("outer", [26.0, 34.0])
def test_idpc_of_four_segments_has_the_scale_of_the_phase(outer):
    """A slow weak phase: four segments over the rim of the disc give it back in rad, as the centre of mass does."""
    extent, shape = (40.0, 5.0), (400, 50)
    x = np.arange(shape[0]) / shape[0] * extent[0]
    phase = 0.01 * np.cos(2 * np.pi * x / extent[0])[:, None] * np.ones(shape[1])
    grid = PeriodicGrid(np.diag([*extent, 1e-3]), (*shape, 1))
    slices = PotentialSlices((phase / MICROSCOPE.interaction)[None].astype(np.float32), grid, 0.0)
    detectors = [Segmented(inner=6, outer=outer), CenterOfMass(outer=60.0)]
    images = simulate([slices], MICROSCOPE, Scan((40, 2), extent), detectors, algorithm="bloch")
    assert np.ptp(images["iCoM"]) == pytest.approx(np.ptp(phase), rel=0.06)
    assert np.ptp(images["iDPC"]) == pytest.approx(np.ptp(phase), rel=0.10)


def test_pixelated_detectors_get_every_configuration_complete(crystal):
    scan = Scan((3, 4), crystal[0].extent)
    plan = make_plan(crystal[0], MICROSCOPE, scan, [Pixelated(outer=40.0)], algorithm="bloch", configurations=2)
    both = simulate(crystal, MICROSCOPE, scan, [Pixelated(outer=40.0)], plan=plan)
    single = [simulate([c], MICROSCOPE, scan, [Pixelated(outer=40.0)], plan=plan, configurations=1) for c in crystal]
    mean = (single[0].patterns["4D"] + single[1].patterns["4D"]) / 2
    assert not plan.shared
    assert np.allclose(both.patterns["4D"], mean, rtol=1e-4, atol=1e-9)


def test_patterns_do_not_depend_on_what_is_recorded_beside_them(crystal):
    """Corners of the square pattern lie beyond its outer angle; they were filled only where another detector saw."""
    slices, microscope = crystal[0], Microscope(energy=200e3, convergence=20)
    scan = Scan((2, 3), slices.extent)
    shown = [
        simulate([slices], microscope, scan, detectors, algorithm="bloch", configurations=1).patterns["4D"]
        for detectors in ([Pixelated(outer=30)], [Pixelated(outer=30), Annular(name="ADF", inner=40, outer=60)])
    ]
    np.testing.assert_allclose(shown[0], shown[1], rtol=0, atol=1e-7)
    assert shown[0][:, 0, 0].min() > 0


@pytest.mark.parametrize("preset", ["pacbed", "ptychography"])
def test_patterns_take_complete_configurations(preset, crystal):
    """A pixel of a pattern belongs to one κ: sharing configurations by κ would show it a single one."""
    chosen = get_preset(preset)
    detectors = (Pixelated(outer=30.0), Annular(name="ADF", inner=30, outer=60))
    scan = Scan((2, 3), crystal[0].extent)
    for seen in (chosen.detectors, detectors):
        for algorithm in ("auto", "bloch", "multislice"):
            plan = make_plan(crystal[0], MICROSCOPE, scan, seen, algorithm=algorithm, configurations=2)
            assert not plan.shared
    both = simulate(crystal, MICROSCOPE, scan, detectors, algorithm="bloch")
    single = [simulate([c], MICROSCOPE, scan, detectors, algorithm="bloch") for c in crystal]
    for kind in ("patterns", "images"):
        for name, values in getattr(both, kind).items():
            mean = (getattr(single[0], kind)[name] + getattr(single[1], kind)[name]) / 2
            np.testing.assert_allclose(values, mean, rtol=1e-4, atol=1e-9)
    assert both.record["phonon_sampling"] == "every configuration complete"
    shared = make_plan(crystal[0], MICROSCOPE, scan, detectors[1:], algorithm="bloch", configurations=2)
    assert shared.shared
    with pytest.raises(InputError, match="make the plan for these detectors"):
        simulate(crystal, MICROSCOPE, scan, detectors, plan=shared)
