"""Planes of atoms at any heights: empty slices are skipped, atoms stay whole."""

import ase.build
import numpy as np
import pytest

from rhotem.analysis import run
from rhotem.core.units import VOLT_PER_FE
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.fineness import past_rings
from rhotem.microscope.optics import band_limit
from rhotem.microscope.record import Recorder
from rhotem.microscope.settings import Microscope
from rhotem.potential.parametrizations import form_factor
from rhotem.potential.planes import gather, planes_of
from rhotem.structure.model import Structure

MICROSCOPE = Microscope(energy=200e3, convergence=20)


def by_hand(cut):
    """Fourier coefficients of the exit wave: whole atoms at their own heights, double precision, any distances."""
    lx, ly, depth = cut.block.lengths
    shape, finer = cut.grid.shape[:2], cut.oversampling
    fine = tuple(finer * n for n in shape)
    gx, gy = (np.fft.fftfreq(n, length / n) for n, length in zip(fine, (lx, ly), strict=True))
    kx, ky = (np.fft.fftfreq(n, length / n) for n, length in zip(shape, (lx, ly), strict=True))
    k2 = kx[:, None] ** 2 + ky**2
    limit = band_limit(k2, (lx / shape[0], ly / shape[1]))
    inside = np.ix_(*(np.rint(np.fft.fftfreq(n) * n).astype(int) for n in shape))
    structure, f_e = cut.block.structure, form_factor("pbe")
    tables = {z: f_e(int(z), np.hypot(gx[:, None], gy).ravel()).reshape(fine) for z in set(structure.numbers)}
    heights = np.mod(structure.positions[:, 2], depth)
    wave, at = np.zeros(shape, dtype=complex), 0.0
    wave[0, 0] = 1.0

    def travel(length):
        return wave * np.exp(-1j * np.pi * MICROSCOPE.wavelength * k2 * length)

    for height in np.unique(heights.round(3)):
        wave = travel(height - at)
        here = np.abs(heights - height) < 1e-3
        total = np.zeros(fine, dtype=complex)
        for z, (x, y, _) in zip(structure.numbers[here], structure.positions[here], strict=True):
            total += tables[z] * np.exp(-2j * np.pi * (gx[:, None] * x + gy * y))
        phase = MICROSCOPE.interaction * VOLT_PER_FE / (lx * ly) * np.fft.ifft2(total).real * total.size
        acts = np.fft.ifft2(np.fft.fft2(np.exp(1j * phase))[inside] * limit) * limit.size / total.size
        wave, at = np.fft.fft2(np.fft.ifft2(wave * limit) * acts) * limit, height
    return travel(depth - at)


def undamped(engine):
    """Coefficients that the narrow taper of the band limit leaves alone: it acts once on a way, however long."""
    kx, ky = (np.fft.fftfreq(n, length / n) for n, length in zip(engine.grid, engine.extent, strict=True))
    return band_limit(kx[:, None] ** 2 + ky**2, engine.sampling) == 1


@pytest.mark.parametrize("name, zone", [("Si", (1, 1, 1)), ("SrTiO3", (1, 1, 2))])
def test_exit_wave_is_that_of_atoms_at_their_own_heights(name, zone):
    """Slices of 1.57 Å put planes of Si [111] 0.39 Å beside their heights: 13 % of the range of a HAADF."""
    cut = run.specimen(run.structure(name), zone, thickness=2, at_rest=True)
    made = next(iter(run.potential(cut, run.density(cut, "free-atoms"), phonons=0)))
    assert cut.planes == sum(bool(one.any()) for one in made.array)
    engine = BlochEngine(MICROSCOPE, made.extent, made.wave_grid, made.thickness, (1, 1), threads=1, refine=False)
    wave = engine.exit_wave(made.array)
    inside, reference = undamped(engine), by_hand(cut)
    assert np.abs(wave - reference)[inside].max() < 2e-5


def dark_field(cut):
    """Signal of the first detector on a diagonal of the cell, atoms at rest."""
    made = next(iter(run.potential(cut, run.density(cut, "free-atoms"), phonons=0)))
    engine = BlochEngine(cut.preset.microscope, made.extent, made.wave_grid, made.thickness, (1, 1))
    positions = np.linspace(0, 1, 16, endpoint=False)[:, None] * cut.cell.lengths[:2] + 0.01
    recorder = Recorder(cut.preset.detectors, 16, cut.preset.microscope.wavelength, engine.supercell)
    engine.run(made.array, positions, {len(made.array): recorder})
    return recorder.sums[:, 0]


def test_no_laue_ring_that_stands_apart_is_cut_by_the_grid():
    """LiCoO2 [100], 60 kV: rings at 186, 263 and 322 mrad. A grid that carried 269 was 2.2 % off in HAADF."""
    lens = Microscope(energy=60e3, convergence=22)
    assert past_rings(269, lens, 2.816) == pytest.approx(263 + 22, abs=1)
    assert past_rings(289, lens, 2.816) == 289
    assert past_rings(269, lens, 6.0) == 269  # rings overlap
    # GaN [100]: rings at 280, 324 and 362 mrad (80 kV), 251, 290 and 324 mrad (120 kV), which overlap a little
    assert past_rings(313, Microscope(energy=80e3, convergence=22), 3.189) == pytest.approx((324 + 362) / 2, abs=1)
    assert past_rings(280, Microscope(energy=120e3, convergence=22), 3.189) == pytest.approx((290 + 324) / 2, abs=1)
    cuts = []
    for half in (1, 2):
        preset = run.adjusted_preset("layered-oxide", energy=60, detectors=["HAADF=68-200"])
        step = {} if half == 1 else {"sampling": max(cuts[0].grid.spacing[:2]) / 2}
        cuts.append(run.specimen(run.structure("LiCoO2"), (1, 0, 0), preset=preset, thickness=2, at_rest=True, **step))
    signals = [dark_field(cut) for cut in cuts]
    assert np.abs(signals[0] - signals[1]).max() < 0.01 * np.ptp(signals[1])


def test_a_cell_given_several_times_has_the_rings_of_one():
    """LiCoO2 [100], 60 kV: a cell three times as long carried 269 mrad instead of 285, and was 2.2 % off in HAADF."""
    preset = run.adjusted_preset("layered-oxide", energy=60, detectors=["HAADF=68-200"])
    options = {"preset": preset, "thickness": 2, "at_rest": True}
    one = run.specimen(run.structure("LiCoO2"), (1, 0, 0), **options)
    longer = one.cell.repeated(1, 1, 3).structure
    kept = run.specimen(longer, (0, 0, -1), basis="input", keep_cell=True, **options)
    assert kept.cell.lengths[2] == pytest.approx(3 * one.cell.lengths[2])
    assert kept.reach == pytest.approx(one.reach)


def test_empty_slices_do_nothing_but_take_their_way():
    """Slices of nothing before, between and behind acting ones, exits among them."""
    rng = np.random.default_rng(0)
    slices = rng.normal(0, 30, (9, 32, 48)).astype(np.float32)
    empty = [0, 1, 4, 6, 7, 8]
    slices[empty] = 0
    passed = slices.copy()
    passed[empty] = 1e-20
    engine = BlochEngine(MICROSCOPE, (4.0, 6.0), (32, 48), 0.9, (2, 2), threads=1)
    exits = [1, 3, 5, 7, 9]
    for group in engine.groups[:2]:
        skipped, all_of_them = (
            engine.scattered(group, engine.prepared(array), 2.0, exits)[1] for array in (slices, passed)
        )
        for one, two in zip(skipped, all_of_them, strict=True):
            np.testing.assert_allclose(one, two, atol=2e-6)
    one, two = (engine.exit_waves(array, exits)[:, undamped(engine)] for array in (slices, passed))
    np.testing.assert_allclose(one, two, atol=2e-6)


def test_an_atom_keeps_the_plane_of_its_site_unless_it_leaves_it():
    heights = np.array([0.5, 1.5, 4.5])
    assert planes_of(heights, 6.0, 6).tolist() == [0, 1, 4]
    assert planes_of(heights, 6.0, 6, np.array([0.15, -0.3, 0.1])).tolist() == [0, 1, 4]
    assert planes_of(heights, 6.0, 6, np.array([0.0, 2.6, 0.0])).tolist() == [0, 4, 4]


def test_bonding_charge_of_empty_slices_goes_to_the_planes_beside():
    """All of it, with its centre, as far as planes are near."""
    array = np.random.default_rng(0).normal(size=(12, 3, 3))
    array[[0, *range(9, 12)]] = 0
    before = array.copy()
    gather(array, np.array([1, 1, 4, 8]), 0.5)
    assert set(np.flatnonzero(array.any(axis=(1, 2)))) == {1, 4, 8}
    np.testing.assert_allclose(array.sum(axis=0), before.sum(axis=0))
    heights = np.arange(12)[:, None, None]
    np.testing.assert_allclose((heights * array).sum(axis=0), (heights * before).sum(axis=0))


@pytest.mark.slow
def test_no_ring_of_gallium_nitride_is_cut():
    """GaN [100], 120 kV, 2 nm: a grid that ended in the middle of the ring at 290 mrad was 1.1 % off in HAADF."""
    crystal = Structure(ase.build.bulk("GaN", "wurtzite", a=3.189, c=5.185))
    preset = run.adjusted_preset("layered-oxide", energy=120, detectors=["HAADF=68-200"])
    signals, step = [], {}
    for _ in range(2):
        cut = run.specimen(crystal, (1, 0, 0), preset=preset, thickness=2, at_rest=True, **step)
        step = {"sampling": max(cut.grid.spacing[:2]) / 2}
        signals.append(dark_field(cut))
    assert np.abs(signals[0] - signals[1]).max() < 0.01 * np.ptp(signals[1])
