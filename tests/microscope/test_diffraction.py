"""Elastic spots and diffuse scattering of moving atoms: kinematic theory, conservation, what is no spot."""

import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.microscope.diffraction import Waves
from rhotem.microscope.parallel import parallel_images, spots
from rhotem.microscope.settings import Microscope
from rhotem.potential.slices import PotentialSlices

from .conftest import COLUMNS, gaussian_slices

MICROSCOPE = Microscope(convergence=0.1)
CELL, POINTS = (4.2, 6.3), (40, 60)


def moving(configurations, repeats=(2, 2), columns=COLUMNS, number=4, rms=0.12, strength=5.0, width=0.25, seed=0):
    """Blocks of equal cells whose columns move independently, Gaussian with ``rms`` Å along each axis."""
    extent = tuple(c * r for c, r in zip(CELL, repeats, strict=True))
    shape = tuple(n * r for n, r in zip(POINTS, repeats, strict=True))
    rng = np.random.default_rng(seed)
    for _ in range(configurations):
        array = np.zeros((number, *shape), dtype=np.float32)
        for s in range(number):
            placed = [
                (x + i * CELL[0] + rng.normal(0, rms), y + j * CELL[1] + rng.normal(0, rms), height)
                for x, y, height in columns
                for i in range(repeats[0])
                for j in range(repeats[1])
            ]
            array[s] = gaussian_slices(extent, shape, placed, width=width, number=1, strength=strength).array[0]
        grid = PeriodicGrid(np.diag([*extent, 2.0 * number]), (*shape, number))
        yield PotentialSlices(array, grid, mean_inner_potential=0.0)


def averaged(columns=COLUMNS, number=4, rms=0.12, strength=5.0, width=0.25):
    """The same cell with its columns smeared by their motion."""
    return gaussian_slices(CELL, POINTS, columns, width=float(np.hypot(width, rms)), number=number, strength=strength)


def test_kinematic_spots_are_damped_by_debye_and_waller():
    """Thin: elastic amplitude iσV_g exp(−2π²g²⟨u²⟩) of the smeared potential; diffuse σ²Σ|f|²(1 − exp(−4π²g²⟨u²⟩))."""
    strength, rms, column = 0.02, 0.15, COLUMNS[:1]
    blocks = moving(180, columns=column, number=1, rms=rms, strength=strength)
    result = parallel_images(blocks, MICROSCOPE, repeats=(2, 2)).plane_wave
    still = averaged(column, number=1, rms=rms, strength=strength).array[0]
    expected = np.abs(MICROSCOPE.interaction * np.fft.fft2(still) / still.size) ** 2
    i, j = (n // 2 for n in result.elastic.shape)
    for h, k in ((1, 0), (0, 2), (2, 3), (-1, 4)):
        seen, error = result.elastic[i + h, j + k], result.error[i + h, j + k]
        assert abs(seen - expected[h, k]) < 4 * error + 5e-3 * expected[h, k]
    # four columns in the block: f = σ·strength·height·exp(−2π²g²w²)/area
    x, y = ((np.arange(n) - n // 2) / side for n, side in zip(result.diffuse.shape, (8.4, 12.6), strict=True))
    turn = 4 * np.pi**2 * (x[:, None] ** 2 + y[None] ** 2)
    one = (MICROSCOPE.interaction * strength * column[0][2] / (8.4 * 12.6)) ** 2
    density = 4 * one * np.exp(-turn * 0.25**2) * (1 - np.exp(-turn * rms**2))
    inside = turn < 4 * np.pi**2 * 2.0**2
    # ⟨u²⟩ of 720 atoms drawn along two axes is known to 3.7 %
    assert result.diffuse[inside].sum() == pytest.approx(density[inside].sum(), rel=0.12)


def test_only_reciprocal_vectors_of_the_cell_are_spots_and_nothing_is_lost():
    """Strong scattering: no half orders, elastic and diffuse make up what leaves the specimen."""
    blocks = list(moving(6))
    images = parallel_images(blocks, MICROSCOPE, repeats=(2, 2))
    result = images.plane_wave
    cell = parallel_images([averaged()], MICROSCOPE)
    assert images.diffraction.shape == cell.diffraction.shape
    assert images.angular_step == pytest.approx(cell.angular_step)
    assert result.diffuse_step == pytest.approx([step / 2 for step in result.step])
    whole = sum(parallel_images([block], MICROSCOPE).diffraction.sum() for block in blocks) / 6
    assert result.diffuse.sum() > 0.005
    assert result.elastic.sum() + result.diffuse.sum() == pytest.approx(whole, abs=1e-6)
    density = result.smooth_density * np.prod(result.diffuse_step)
    assert density.sum() == pytest.approx(result.diffuse.sum(), rel=1e-6)
    assert all(isinstance(row["i"], int) for row in spots(images))
    parts = images.record["diffraction"]
    assert parts["elastic"] + parts["diffuse"] + parts["beyond_the_grid"] == pytest.approx(1)


def test_mean_wave_is_multislice_of_the_mean_transmission():
    """Slices move independently, so ⟨ψ⟩ is multislice with ⟨exp(iσV)⟩: dynamical elastic intensities without noise."""
    strength, number = 5.0, 4
    result = parallel_images(moving(100, strength=strength, number=number), MICROSCOPE, repeats=(2, 2)).plane_wave
    nodes, weights = np.polynomial.hermite_e.hermegauss(16)
    shares = np.outer(weights, weights).ravel() / weights.sum() ** 2
    mean = np.ones(POINTS, dtype=complex)
    for x, y, height in COLUMNS:  # each moves by itself
        one = np.zeros(POINTS, dtype=complex)
        for share, (dx, dy) in zip(shares, 0.12 * np.array(np.meshgrid(nodes, nodes)).reshape(2, -1).T, strict=True):
            column = [(x + dx, y + dy, height)]
            v = gaussian_slices(CELL, POINTS, column, width=0.25, number=1, strength=strength).array[0]
            one += share * np.exp(1j * MICROSCOPE.interaction * v)
        mean *= one
    wave = np.ones(POINTS, dtype=complex)
    gx, gy = np.meshgrid(*(np.fft.fftfreq(n, l / n) for n, l in zip(POINTS, CELL, strict=True)), indexing="ij")
    step = np.exp(-1j * np.pi * MICROSCOPE.wavelength * 2.0 * (gx**2 + gy**2)) * (np.hypot(gx, gy) < 2 / 3 * 4.76)
    for _ in range(number):
        wave = np.fft.ifft2(np.fft.fft2(wave * mean) * step)
    expected = np.abs(np.fft.fftshift(np.fft.fft2(wave) / wave.size)) ** 2
    expected = expected[1:, 1:]
    strong = expected > 1e-4
    strong[19, 29] = False
    pull = (result.elastic - expected)[strong] / np.hypot(result.error[strong], 2e-3 * expected[strong])
    assert strong.sum() > 20 and np.sqrt(np.mean(pull**2)) < 1.5 and np.abs(pull).max() < 5


def test_estimate_is_unbiased_and_its_error_true():
    """Waves with known mean and non-circular noise, many times over: mean and scatter of the estimate."""
    rng = np.random.default_rng(3)
    for n, mean in ((10, 0.0), (5, 0.3 + 0.4j), (8, 0.2j)):
        found, errors, least = [], [], []
        for _ in range(1500):
            sums = Waves((6, 6), (2, 2))
            for _ in range(n):
                noise = 0.1 * (rng.normal(size=(6, 6)) + 0.5j * rng.normal(size=(6, 6)))
                noise[::2, ::2] += mean
                sums.add(noise)
            result = sums.result((1.0, 1.0), moving=True)
            found.append(result.elastic[1, 1])
            errors.append(result.error[1, 1] ** 2)
            least.append(result.least[1, 1])
        assert np.mean(found) == pytest.approx(abs(mean) ** 2, abs=4 * np.std(found) / np.sqrt(1500))
        # that of no spot at all may come out too large: noise passes for a little of one
        assert 0.9 < np.sqrt(np.mean(errors)) / np.std(found) < (1.1 if mean else 1.5)
        if mean == 0:
            assert (np.array(found) > least).mean() < 2e-3


def test_forbidden_spots_are_not_listed_and_weak_superlattice_spots_are():
    """A doubled cell: equal halves have no odd orders; halves that differ by 8 % of one column have them."""
    (x, y, height), half = (1.0, 1.2, 120.0), CELL[0] / 2
    for contrast in (0.0, 0.08):
        columns = [(x, y, height * (1 + contrast)), (x + half, y, height)]
        blocks = moving(8, (3, 2), columns, number=6, rms=0.06, strength=1.0)
        rows = spots(parallel_images(blocks, MICROSCOPE, repeats=(3, 2)), threshold=0)
        odd = [row for row in rows if row["i"] % 2]
        assert len(rows) > 20
        assert bool(odd) == bool(contrast)
        still = parallel_images([averaged(columns, number=6, rms=0.06, strength=1.0)], MICROSCOPE)
        assert any(row["i"] % 2 for row in spots(still)) == bool(contrast)


def test_one_configuration_of_moving_atoms_is_not_divided():
    (block,) = moving(1)
    displaced = PotentialSlices(block.array, block.grid, 0.0, {"displaced": True})
    images = parallel_images([displaced], MICROSCOPE, repeats=(2, 2))
    assert spots(images) == [] and "one configuration" in str(images)
    assert images.record["diffraction"]["separated"] is False
    with pytest.raises(InputError, match="equal cells"):
        parallel_images([block], MICROSCOPE, repeats=(3, 1))
    with pytest.raises(InputError, match="another grid"):
        parallel_images([block, averaged()], MICROSCOPE)


def test_image_of_a_block_is_the_mean_of_its_cells():
    """Each equal cell is one more sample of the motion; the picture shows one."""
    blocks = list(moving(3, (2, 1)))
    microscope = Microscope(convergence=0.2, defocus=300.0, cs=1e6, focal_spread=30.0)
    whole = parallel_images(blocks, microscope)["HRTEM"]
    images = parallel_images(blocks, microscope, repeats=(2, 1))
    assert images.scan.size == pytest.approx(CELL)
    np.testing.assert_allclose(images["HRTEM"], whole.reshape(2, *POINTS).mean(axis=0), atol=2e-5)
