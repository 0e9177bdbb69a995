"""The scattering matrix at some exits gives patterns of any probe, equal to direct runs."""

from dataclasses import replace

import numpy as np
import pytest

from rhotem.core import InputError, MemoryLimitError
from rhotem.microscope.plan import make_plan
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, CenterOfMass, Microscope, Pixelated
from rhotem.microscope.simulate import simulate
from rhotem.scattering.waves import open_waves, waves

from .test_response import MICROSCOPE, RANGE, settings, twisted

OUTER, TOLERANCE = 40.0, 1e-5
DETECTORS = (Pixelated(outer=OUTER), Annular(name="ABF", inner=11, outer=22), CenterOfMass(outer=40))


@pytest.fixture(scope="module")
def thermal():
    return [twisted(seed=i) for i in (1, 2)]


@pytest.fixture(scope="module")
def held(thermal):
    return waves(thermal, MICROSCOPE, OUTER, [6.0, 12.0], range=RANGE, threads=1)


def direct(potentials, held, lens: Microscope, scan: Scan, detectors=DETECTORS, **options):
    plan = make_plan(potentials[0], lens, scan, detectors, algorithm="bloch", configurations=len(potentials))
    plan = replace(plan, tiling=tuple(held.record["plan"]["tiling"]), shared=False, windows=None)
    return simulate(potentials, lens, scan, detectors, plan=plan, **options)


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_direct_run(thermal, held, seed):
    """Patterns and images of a crystal without symmetry: any lens to fifth order, smaller apertures, focal spread."""
    ask = settings(np.random.default_rng(seed))
    lens = MICROSCOPE.model_copy(update=ask)
    scan = Scan((3, 2), thermal[0].extent, (0.4, 1.1))
    images, reference = held.images(DETECTORS, scan=scan, **ask), direct(thermal, held, lens, scan)
    pattern, other = images.patterns["4D"], reference.patterns["4D"]
    assert pattern.shape == other.shape and np.abs(pattern - other).max() < TOLERANCE * other.max()
    for name, image in reference.images.items():
        assert np.abs(images[name] - image).max() < TOLERANCE * np.ptp(image), name
    assert images.record["phonon_error"]["from"] == reference.record["phonon_error"]["from"]


def test_patterns_at_single_positions(thermal, held):
    """In the order given; the thinner exit is that of a thinner crystal, and a shift by a period changes nothing."""
    places = np.array([[1.3, 0.2], [0.0, 3.1], [1.3 + thermal[0].extent[0], 0.2]])
    ask = {"defocus": -35.0, "convergence": 18.0}
    patterns = held.cbed(places, thickness=6.0, **ask)
    assert np.abs(patterns[0] - patterns[2]).max() < 1e-6 * patterns.max()
    thin = [replace(one, array=one.array[:3], grid=thin_grid(one.grid, 3)) for one in thermal]
    for place, pattern in zip(places, patterns, strict=True):
        scan = Scan((1, 1), thermal[0].extent, tuple(place))
        lens = MICROSCOPE.model_copy(update=ask)
        reference = direct(thin, held, lens, scan, (Pixelated(outer=OUTER),)).patterns["4D"][0, 0]
        assert np.abs(pattern - reference).max() < TOLERANCE * reference.max()


def thin_grid(grid, slices):
    cell = grid.cell.copy()
    cell[2] *= slices / grid.shape[2]
    return type(grid)(cell, (*grid.shape[:2], slices))


def test_camera_and_counts(thermal):
    """Pixels of a camera and electrons as in a direct run with the same seed."""
    lens = MICROSCOPE.model_copy(update={"camera_step": 1.2})
    made = waves(thermal[:1], lens, 30.0, range=RANGE)
    scan = Scan((2, 2), thermal[0].extent)
    detectors = (Pixelated(outer=30.0),)
    reference = direct(thermal[:1], made, lens, scan, detectors).patterns["4D"]
    pattern = made.images(detectors, scan=scan).patterns["4D"]
    assert pattern.shape == reference.shape and np.abs(pattern - reference).max() < TOLERANCE * reference.max()
    counted = made.images(detectors, scan=scan, dose=1e4, rng=np.random.default_rng(1)).patterns["4D"]
    noisy = lens.model_copy(update={"dose": 1e4})
    other = direct(thermal[:1], made, noisy, scan, detectors, rng=np.random.default_rng(1)).patterns["4D"]
    assert (np.abs(counted - other) < 1e-9).mean() > 0.97


@pytest.mark.parametrize(
    "ask, message",
    [
        ({"thickness": 9.0}, r"thickness 0\.9 nm: the waves hold 0\.6, 1\.2 nm"),
        ({"convergence": 30.0}, r"convergence 30 mrad: the set of waves holds up to 22 mrad"),
        ({"defocus": 400.0}, r"the probe needs .* Å, the set of waves has"),
        ({"tilt": (1.0, 0.0)}, r"tilt: fixed when a set of waves is made"),
        ({"dose": 1e4}, r"a dose needs a random generator"),
        ({"detectors": [Annular(name="X", inner=30, outer=90)]}, r"detector X: the waves hold patterns to 40 mrad"),
    ],
)
def test_what_is_not_held_is_refused_by_name(held, ask, message):
    detectors = ask.pop("detectors", DETECTORS[:1])
    with pytest.raises(InputError, match=message):
        held.images(detectors, **ask)


def test_what_does_not_fit_is_refused(thermal):
    with pytest.raises(MemoryLimitError, match=r"the waves need .* GB, .* beams into"):
        waves(thermal, MICROSCOPE, OUTER, memory=1e6)
    said = []
    made = waves(thermal, MICROSCOPE, OUTER, announce=said.append)
    assert said[0].stored == pytest.approx(made.nbytes, rel=0.1)


def test_saved_and_opened_they_are_the_same(held, tmp_path):
    held.save(tmp_path / "waves.zarr")
    opened = open_waves(tmp_path / "waves.zarr")
    place = [[0.3, 0.7]]
    np.testing.assert_array_equal(opened.cbed(place, defocus=20.0), held.cbed(place, defocus=20.0))
    with pytest.raises(InputError, match="no responses of RhoTEM"):
        from rhotem.scattering.response import open_response

        open_response(tmp_path / "waves.zarr")
