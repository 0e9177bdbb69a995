"""Partial coherence: linear imaging, lattice fringes, conservation, and brute-force averages over foci and angles."""

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.microscope.coherence import Lens, focal_nodes, gaussian_nodes
from rhotem.microscope.optics import aberration_phase
from rhotem.microscope.settings import Microscope

EXTENT, SHAPE = (4.2, 6.3), (48, 72)


def strong_wave(seed=0, decay=0.35):
    """A wave whose beams all interfere: (1, nx, ny) Fourier coefficients, unit intensity."""
    rng = np.random.default_rng(seed)
    gx, gy = frequencies()
    wave = (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)) * np.exp(-decay * np.hypot(gx, gy) ** 2)
    wave[0, 0] = 3.0
    return (wave / np.linalg.norm(wave))[None]


def frequencies(shape=SHAPE, extent=EXTENT):
    return np.meshgrid(*(np.fft.fftfreq(n, l / n) for n, l in zip(shape, extent, strict=True)), indexing="ij")


def brute_force(wave, microscope, foci=241, angles=41):
    """Mean over a dense grid of foci and illumination angles to ± 5 standard deviations, pair by pair of few beams."""
    place = np.argwhere(wave != 0)
    kx, ky = (k[wave != 0] for k in frequencies())
    s, spread = 1e-3 * microscope.convergence / microscope.wavelength, microscope.focal_spread
    lam = 2 * np.pi * microscope.wavelength
    sx, sy = slopes(kx, ky, microscope)
    p, q = (x.ravel() for x in np.meshgrid(*2 * (np.linspace(-5, 5, angles),)))
    matrix, total = 0.0, 0.0
    for d in np.linspace(-5, 5, foci):
        chi = aberration_phase(kx, ky, microscope, d * spread)
        turn = lam * d * spread
        waves = np.exp(-1j * (chi + s * np.outer(p, sx - turn * kx) + s * np.outer(q, sy - turn * ky)))
        weights = np.exp(-(d**2 + p**2 + q**2) / 2)
        matrix = matrix + waves.T @ (weights[:, None] * waves.conj())
        total += weights.sum()
    matrix = matrix / total * np.outer(wave[wave != 0], wave[wave != 0].conj())
    spectrum = np.zeros(SHAPE, dtype=complex)
    for i, row in enumerate(matrix):
        difference = place[i] - place
        np.add.at(spectrum, (difference[:, 0], difference[:, 1]), row)  # negative ones count from the end
    return (np.fft.ifft2(spectrum) * spectrum.size).real


def slopes(kx, ky, microscope):
    """∇χ of round aberrations in closed form: 2πλC10 k + 2πλ³C30 k³."""
    radial = 2 * np.pi * (-microscope.wavelength * microscope.defocus) + 2 * np.pi * microscope.wavelength**3 * (
        microscope.cs * (kx**2 + ky**2)
    )
    return radial * kx, radial * ky


def contrast_error(image, expected):
    return np.sqrt(np.mean((image - expected) ** 2)) / expected.std()


@pytest.mark.parametrize("phase", [0.1, 1.8, 7.0, 28.0, 120.0])
def test_gaussian_nodes_average_every_phase_up_to_theirs(phase):
    """⟨exp(iφx)⟩ = exp(−φ²/2)."""
    nodes, weights = gaussian_nodes(phase)
    tried = np.linspace(0, phase, 5000)
    assert np.abs(np.exp(1j * np.outer(tried, nodes)) @ weights - np.exp(-(tried**2) / 2)).max() < 2e-6
    assert weights.sum() == pytest.approx(1) and len(nodes) < 2.2 * phase + 25


def test_probes_get_as_many_foci_as_their_aperture_needs():
    """None without spread; seven were enough to 2e-4 at 30 Å and 22 mrad, and far from it at 100 Å and 30 mrad."""
    assert len(focal_nodes(Microscope())[0]) == 1
    few, many = (focal_nodes(Microscope(convergence=a, focal_spread=s)) for a, s in ((22, 30.0), (30, 100.0)))
    assert len(few[0]) < len(many[0])
    wavelength = Microscope().wavelength
    for (nodes, weights), angle, spread in ((few, 22e-3, 30.0), (many, 30e-3, 100.0)):
        phase = np.pi * angle**2 / wavelength * np.linspace(0, 1, 200)
        exact = np.exp(-((phase * spread) ** 2) / 2)
        assert np.abs(np.exp(1j * np.outer(phase, nodes)) @ weights - exact).max() < 2e-6
    with pytest.raises(InputError, match="phase"):
        gaussian_nodes(float("nan"))


def test_linear_imaging_has_both_envelopes():
    """I = 1 + 2σ Σ V_g sin χ E_f E_s exp(2πi g·r) for a weak phase object; E_f = exp(−(πλΔk²)²/2) and so on.

    The mixed term changes E_s; it is that of Ishizuka (1980) at k' = 0.
    """
    microscope = Microscope(convergence=0.4, defocus=300.0, cs=5e6, focal_spread=40.0)
    kx, ky = frequencies()
    k2 = kx**2 + ky**2
    rng = np.random.default_rng(1)
    phase = np.fft.fft2(rng.normal(size=SHAPE)) / kx.size * np.exp(-2 * k2) * 1e-4
    phase[0, 0] = 0
    wave = 1j * phase
    wave[0, 0] = 1
    s2, f2 = (0.4e-3 / microscope.wavelength) ** 2, microscope.focal_spread**2
    sx, sy = slopes(kx, ky, microscope)
    lam = microscope.wavelength
    mixed = 1 + f2 * s2 * (2 * np.pi * lam) ** 2 * k2
    a, b = s2 * 2 * np.pi * lam * (sx * kx + sy * ky), np.pi * lam * k2
    factor = np.exp(-s2 * (sx**2 + sy**2) / 2 + f2 * (a + 1j * b) ** 2 / (2 * mixed)) / np.sqrt(mixed)
    chi = aberration_phase(kx, ky, microscope)
    transfer = (1j * np.exp(-1j * chi) * factor + np.conj(1j * np.exp(-1j * chi) * factor)) / 2
    expected = 1 + 2 * np.fft.ifft2(phase * transfer).real * kx.size
    image = Lens(microscope, EXTENT, SHAPE).image(wave[None])
    limit = 0.6 * np.fft.fftfreq(48, EXTENT[0] / 48).max()  # inside the lens
    inside = np.hypot(kx, ky) < limit
    seen, wanted = np.fft.fft2(image)[inside], np.fft.fft2(expected)[inside]
    assert np.abs(seen - wanted)[1:].max() < 2e-3 * np.abs(wanted[1:]).max()


def test_each_envelope_alone_in_linear_imaging():
    """Textbook envelopes exp(−(πλΔk²)²/2) and exp(−(s/λ)²|∇χ|²/2) where the other spread is zero."""
    kx, ky = frequencies()
    k2 = kx**2 + ky**2
    weak = np.zeros((1, *SHAPE), dtype=complex)
    weak[0, 0, 0], weak[0, 2, 3], weak[0, -2, -3] = 1, 1e-4j, 1e-4j
    for more in ({"focal_spread": 60.0, "convergence": 1e-6}, {"convergence": 0.5}):
        microscope = Microscope(defocus=-400.0, cs=1e6, **more)
        sx, sy = slopes(kx, ky, microscope)
        focal = np.exp(-((np.pi * microscope.wavelength * microscope.focal_spread * k2) ** 2) / 2)
        angle = (1e-3 * microscope.convergence / microscope.wavelength) ** 2
        envelope = (focal * np.exp(-angle * (sx**2 + sy**2) / 2))[2, 3]
        seen = np.fft.fft2(Lens(microscope, EXTENT, SHAPE).image(weak))[2, 3] / kx.size
        sine = np.sin(aberration_phase(kx, ky, microscope)[2, 3])
        assert 0.05 < envelope < 0.95
        assert seen.real == pytest.approx(2e-4 * sine * envelope, rel=1e-3)


def test_fringes_of_two_beams():
    """Beams of equal |k| are achromatic whatever the focal spread; the illumination angle damps them."""
    waves = np.zeros((1, *SHAPE), dtype=complex)
    waves[0, 3, 2], waves[0, -3, 2] = 0.8, 0.6
    kx, ky = frequencies()
    chromatic = Microscope(convergence=1e-6, focal_spread=100.0, defocus=200.0)
    image = Lens(chromatic, EXTENT, SHAPE).image(waves)
    assert (image.max() - image.min()) / 2 == pytest.approx(2 * 0.8 * 0.6, rel=1e-3)
    wide = Microscope(convergence=0.5, defocus=200.0, cs=1e6)
    sx, _ = slopes(kx, ky, wide)
    damped = np.exp(-((0.5e-3 / wide.wavelength) ** 2) * (2 * sx[3, 2]) ** 2 / 2)
    image = Lens(wide, EXTENT, SHAPE).image(waves)
    assert 0.1 < damped < 0.9
    assert (image.max() - image.min()) / 2 == pytest.approx(2 * 0.8 * 0.6 * damped, rel=1e-3)


def test_no_intensity_is_lost_in_the_lens():
    """⟨I⟩ = Σ |ψ|² of what passes the aperture, however incoherent."""
    wave = strong_wave()
    for microscope in (
        Microscope(convergence=1.0, cs=1e7, defocus=600.0, focal_spread=50.0),
        Microscope(convergence=0.1, focal_spread=80.0),
    ):
        image = Lens(microscope, EXTENT, SHAPE).image(wave)
        sharp = Lens(Microscope(convergence=1e-6), EXTENT, SHAPE).image(wave)
        assert image.mean() == pytest.approx(sharp.mean(), rel=1e-6)
        assert image.min() > 0


@pytest.mark.parametrize("limit", [1e9, 0.0], ids=["pairs or quadrature", "quasi-random"])
def test_equals_brute_force(limit):
    microscope = Microscope(convergence=0.5, cs=2e6, defocus=300.0, focal_spread=40.0)
    kx, ky = frequencies()
    wave = strong_wave(decay=0.8) * (np.hypot(kx, ky) < 20e-3 / microscope.wavelength)  # inside the soft edge
    lens = Lens(microscope, EXTENT, SHAPE, objective=25.0, limit=limit)
    image, expected = lens.image(wave), brute_force(wave[0], microscope)
    if limit:
        assert contrast_error(image, expected) < 1e-4
    else:
        assert lens.record["method"].startswith("quasi-random")
        error = np.sqrt(np.mean((image - expected) ** 2))
        assert 0.1 * lens.record["standard_error"] < error < 4 * lens.record["standard_error"]


def test_both_exact_ways_agree():
    microscope = Microscope(convergence=0.2, cs=1e5, defocus=60.0, focal_spread=25.0)
    wave = strong_wave(decay=1.0)
    lens = Lens(microscope, EXTENT, SHAPE, objective=40.0)
    pairs = lens.image(wave)
    assert "pair" in lens.record["method"]
    rules = [gaussian_nodes(phase) for phase in (lens._focal, *lens._tilts)]
    offsets = np.stack(np.meshgrid(*(r[0] for r in rules), indexing="ij"), axis=-1).reshape(-1, 3)
    weights = np.einsum("i,j,k->ijk", *(r[1] for r in rules)).ravel()
    quadrature = lens._sum(wave * lens._beams[0][0], 0, offsets, weights)
    assert contrast_error(pairs, quadrature) < 1e-5


def test_focal_spread_above_the_information_limit():
    """Cs = 0: seven Gauss–Hermite foci bring beams beyond the information limit back."""
    microscope = Microscope(energy=200e3, convergence=1e-6, focal_spread=30.0)
    wave = strong_wave(decay=0.1)
    kx, ky = frequencies()
    wave = wave * (np.hypot(kx, ky) < 60e-3 / microscope.wavelength)
    foci = np.linspace(-6, 6, 2001)
    expected, seven = np.zeros(SHAPE), np.zeros(SHAPE)
    nodes, weights = np.polynomial.hermite_e.hermegauss(7)
    for image, points, shares in (
        (expected, foci, np.exp(-(foci**2) / 2)),
        (seven, nodes, weights),
    ):
        for x, share in zip(points, shares / shares.sum(), strict=True):
            lens = np.exp(-1j * aberration_phase(kx, ky, microscope, 30.0 * x))
            image += share * np.abs(np.fft.ifft2(wave[0] * lens) * kx.size) ** 2
    image = Lens(microscope, EXTENT, SHAPE, objective=80.0).image(wave)
    assert contrast_error(image, expected) < 1e-5
    assert contrast_error(seven, expected) > 0.3


def test_equal_cells_of_a_block_give_their_mean_image():
    microscope = Microscope(convergence=0.3, cs=1e6, defocus=200.0, focal_spread=30.0)
    waves = np.concatenate([strong_wave(1), strong_wave(2)])
    whole = Lens(microscope, EXTENT, SHAPE).image(waves)
    cell = Lens(microscope, EXTENT, SHAPE, (2, 3)).image(waves)
    assert cell.shape == (24, 24)
    np.testing.assert_allclose(cell, whole.reshape(2, 24, 3, 24).mean(axis=(0, 2)), rtol=1e-9, atol=1e-7)
    each = [Lens(microscope, EXTENT, SHAPE, (2, 3)).image(wave[None]) for wave in waves]
    np.testing.assert_allclose(cell, np.mean(each, axis=0), atol=1e-7)
    with pytest.raises(InputError, match="equal cells"):
        Lens(microscope, EXTENT, SHAPE, (5, 1))
