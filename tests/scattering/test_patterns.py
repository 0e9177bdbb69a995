"""One propagation, any aperture: position-averaged patterns of direct runs, and what is not held is refused."""

from dataclasses import replace

import numpy as np
import pytest
import zarr

from rhotem.core import InputError, MemoryLimitError
from rhotem.microscope.plan import make_plan
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, Microscope, PositionAveraged
from rhotem.microscope.simulate import simulate
from rhotem.potential.slices import PotentialSlices
from rhotem.scattering.patterns import Patterns, open_patterns, patterns
from rhotem.scattering.patterns.beams import ROUNDING
from rhotem.scattering.patterns.ladder import weights_of
from rhotem.scattering.patterns.orbits import group_of, representatives

from ..microscope.conftest import gaussian_slices
from .test_response import twisted

MICROSCOPE = Microscope(energy=200e3, convergence=20.0)
OUTER, TILT = 45.0, 5.0
#: A square cell with the symmetry p4mm.
SQUARE = ((0.0, 0.0, 110.0), (2.1, 2.1, 60.0), (2.1, 0.0, 15.0), (0.0, 2.1, 15.0))
P4MM = [np.array(m) for m in ([[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]])]
P4MM += [np.array([[-1, 0], [0, 1]]) @ m for m in P4MM]


def direct(potentials, held: Patterns, lens: Microscope, outer=OUTER):
    """A simulation of all probe positions on the supercell of the patterns, every configuration complete."""
    detectors = (PositionAveraged(outer=outer),)
    scan, number = Scan.cell(potentials[0].extent, lens), len(potentials)
    plan = make_plan(potentials[0], lens, scan, detectors, algorithm="bloch", configurations=number)
    assert not plan.shared
    plan = replace(plan, tiling=tuple(held.record["plan"]["tiling"]), windows=None)
    return simulate(potentials, lens, scan, detectors, plan=plan)


def assert_equal(pattern, reference):
    """Within what half precision makes of every pixel."""
    assert pattern.shape == reference.shape
    assert (np.abs(pattern - reference) - ROUNDING * reference).max() <= 1e-6 * reference.max()


def whole_pixels(held: Patterns, x: int, y: int) -> tuple[float, float]:
    """The tilt in mrad that shifts an aperture by whole pixels."""
    tilt = 1e3 * np.arctan(np.array([x, y]) / np.array(held.supercell) * held.microscope.wavelength)
    return float(tilt[0]), float(tilt[1])


@pytest.fixture(scope="module")
def thermal():
    return [twisted(seed=i) for i in (1, 2)]


@pytest.fixture(scope="module")
def held(thermal):
    return patterns(thermal, MICROSCOPE, OUTER, tilt=TILT, complete=True, threads=1)


@pytest.mark.parametrize("convergence, x, y", [(20.0, 0, 0), (14.3, 0, 0), (20.0, 2, -1), (17.0, -1, 3)])
def test_equals_the_direct_run(thermal, held, convergence, x, y):
    """A crystal without symmetry, two configurations, smaller apertures, tilted beams."""
    tilt = whole_pixels(held, x, y)
    reference = direct(thermal, held, MICROSCOPE.model_copy(update={"convergence": convergence, "tilt": tilt}))
    images = held.images(convergence=convergence, tilt=tilt)
    assert images.angular_step == pytest.approx(reference.angular_step)
    assert_equal(images.diffraction, reference.diffraction)


def test_mistilts_around_a_tilted_beam(thermal):
    """Far off the axis: one pixel from a beam that leans by 40 mrad."""
    base = MICROSCOPE.model_copy(update={"tilt": (40.0, -20.0)})
    made = patterns(thermal[:1], base, OUTER, tilt=3.0)
    moved = np.tan(1e-3 * np.array(base.tilt)) + np.array([1, -1]) / np.array(made.supercell) * base.wavelength
    tilt = tuple(float(t) for t in 1e3 * np.arctan(moved))
    reference = direct(thermal[:1], made, base.model_copy(update={"tilt": tilt})).diffraction
    pattern = made.pacbed(tilt=tilt)
    assert np.abs(pattern - reference).max() < ROUNDING * reference.max()
    with pytest.raises(InputError, match="hold mistilts to 3 mrad around 40, -20 mrad"):
        made.pacbed(tilt=(44.0, -20.0))


def test_tilts_between_pixels_move_the_pattern(held):
    """The mean angle in the frame of the specimen hardly depends on where pixels are, and moves with the beam."""
    x = held.step[0] * (np.arange(held.pacbed().shape[0]) - held.pacbed().shape[0] // 2)

    def disc(tilt):
        pattern = held.pacbed(thickness=0.0, tilt=(tilt, 0.0))
        return pattern.sum(), float(pattern.sum(axis=1) @ x)

    for tilt in (0.0, 0.7, 2.31):
        total, mean = disc(tilt)
        assert total == pytest.approx(1.0, abs=1e-9) and abs(mean) < 0.02 * held.step[0]


def test_camera_pixels_are_those_of_the_direct_run(thermal):
    camera = MICROSCOPE.model_copy(update={"camera_step": 1.2})
    made = patterns(thermal, camera, OUTER, complete=True)
    assert max(made.step) <= 1.2
    reference = direct(thermal, made, camera)
    assert_equal(made.pacbed(camera_step=1.2), reference.diffraction)
    coarse = made.pacbed(camera_step=2.4, outer=30.0)
    assert coarse.shape == (25, 25)
    with pytest.raises(InputError, match=r"camera step 1 mrad: the patterns have pixels of 1\.\d+ × 1\.\d+ mrad"):
        made.pacbed(camera_step=1.0)
    for none in (float("nan"), float("inf")):  # a ValueError before
        with pytest.raises(InputError, match="camera step"):
            made.pacbed(camera_step=none)


@pytest.fixture(scope="module")
def square():
    return gaussian_slices((4.2, 4.2), (48, 48), SQUARE, number=12)


def test_symmetry_saves_beams_and_changes_nothing(square):
    """p4mm, apertures on and off the axis: with an eighth of the beams the pattern is that of all."""
    every = patterns([square], MICROSCOPE, OUTER, tilt=TILT)
    fewer = patterns([square], MICROSCOPE, OUTER, tilt=TILT, symmetry=P4MM)
    assert len(every.scattered.beams) > 6 * len(fewer.scattered.beams)
    for ask in ({}, {"convergence": 12.0}, {"tilt": (1.7, -2.9)}, {"tilt": (0.0, 4.0), "convergence": 18.0}):
        np.testing.assert_allclose(fewer.pacbed(**ask), every.pacbed(**ask), rtol=2 * ROUNDING, atol=2e-6)
    reference = direct([square], every, MICROSCOPE).diffraction
    assert_equal(fewer.pacbed(), reference)
    for image in (reference.T, reference[::-1], reference[:, ::-1]):
        assert np.abs(image - reference).max() < 1e-5 * reference.max()
    turned = every.pacbed(tilt=(3.0, 1.0))
    np.testing.assert_allclose(every.pacbed(tilt=(-1.0, 3.0)), np.rot90(turned, axes=(0, 1)), rtol=1e-2, atol=2e-6)


def test_orbits_hold_every_beam_once():
    """The sum over representatives, operations and shares runs over all beams; a cell that is no square keeps less."""
    group = group_of(P4MM, (3, 3), (12.6, 12.6), (0, 0))
    x, y = np.meshgrid(np.arange(-5, 6), np.arange(-5, 6), indexing="ij")
    beams = np.stack([x, y], axis=-1).reshape(-1, 2)
    kept, share = representatives(beams, group)
    counted = np.zeros((11, 11))
    for beam, one in zip(beams[kept], share[kept], strict=True):
        for operation in group:
            counted[tuple(operation @ beam + 5)] += one
    np.testing.assert_allclose(counted, 1.0)
    assert len(group_of(P4MM, (3, 2), (12.6, 8.4), (0, 0))) == 4
    assert len(group_of(P4MM, (3, 3), (12.6, 12.6), (0.1, 0.0))) == 2
    with pytest.raises(InputError, match="no group"):
        group_of(P4MM[:2], (1, 1), (4.2, 4.2), (0, 0))
    with pytest.raises(InputError, match="whole numbers"):
        group_of([np.eye(2) * 0.5], (1, 1), (4.2, 4.2), (0, 0))


def test_intensity_is_conserved(square):
    """Up to the band limit of the grid, 187 mrad, everything that was not cut off at slices is there."""
    made = patterns([square], MICROSCOPE.model_copy(update={"convergence": 8.0}), 85.0, ladder=8.0)
    sums = made.pacbed(thickness=[0.0, 8.0, 16.0, 24.0]).sum(axis=(1, 2))
    assert sums[0] == pytest.approx(1.0, abs=1e-9)
    assert (sums <= 1.0 + ROUNDING).all() and (np.diff(sums) < ROUNDING).all() and sums[-1] > 0.99


def test_thicknesses_between_those_of_the_ladder(square):
    """A cubic through four of them; at one of the ladder exactly that, at zero the aperture."""
    ladder = patterns([square], MICROSCOPE, OUTER, ladder=4.0, symmetry=P4MM)
    exact = patterns([square], MICROSCOPE, OUTER, [2.0, 6.0, 8.0, 22.0], symmetry=P4MM)
    at_rest = ladder.pacbed(thickness=8.0)
    np.testing.assert_allclose(
        at_rest, exact.pacbed(thickness=8.0), rtol=2.0**-11, atol=1e-9
    )  # rounded to half precision
    for depth in (2.0, 6.0, 22.0):
        reference, coarse = exact.pacbed(thickness=depth), ladder.pacbed(thickness=depth)
        assert np.abs(coarse - reference).max() < 0.01 * reference.max()
    aperture = ladder.pacbed(thickness=0.0)
    assert aperture.max() == pytest.approx(np.median(aperture[aperture > 0]), rel=1e-6)
    weights = weights_of([2.0, 4.0, 6.0, 8.0, 10.0], [1.0, 5.0, 9.5, 4.0], True, 1.0)
    nodes = np.array([0.0, 2.0, 4.0, 6.0, 8.0, 10.0])
    for power in range(4):  # cubics are exact
        np.testing.assert_allclose(weights @ nodes**power, np.array([1.0, 5.0, 9.5, 4.0]) ** power, rtol=1e-12)
    fewer = ladder.at([8.0, 16.0])
    np.testing.assert_array_equal(fewer.pacbed(thickness=16.0), ladder.pacbed(thickness=16.0))
    with pytest.raises(InputError, match=r"thickness 1\.2 nm: the patterns hold 0\.8, 1\.6 nm"):
        fewer.pacbed(thickness=12.0)


def test_a_ladder_ends_in_whole_cells(square):
    made = patterns([square], MICROSCOPE, OUTER, ladder=5.0, period=2)
    assert made.thicknesses == (4.0, 8.0, 12.0, 16.0, 20.0, 24.0)


@pytest.fixture(scope="module")
def many():
    """64 configurations of a square cell."""
    return [gaussian_slices((4.2, 4.2), (48, 48), SQUARE, number=12, seed=n) for n in range(64)]


@pytest.fixture(scope="module")
def truth(many):
    """All of them complete, without symmetry."""
    return patterns(many, MICROSCOPE, OUTER, complete=True)


@pytest.mark.slow
@pytest.mark.parametrize("complete, number", [(False, 4), (True, 4)])
def test_diffuse_scattering_is_that_of_complete_configurations(many, truth, complete, number):
    """Beams dealt to a few configurations, and their error bars: against 64 that every beam went through.

    Errors are sums over all groups of configurations, of what differs and of what was stated. The mean of all groups is
    the truth within their scatter, also far from the direct beam, where there is little but diffuse scattering.
    """
    reference = truth.pacbed()
    far = (
        np.hypot(*np.meshgrid(*[np.arange(n) - n // 2 for n in reference.shape], indexing="ij")) > 25.0 / truth.step[0]
    )
    square, stated, diffuse = [], [], []
    for start in range(0, 64, number):
        made = patterns(many[start : start + number], MICROSCOPE, OUTER, complete=complete, symmetry=P4MM).images()
        stated.append(made.record["phonon_error"]["images"]["PACBED"]["everywhere"] ** 2)
        square.append(np.mean((made.diffraction - reference) ** 2))
        diffuse.append(made.diffraction[far].sum())
    # the truth is the mean of the same configurations: less by one in 64 / number
    assert 0.5 < np.sum(square) / np.sum(stated) < 2.0
    scatter = np.std(diffuse) / np.sqrt(len(diffuse))
    assert abs(np.mean(diffuse) - reference[far].sum()) < 4 * scatter + 2 * ROUNDING * reference[far].sum()
    assert reference[far].sum() > 0.01


def test_one_configuration_has_no_error_bar(square):
    made = patterns([square], MICROSCOPE, OUTER)
    assert made.images().record["phonon_error"] == {"from": "not known from one configuration", "images": {}}


@pytest.mark.parametrize(
    "ask, message",
    [
        ({"thickness": 130.0}, r"thickness 13 nm: the patterns hold 0 to 1\.2 nm"),
        ({"thickness": -1.0}, r"thickness -0\.1 nm: the patterns hold 0 to 1\.2 nm"),
        ({"convergence": 26.0}, r"convergence 26 mrad: the patterns hold up to 20 mrad"),
        ({"convergence": 22.0, "tilt": (4.0, 0.0)}, r"convergence 22 mrad: the patterns hold up to 20 mrad"),
        ({"tilt": (4.0, 4.0)}, r"tilt 4, 4 mrad .* the patterns hold mistilts to 5 mrad with 20 mrad"),
        ({"outer": 60.0}, r"patterns to 60 mrad: the patterns hold .* patterns to 45 mrad"),
        ({"convergence": 0.0}, r"convergence 0\.0, .* expected positive angles"),
        ({"convergence": 0.01, "tilt": (0.8, 0.8)}, r"less than a pixel of 1\.58 mrad"),
        ({"convergence": float("nan")}, r"expected positive angles"),
    ],
)
def test_what_is_not_held_is_refused_by_name(held, ask, message):
    with pytest.raises(InputError, match=message):
        held.images(**ask)


def test_what_does_not_fit_is_refused_with_its_size(square, thermal):
    with pytest.raises(
        MemoryLimitError, match=r"patterns of \d+ MB, 0 MB allowed: \d+ beams, .* at 6 thicknesses; take"
    ):
        patterns([square], MICROSCOPE, OUTER, ladder=4.0, most=1e3)
    with pytest.raises(MemoryLimitError, match="GB of memory"):
        patterns([square], MICROSCOPE, OUTER, memory=1e6)
    said = []
    made = patterns(thermal, MICROSCOPE, OUTER, [4.0, 12.0], announce=said.append)
    assert said[0].stored == pytest.approx(made.nbytes, rel=0.1)
    assert f"{len(made.scattered.beams)} of" in str(said[0]) and "2 thicknesses" in str(said[0])
    for wrong, message in (({"ladder": 0.0}, "ladder 0"), ({"tilt": -1.0}, "tilt -1")):
        with pytest.raises(InputError, match=message):
            patterns([square], MICROSCOPE, OUTER, **wrong)
    with pytest.raises(InputError, match="outer 0"):
        patterns([square], MICROSCOPE, 0.0)
    with pytest.raises(InputError, match="carries"):
        patterns([square], MICROSCOPE, 200.0)


def test_a_wave_that_is_not_finite_is_refused(square):
    broken = PotentialSlices(np.full_like(square.array, np.nan), square.grid, 0.0)
    with pytest.raises(InputError, match="not finite"):
        patterns([broken], MICROSCOPE, OUTER)


def test_saved_and_opened_they_are_the_same(held, tmp_path):
    path = tmp_path / "patterns.zarr"
    held.save(path)
    opened = open_patterns(path)
    ask = {"convergence": 17.0, "tilt": (1.0, 2.0), "thickness": 9.0}
    np.testing.assert_array_equal(opened.pacbed(**ask), held.pacbed(**ask))
    assert opened.images(**ask).record["phonon_error"] == held.images(**ask).record["phonon_error"]
    assert str(opened) == str(held)
    with pytest.raises(InputError, match="exists"):
        held.save(path)
    about = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(about.replace('"outer_mrad": 45.0', '"outer_mrad": 46.0'))
    with pytest.raises(InputError, match="what it says of itself differs from what was written"):
        open_patterns(path)
    (path / "zarr.json").write_text(about)
    zarr.open_array(str(path / "values"), mode="r+")[0, 0] = 1.0
    with pytest.raises(InputError, match="values differ from what was written"):
        open_patterns(path)
    zarr.open_group(str(path), mode="r+").attrs.update({"version": 99})
    with pytest.raises(InputError, match="version 99 of patterns, this RhoTEM reads 1"):
        open_patterns(path)
    with pytest.raises(InputError, match="is no Zarr group"):
        open_patterns(tmp_path / "nothing.zarr")


def test_patterns_take_nothing_from_detectors_beside_them(thermal):
    """The position-averaged detector gives no image, and its pattern is that of any run."""
    scan = Scan.cell(thermal[0].extent, MICROSCOPE)
    alone = simulate(thermal[:1], MICROSCOPE, scan, [PositionAveraged(outer=30)], algorithm="bloch")
    beside = simulate(thermal[:1], MICROSCOPE, scan, [Annular(name="BF", outer=30)], algorithm="bloch")
    assert not alone.images and not alone.patterns
    np.testing.assert_allclose(alone.diffraction, beside.diffraction, rtol=1e-6)


def test_a_pattern_alone_says_what_it_is(square):
    images = patterns([square], MICROSCOPE, OUTER).images(outer=30.0)
    n = images.diffraction.shape[0]
    assert str(images).startswith(f"PACBED: {n} x {n} pixels of ") and str(images).endswith("% of the beam")
