"""V8 (docs/validation-images.md): the limit of no motion, seeds, and single against double precision."""

import numpy as np
import pytest

from rhotem.analysis import run
from rhotem.density.free_atoms import FreeAtoms
from rhotem.microscope.phonons import displacements
from rhotem.potential.slices import build_potential
from rhotem.structure.debye_waller import mean_square_displacements
from rhotem.structure.phases import phase

#: Largest relative differences allowed: float32 has 6e-8 per operation, sums and transforms lose two digits.
TOLERANCE = {"potential": 2e-6, "image": 2e-4}


@pytest.fixture(scope="module")
def cut():
    return run.specimen(phase("LiCoO2"), (1, 0, 0), thickness=1.1)


def images(cut, moved):
    field = FreeAtoms()(cut.crystal, cut.grid)
    slices = build_potential(cut.block, cut.grid, field, displacements=moved)
    return run.image(cut, [slices], phonons=1)


@pytest.mark.slow
def test_classical_motion_vanishes_at_zero_kelvin(cut):
    """⟨u²⟩ ∝ T: the images meet the static ones, and their distance falls in proportion to T."""
    static = images(cut, None)
    away = []
    for temperature in (0.0, 0.01, 0.04):
        msd, _ = mean_square_displacements(cut.block.structure, temperature, zero_point=False)
        moved = next(displacements(msd, 1, np.random.default_rng(0)))
        away.append(np.abs(images(cut, moved)["HAADF"] - static["HAADF"]).max() / static["HAADF"].max())
    assert away[0] == 0.0
    # Displacements grow as √T, and to first order so does the difference of one configuration.
    assert 1e-5 < away[1] < 0.05
    assert away[2] / away[1] == pytest.approx(2.0, rel=0.25)


def test_zero_point_motion_remains_at_zero_kelvin(cut):
    msd, _ = mean_square_displacements(cut.block.structure, 0.0)
    assert (msd > 0).all()


@pytest.mark.slow
def test_seed_decides_everything_random(cut):
    msd, _ = mean_square_displacements(cut.block.structure)
    first, again, other = (next(displacements(msd, 1, np.random.default_rng(s))) for s in (1, 1, 2))
    assert (first == again).all() and not np.allclose(first, other)
    assert np.array_equal(images(cut, first)["ABF"], images(cut, again)["ABF"])


def test_displacements_have_the_variance_asked_for(cut):
    msd = np.array([0.004, 0.016])
    many = np.stack(list(displacements(msd, 4000, np.random.default_rng(5))))
    assert np.allclose(many.var(axis=(0, 2)), msd, rtol=0.05)


@pytest.mark.slow
def test_single_precision_is_enough(cut):
    field = FreeAtoms()(cut.crystal, cut.grid)
    single, double = (build_potential(cut.block, cut.grid, field, precision=p) for p in ("single", "double"))
    error = np.abs(single.array - double.array).max() / np.abs(double.array).max()
    pictures = [run.image(cut, [s], phonons=1) for s in (single, double)]
    worst = max(
        np.abs(pictures[0][n] - pictures[1][n]).max() / np.ptp(pictures[1][n]) for n in ("HAADF", "ABF", "iDPC")
    )
    print(f"single against double: potential {error:.1e}, images {worst:.1e} of their range")
    assert error < TOLERANCE["potential"]
    assert worst < TOLERANCE["image"]
