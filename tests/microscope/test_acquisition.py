"""Every contribution of an instrument against its formula: mean, variance, autocorrelation, power spectrum."""

import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import VOLT_PER_FE
from rhotem.density.free_atoms import load
from rhotem.microscope.acquisition import carbon
from rhotem.microscope.acquisition.apply import STREAMS, Recording
from rhotem.microscope.acquisition.camera import curve, exposed
from rhotem.microscope.acquisition.electronics import STREAMS as ELECTRONIC
from rhotem.microscope.acquisition.electronics import counts
from rhotem.microscope.acquisition.noise import exponential, lagged, memory
from rhotem.microscope.acquisition.positions import at_positions, displacements, times
from rhotem.microscope.acquisition.settings import (
    Acquisition,
    CameraChip,
    Carbon,
    Distortion,
    Drift,
    Electronics,
    Flicker,
    Flyback,
    Hum,
    Jitter,
)
from rhotem.microscope.probe import incident_probe
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, CenterOfMass, Microscope, Segmented
from rhotem.microscope.simulate import simulate
from rhotem.potential.slices import PotentialSlices

from .conftest import COLUMNS, gaussian_slices


def streams(seed=1, names=(*STREAMS, *ELECTRONIC)):
    return dict(zip(names, np.random.default_rng(seed).spawn(len(names)), strict=True))


def correlation(values, lag):
    """Autocovariance at a lag over the variance, of a process of mean zero."""
    return float((values[lag:] * values[: len(values) - lag]).mean() / (values**2).mean())


@pytest.mark.parametrize("decay", [0.3, 4.0, 40.0])
def test_an_exponential_process_has_unit_variance_and_its_autocorrelation(decay):
    """exp(−Δt/τ), at uneven times too: rows with a way back between them."""
    number = 60000
    at = np.cumsum(np.tile([1.0, 1.0, 1.0, 6.0], number // 4))
    walks = np.stack([exponential(at, decay, np.random.default_rng(i)) for i in range(8)])
    error = 4 * np.sqrt(2 * (1 + decay) / walks.size)
    assert abs(walks.var() - 1) < error and abs(walks.mean()) < error
    for first, last in ((0, 1), (0, 2), (2, 5)):  # 1, 2 and 8 µs apart
        pairs = walks[:, first:-8:4] * walks[:, last:][:, : walks[:, first:-8:4].shape[1] * 4 : 4]
        assert abs(pairs.mean() - np.exp(-(at[last] - at[first]) / decay)) < 2 * error


@pytest.mark.parametrize("length", [0.0, 3.0])
def test_rows_remember_as_long_as_they_should(length):
    rows = memory(200000, length, np.random.default_rng(2))
    assert abs(rows.var() - 1) < 0.02
    for lag in (1, 3):
        expected = np.exp(-lag / length) if length else 0.0
        assert abs(correlation(rows, lag) - expected) < 0.02


def test_a_lagging_detector_keeps_the_mean_and_smears_the_noise():
    """a = exp(−Δt/τ): (1 − a)/(1 + a) of the variance, autocorrelation a^k, and a step that is followed."""
    a = np.exp(-1.0 / 2.5)
    noise = np.random.default_rng(3).standard_normal((4, 100000))
    seen = lagged(noise, 1.0, 2.5)
    assert seen.var() == pytest.approx((1 - a) / (1 + a), rel=0.02)
    assert correlation(seen[0], 1) == pytest.approx(a, abs=0.01)
    assert correlation(seen[0], 4) == pytest.approx(a**4, abs=0.02)
    step = lagged(np.repeat([2.0, 5.0], 20)[None], 1.0, 2.5)[0]
    assert np.allclose(step[:20], 2.0) and np.allclose(step[20:], 5.0 - 3.0 * a ** np.arange(1, 21))


def test_time_runs_along_x_and_back_before_the_next_row():
    when = times((4, 3), Acquisition(dwell_us=2.0, flyback=Flyback(time_us=5.0)))
    assert np.allclose(when[:, 0], [0, 2, 4, 6]) and np.allclose(when[0], [0, 13, 26])


def test_drift_hum_flyback_and_distortion_displace_by_their_formulas():
    shape, step = (50, 40), (0.2, 0.25)
    base = {"dwell_us": 10.0}
    drift = displacements(shape, step, Acquisition(**base, drift=Drift(x_pm_per_s=300, y_pm_per_s=-50)), streams())
    seconds = 1e-5 * (shape[0] * shape[1] - 1)
    assert np.allclose(drift[:, -1, -1], [-3.0 * seconds, 0.5 * seconds])  # the specimen moves, the probe meets less
    hum = displacements(shape, step, Acquisition(**base, hum=Hum(x_pm=20, y_pm=0, frequency_Hz=500)), streams())
    assert np.allclose(hum[1], 0) and hum[0].std() == pytest.approx(0.2 / np.sqrt(2), rel=1e-3)
    sequence = hum[0].T.ravel()  # a period is 200 positions
    assert np.allclose(sequence[200:], sequence[:-200]) and np.allclose(sequence[100:], -sequence[:-100], atol=1e-9)
    back = displacements(shape, step, Acquisition(**base, flyback=Flyback(settle_pm=30, settle_us=25)), streams())
    assert np.allclose(back[0], -0.3 * np.exp(-0.4 * np.arange(50))[:, None]) and not back[1].any()
    skew = Distortion(scale_x=0.01, scale_y=-0.02, skew_mrad=5)
    bent = displacements(shape, step, Acquisition(**base, distortion=skew), streams())
    x, y = 0.2 * 49, 0.25 * 39
    assert np.allclose(bent[:, -1, -1], [0.01 * x + 0.005 * y, -0.02 * y])


def test_jitter_is_alike_along_both_axes_and_independent():
    jitter = Acquisition(dwell_us=1.0, jitter=Jitter(sigma_pm=7, time_us=3), flyback=Flyback(time_us=20))
    moved = displacements((300, 300), (0.1, 0.1), jitter, streams())
    for axis in moved:
        assert axis.std() == pytest.approx(0.07, rel=0.02)
        along = (axis[1:] * axis[:-1]).mean() / axis.var()
        assert along == pytest.approx(np.exp(-1 / 3), abs=0.02)
        assert abs((axis[:, 1:] * axis[:, :-1]).mean()) / axis.var() < 0.02  # rows are 320 µs apart
    assert abs((moved[0] * moved[1]).mean()) / 0.07**2 < 0.02


def wave(scan):
    """A band-limited periodic image and its gradient at any place."""
    a, b = scan.size

    def value(x, y):
        return 1 + 0.3 * np.cos(2 * np.pi * 2 * x / a) - 0.2 * np.sin(2 * np.pi * (x / a + 3 * y / b))

    def gradient(x, y):
        turn = 2 * np.pi * (x / a + 3 * y / b)
        common = -0.2 * 2 * np.pi * np.cos(turn)
        return -0.3 * 4 * np.pi / a * np.sin(4 * np.pi * x / a) + common / a, 3 * common / b

    return value, gradient


def test_signals_at_displaced_positions_are_exact():
    scan = Scan((12, 16), (4.2, 6.3))
    value, _ = wave(scan)
    x, y = scan.positions.T.reshape(2, *scan.shape)
    places = np.random.default_rng(1).uniform(-9, 15, (2, 20, 30))
    found = at_positions(np.stack([value(x, y), value(x, y) ** 2 - 1]), scan.size, places)
    assert np.abs(found[0] - value(*places)).max() < 1e-7


def test_the_variance_that_jitter_makes_is_the_squared_gradient_times_its_own():
    """|∇I|²σ² for displacements small against the structure."""
    scan = Scan((12, 16), (4.2, 6.3))
    value, gradient = wave(scan)
    x, y = scan.positions.T.reshape(2, *scan.shape)
    fine = Scan((120, 160), (42.0, 63.0))
    at = fine.positions.T.reshape(2, *fine.shape)
    sigma, total = 0.02, 0.0
    for seed in range(6):
        jitter = Acquisition(dwell_us=10, jitter=Jitter(sigma_pm=100 * sigma, time_us=0.1))
        moved = displacements(fine.shape, fine.step, jitter, streams(seed))
        total += ((at_positions(value(x, y)[None], scan.size, at + moved)[0] - value(*at)) ** 2).mean() / 6
    slope = gradient(*at)
    assert total == pytest.approx(sigma**2 * (slope[0] ** 2 + slope[1] ** 2).mean(), rel=0.03)


@pytest.mark.parametrize("dqe", [1.0, 0.6])
def test_counts_have_the_mean_and_variance_of_gain_dark_and_read_noise(dqe):
    """Mean g(n + d) + offset, variance g²(n/DQE + d) + σ²."""
    e = Electronics(gain=7.0, offset=300.0, dqe=dqe, dark_e_per_us=0.3, read_noise=11.0)
    n, dwell = 80.0, 10.0
    electrons = np.random.default_rng(4).poisson(n, (500, 500))
    stored = counts(electrons, e, dwell, streams())
    variance = 49 * (n / dqe + 3.0) + 121
    assert abs(stored.mean() - (7 * 83 + 300)) < 4 * np.sqrt(variance / stored.size)
    assert stored.var() == pytest.approx(variance, rel=4 * np.sqrt(2.2 / stored.size))
    assert abs(correlation((stored - stored.mean()).T.ravel(), 1)) < 0.01  # white


def test_row_noise_is_one_offset_for_a_row_of_x_and_decays_over_rows():
    e = Electronics(gain=2.0, offset=50.0, row_noise=4.0, row_memory=2.0)
    stored = counts(np.zeros((30, 60000)), e, 1.0, streams())
    assert np.ptp(stored, axis=0).max() < 1e-9  # x runs within a row
    rows = stored[0] - 50.0
    assert rows.std() == pytest.approx(4.0, rel=0.03)
    assert correlation(rows, 1) == pytest.approx(np.exp(-0.5), abs=0.02)
    assert correlation(rows, 4) == pytest.approx(np.exp(-2.0), abs=0.03)


def test_black_pixels_lose_their_electrons_and_the_converter_has_ends():
    black = counts(np.full((300, 300), 10.0), Electronics(gain=3, offset=5, black_pixels=0.1), 1.0, streams())
    assert set(np.unique(black)) == {5.0, 35.0} and abs((black == 5).mean() - 0.1) < 0.005
    stored = counts(np.array([[-3.0, 2.34, 900.0]]), Electronics(gain=1.5, bits=10), 1.0, streams())
    assert stored.tolist() == [[0.0, 4.0, 1023.0]]
    ramp = np.linspace(100, 900, 100000)[None]  # rounding: variance 1/12
    error = counts(ramp, Electronics(bits=16), 1.0, streams()) - ramp
    assert error.var() == pytest.approx(1 / 12, rel=0.01)


MTF = ((0.0, 1.0), (0.25, 0.7), (0.5, 0.4), (1.0, 0.15))
DQE = ((0.0, 0.7), (0.5, 0.4), (1.0, 0.2))


def test_a_camera_transfers_the_signal_by_its_mtf():
    chip = CameraChip(mtf=MTF, dqe=DQE, gain=5.0, offset=20.0)
    x = np.arange(64)
    for cycles in (0, 4, 16):  # 0, 1/8 and 1/2 of Nyquist
        image = 100 + 30 * np.cos(2 * np.pi * cycles * x / 64)[:, None] * np.ones(64)
        seen = exposed(image, chip, None, streams())
        amplitude = 2 * np.abs(np.fft.fft(seen.mean(axis=1))[cycles]) / 64 if cycles else seen.mean()
        transfer = curve(MTF, (64, 64))[cycles, 0]
        expected = 5 * 30 * transfer if cycles else 5 * 130 + 20
        assert amplitude == pytest.approx(expected, rel=1e-9)
        assert transfer == pytest.approx({0: 1.0, 4: 0.85, 16: 0.4}[cycles], abs=0.02)


def test_the_noise_of_a_camera_has_the_power_that_its_dqe_says():
    """n g² MTF²/DQE + σ² at every frequency; Parseval: its sum is the variance of pixels."""
    chip = CameraChip(mtf=MTF, dqe=DQE, gain=3.0, read_noise=2.0, dark_e_per_pixel=1.5)
    n, shape, power, variance, frames = 60.0, (64, 64), 0.0, 0.0, 150
    for seed in range(frames):
        drawn = streams(seed)
        stored = exposed(np.full(shape, n), chip, np.random.default_rng((seed, 5)), drawn)
        power = power + np.abs(np.fft.fft2(stored - 3 * (n + 1.5))) ** 2 / stored.size / frames
        variance += stored.var() / frames
    q = 2 * np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)[None])
    expected = 9 * n * curve(MTF, shape) ** 2 / curve(DQE, shape) + 9 * 1.5 + 4
    for low, high in ((0.02, 0.2), (0.2, 0.5), (0.5, 0.9), (0.9, 1.2)):
        ring = (q >= low) & (q < high)
        assert power[ring].mean() == pytest.approx(expected[ring].mean(), rel=5 / np.sqrt(frames * ring.sum()))
    assert power.mean() == pytest.approx(variance + (power[0, 0] / power.size), rel=1e-3)


def test_curves_of_cameras_are_refused_where_they_mean_nothing():
    for bad, words in (
        ({"mtf": [[0, 0.9]]}, "1 at frequency 0"),
        ({"mtf": [[0, 1], [0.5, 0.4], [0.2, 0.3]]}, "must rise"),
        ({"dqe": [[0, 1.2]]}, "between 0 and 1"),
    ):
        with pytest.raises(InputError, match=words):
            CameraChip(**bad)


MICROSCOPE = Microscope(energy=200e3, convergence=22.0)


def test_carbon_is_shot_noise_of_its_atoms_under_the_probe():
    """Campbell: mean n, variance n∫P², autocovariance n (P ⋆ P) of Σ_j P(R_j − r)."""
    layer, scan = Carbon(thickness_nm=0.02), Scan((200, 200), (40.0, 40.0))
    density = carbon.atoms_per_area(layer)
    assert density == pytest.approx(0.2 * 2.0 * 6.02214076e23 / 12.011 * 1e-24)
    microscope = MICROSCOPE.model_copy(update={"source_size": 1.5})
    probe = incident_probe(microscope)
    blur = carbon.blur(probe, scan)
    fields = [carbon.density(layer, scan, blur, np.random.default_rng(i)) for i in range(60)]
    together = probe.step**2 * (probe.intensity**2).sum()
    covariance = np.mean([np.abs(np.fft.fft2(f - density)) ** 2 for f in fields], axis=0)
    covariance = np.fft.ifft2(covariance).real / scan.shape[0] / scan.shape[1]
    assert np.mean(fields) == pytest.approx(density, rel=4 / np.sqrt(60 * density * 1600))
    assert covariance[0, 0] == pytest.approx(density * together, rel=0.05)
    axis = probe.step * (np.arange(len(probe.intensity)) - len(probe.intensity) // 2)
    q = np.fft.fftfreq(200, 0.2)
    turn = np.exp(-2j * np.pi * np.outer(q, axis))
    transfer = np.abs((turn @ probe.intensity @ turn.T) * probe.step**2) ** 2
    star = np.fft.ifft2(transfer).real / 0.2**2
    for lag in (3, 6, 10):
        assert covariance[lag, 0] == pytest.approx(density * star[lag, 0], abs=0.04 * density * together)


def test_carbon_scatters_as_much_out_of_the_disc_as_into_the_dark_field():
    """Of all electrons none is lost but beyond the detectors; the total is the integral of the cross section."""
    detectors = [
        Annular(name="BF", outer=22),
        Annular(name="LAADF", inner=22, outer=60),
        Annular(name="whole", outer=250),
    ]
    detectors += [Annular(name="HAADF", inner=60, outer=250), Segmented(inner=6, outer=22), CenterOfMass(outer=60)]
    recorder = Recorder(detectors, 1, MICROSCOPE.wavelength, (16.0, 16.0))
    gained = dict(zip((c.name for c in recorder.channels), carbon.changes(recorder, MICROSCOPE), strict=True))
    total = carbon.total(MICROSCOPE)
    # screened Rutherford of carbon at 200 kV: some 4e-19 cm²
    assert 3e-3 < total < 7e-3
    assert gained["BF"] < 0 < gained["HAADF"] < gained["LAADF"]
    assert gained["BF"] + gained["LAADF"] + gained["HAADF"] == pytest.approx(gained["whole"], abs=1e-9 * total)
    assert -0.02 * total < gained["whole"] < 0
    segments = [gained[f"segment{i}"] for i in range(4)]
    assert np.ptp(segments) < 1e-9 * total and abs(gained["CoMx"]) < 1e-9 * total  # no direction is preferred


def test_carbon_is_what_a_simulation_of_its_atoms_shows():
    """A layer of 60 atoms at random in vacuum, multislice: mean of every signal within a few per cent of n Δσ."""
    side, points, number = 12.0, 240, 60
    g = np.fft.fftfreq(points) * points / side
    sizes, places = np.unique(np.round(np.hypot(g[:, None], g[None]), 9), return_inverse=True)
    form = load().electron_form_factor(6, sizes)[places].reshape(points, points)
    atoms = np.random.default_rng(0).uniform(0, side, (number, 2))
    sums = sum(np.exp(-2j * np.pi * (g[:, None] * x + g[None] * y)) for x, y in atoms)
    array = np.fft.ifft2(VOLT_PER_FE * form * sums).real * points**2 / side**2
    grid = PeriodicGrid(np.diag([side, side, 1e-3]), (points, points, 1))
    angles = {"BF": (0, 22), "ABF": (11, 22), "LAADF": (24, 50), "MAADF": (50, 90)}
    detectors = [Annular(name=name, inner=a, outer=b) for name, (a, b) in angles.items()]

    def seen(potential, scan):
        slices = PotentialSlices(potential[None].astype(np.float32), grid, 0.0)
        return simulate([slices], MICROSCOPE, scan, detectors, algorithm="bloch")

    there, nothing = seen(array, Scan((40, 40), (side, side))), seen(0 * array, Scan((1, 1), (side, side)))
    gained = carbon.changes(Recorder(detectors, 1, MICROSCOPE.wavelength, (24.0, 24.0)), MICROSCOPE)
    for detector, change in zip(detectors, gained, strict=True):
        found = there[detector.name].mean() - nothing[detector.name].mean()
        assert found == pytest.approx(number / side**2 * change, rel=0.06), detector.name


SLICES = gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, number=2)
DETECTORS = [Annular(name="BF", outer=25), Annular(name="ABF", inner=12, outer=25)]


def recorded(acquisition, seed=5, detectors=DETECTORS, dose=400.0):
    microscope = Microscope(energy=200e3, convergence=25.0, dose=dose, acquisition=acquisition)
    return simulate([SLICES], microscope, None, detectors, algorithm="bloch", rng=np.random.default_rng(seed))


def test_a_flawless_acquisition_draws_the_electrons_that_none_draws():
    plain, same = recorded(None), recorded(Acquisition())
    for name in plain.images:
        assert np.array_equal(plain[name], same[name])
    assert not plain.clean and set(same.clean) == {"BF", "ABF"}
    still = recorded(Acquisition(counting=False))
    assert np.array_equal(still["BF"], still.clean["BF"])
    electrons = 400.0 * still.scan.step[0] * still.scan.step[1]
    residual = (plain["BF"] - still["BF"]) * electrons / np.sqrt(still["BF"] * electrons)
    assert abs(residual.var() - 1) < 4 * np.sqrt(2 / residual.size)


def test_switching_one_contribution_off_leaves_the_draws_of_the_others():
    both = Acquisition(counting=False, jitter=Jitter(sigma_pm=20, time_us=5), flicker=Flicker(sigma=0.05, time_us=100))
    whole, calm = recorded(both), recorded(both.model_copy(update={"jitter": None}))
    steady = recorded(both.model_copy(update={"flicker": None}))
    current = calm["BF"] / calm.clean["BF"]
    assert np.allclose(whole["BF"], steady["BF"] * current, rtol=1e-9)
    assert np.array_equal(whole.displacements, steady.displacements) and calm.displacements is None
    assert np.array_equal(recorded(both)["BF"], whole["BF"]) and not np.array_equal(
        recorded(both, 6)["BF"], whole["BF"]
    )


def test_flicker_multiplies_all_detectors_by_one_current():
    images = recorded(Acquisition(counting=False, dwell_us=1.0, flicker=Flicker(sigma=0.03, time_us=0.2)))
    ratios = [images[name] / images.clean[name] for name in ("BF", "ABF")]
    assert np.allclose(*ratios) and ratios[0].std() == pytest.approx(0.03, rel=0.05)


def test_detectors_of_one_scan_share_their_electrons_behind_the_electronics():
    """Covariance of BF and ABF in counts: g g' times the electrons in both."""
    gains = [Electronics(gain=4.0, offset=9.0, read_noise=3.0), Electronics(gain=6.0, dqe=0.8)]
    detectors = [d.model_copy(update={"electronics": e}) for d, e in zip(DETECTORS, gains, strict=True)]
    sets = [recorded(Acquisition(), seed, detectors) for seed in range(30)]
    electrons = 400.0 * sets[0].scan.step[0] * sets[0].scan.step[1]
    assert sets[0].unit("BF") == "counts"
    bf = np.stack([one["BF"] - 9 - 4 * electrons * one.clean["BF"] for one in sets])
    abf = np.stack([one["ABF"] - 6 * electrons * one.clean["ABF"] for one in sets])
    shared = 24 * electrons * sets[0].clean["ABF"].mean()
    assert (bf * abf).mean() == pytest.approx(shared, rel=0.03)
    assert bf.var() == pytest.approx(16 * electrons * sets[0].clean["BF"].mean() + 9, rel=0.03)
    assert abf.var() == pytest.approx(36 / 0.8 * electrons * sets[0].clean["ABF"].mean(), rel=0.03)


def test_segments_are_calibrated_back_before_they_become_a_deflection():
    gains = Electronics(gain=12.0, offset=500.0, bits=16)
    plain = [Segmented(inner=6, outer=25)]
    real = [plain[0].model_copy(update={"electronics": gains})]
    ideal, stored = recorded(Acquisition(), 5, plain, 1e4), recorded(Acquisition(), 5, real, 1e4)
    for name in ("DPCx", "DPCy", "iDPC"):
        assert np.allclose(stored[name], ideal[name], atol=1e-3 * np.ptp(ideal[name])), name
    assert stored.unit("iDPC") == "rad"


def test_without_a_seed_or_a_dose_nothing_is_recorded():
    microscope = Microscope(acquisition=Acquisition(jitter=Jitter(sigma_pm=5, time_us=1)))
    assert Recording.of(microscope, np.random.default_rng(1)) is None
    images = simulate([SLICES], microscope, None, DETECTORS, algorithm="bloch")
    assert not images.clean
