"""Transforms in strips against numpy's, of all radices, with rows left out and columns beyond one strip."""

import numpy as np
import pytest

from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.lanes import LANES
from rhotem.microscope.settings import Microscope
from rhotem.microscope.strips import Strips, aligned, fits, pack, radices_of, work
from rhotem.microscope.transforms import BandLimited, fast_grid

SHAPES = ((8, 32), (12, 48), (20, 80), (30, 96), (36, 240), (125, 16), (128, 384))


def wave_and_factor(shape, half):
    rng = np.random.default_rng(0)
    there = [i for i in range(shape[0]) if i <= half or i >= shape[0] - half]
    wave = np.zeros(shape, dtype=np.complex64)
    wave[there] = rng.normal(size=(len(there), shape[1])) + 1j * rng.normal(size=(len(there), shape[1]))
    return wave, np.exp(2j * np.pi * rng.random(shape)).astype(np.complex64), there


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.5, 1 / 3])
def test_a_slice_and_free_travel_are_those_of_plain_transforms(shape, share):
    half = int(share * shape[0])
    wave, factor, there = wave_and_factor(shape, half)
    exact = wave.astype(complex)
    waves = np.stack([np.zeros_like(wave), wave])
    strips = Strips(waves, half)
    packed = aligned((1, shape[1] // LANES, shape[0], 2, LANES))
    pack(factor[None], packed)
    strips.through(packed[0], 2)
    expected = np.fft.fft(np.fft.ifft(exact, axis=0, norm="forward") * factor, axis=0)
    assert np.abs(waves[1] - expected)[there].max() < 1e-6 * np.abs(expected).max()
    waves[1] = wave
    strips.between(factor)(2)
    expected = np.fft.ifft(np.fft.fft(exact, axis=1) * factor, axis=1, norm="forward")
    assert np.abs(waves[1] - expected).max() < 1e-6 * np.abs(expected).max()
    assert not waves[0].any()


@pytest.mark.parametrize("shape", [(24, 32), (24, 30), (14, 32)])
def test_waves_are_the_same_with_strips_and_without(shape):
    """Shapes of which strips can do the first; both ways of sending a wave through two slices give numpy's."""
    half = shape[0] // 3
    wave, factor, there = wave_and_factor(shape, half)
    propagator = np.zeros(shape, dtype=np.complex64)
    propagator[there] = wave_and_factor(shape, half)[1][there] / np.prod(shape)
    values = np.fft.ifft(wave.astype(complex), axis=1, norm="forward")
    expected = np.fft.ifft2(wave.astype(complex), norm="forward")
    for _ in range(2):
        expected = np.fft.ifft2(np.fft.fft2(expected * factor) * propagator, norm="forward")
    waves = BandLimited(1, shape, half)
    waves.waves[0] = values
    given = factor
    if fits(shape):
        given = aligned((1, shape[1] // LANES, shape[0], 2, LANES))
        pack(factor[None], given)
        given = given[0]
    travel = waves.between(propagator)
    waves.through(given)
    travel()
    waves.through(given)
    waves.coefficients(propagator)
    found = np.fft.ifft2(waves.waves[0].astype(complex), norm="forward")
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


def test_grids_grow_little_and_only_where_strips_can_do_them():
    for shape in ((125, 350), (48, 48), (97, 331), (250, 512)):
        grid = fast_grid(shape)
        assert fits(grid)
        assert all(n <= m <= 1.2 * n for n, m in zip(shape, grid, strict=True))
    assert radices_of(14) is None and work(14) == np.inf
    with pytest.raises(ValueError, match="factors"):
        Strips(np.zeros((1, 14, 32), dtype=np.complex64), 4)


def test_a_grid_for_speed_changes_nothing():
    """35 × 50 points are transformed on another grid, with the band limit of their own."""
    rng = np.random.default_rng(1)
    slices = rng.uniform(0, 60, (4, 70, 100)).astype(np.float32)
    microscope = Microscope(energy=200e3, convergence=15)
    found = []
    for refine in (False, True):
        engine = BlochEngine(microscope, (3.5, 5.0), (35, 50), 2.0, (2, 1), 1, refine=refine)
        assert (engine.grid == (35, 50)) is not refine
        beams, matrices = engine.scattered(engine.groups[1], engine.prepared(slices), 3.0, [2, 4])
        order = np.lexsort(beams.T)
        found.append([matrix[:, order] for matrix in matrices])
    for plain, fine in zip(*found, strict=True):
        assert np.abs(plain - fine).max() < 2e-6 * np.abs(plain).max()


def test_slices_in_another_order_are_refused():
    """Addresses go to compiled code, so that an array of another layout would be read beyond its end."""
    strips = Strips(np.zeros((2, 32, 32), np.complex64), 10)
    with pytest.raises(ValueError, match="expected what `pack` makes"):
        strips.through(np.zeros((32, 32), np.complex64), 2)
