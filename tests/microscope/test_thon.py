"""Phase contrast of an amorphous layer: Thon rings of HRTEM images against the contrast transfer function."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from rhotem.core.grid import PeriodicGrid
from rhotem.microscope.parallel import parallel_images
from rhotem.microscope.settings import Microscope
from rhotem.potential.free_atoms import free_atom_slices
from rhotem.potential.parametrizations import form_factor
from rhotem.potential.plane_waves import HalfPlane
from rhotem.potential.slices import PotentialSlices

#: Side and thickness of the layer, Å; grid across; atoms in an Å³ (2.0 g/cm³), and no two nearer than this, Å.
SIDE, THICK, POINTS, DENSITY, APART = 96.0, 20.0, 512, 0.100, 1.3
#: Frequencies in 1/Å between which rings are looked at.
LEAST, MOST = 0.12, 0.7


@pytest.fixture(scope="module")
def carbon() -> PotentialSlices:
    """Carbon atoms at random, in slices of 5 Å."""
    rng, box = np.random.default_rng(5), np.array([SIDE, SIDE, THICK])
    places = rng.random((int(1.3 * DENSITY * box.prod()), 3)) * box
    near = cKDTree(places, boxsize=box).query_pairs(APART, output_type="ndarray")
    places = np.delete(places, np.unique(near[:, 1]), axis=0)
    assert 0.6 < len(places) / (DENSITY * box.prod()) < 1.1
    grid = PeriodicGrid(np.diag(box), (POINTS, POINTS, int(THICK / 5)))
    slices = free_atom_slices(grid, np.full(len(places), 6), places, form_factor("pbe"))(range(grid.shape[2]))
    return PotentialSlices(HalfPlane(grid).to_real(slices).astype(np.float32), grid, 0.0)


def spectrum(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in 1/Å and the mean power of an image on rings one pixel of its transform wide."""
    power = np.abs(np.fft.fft2(image - image.mean())) ** 2
    k = np.fft.fftfreq(len(image), SIDE / len(image))
    ring = np.rint(np.hypot(k[:, None], k[None]) * SIDE).astype(int)
    return np.arange(ring.max() + 1) / SIDE, np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())


def transfer(k: np.ndarray, defocus: float, microscope: Microscope) -> np.ndarray:
    """sin²χ of round aberrations, χ = π(C30 λ³k⁴/2 − defocus λk²), averaged over a ring one pixel wide."""
    fine = k[:, None] + (np.linspace(-0.5, 0.5, 21) / SIDE)[None]
    length = microscope.wavelength
    return (np.sin(np.pi * (0.5 * microscope.cs * length**3 * fine**4 - defocus * length * fine**2)) ** 2).mean(axis=1)


@pytest.mark.parametrize(("defocus", "cs"), [(1500.0, 0.0), (-1200.0, 0.0), (900.0, 1e7)])
def test_thon_rings_lie_where_the_transfer_function_says(carbon, defocus, cs):
    """Zeros within 0.75 pixels of the transform; the focus that fits all rings is that of the middle of the layer.

    Underfocus is that of the exit surface, so that the middle has 10 Å less.
    A ring of n coefficients scatters by 1/√n of its power, which leaves the focus uncertain by some Å.
    """
    microscope = Microscope(energy=200e3, convergence=1e-3, defocus=defocus, cs=cs)
    image = parallel_images([carbon], microscope)["HRTEM"]
    k, power = spectrum(image)
    seen = (k > LEAST) & (k < MOST)
    k, power = k[seen], power[seen]

    def misfit(focus: float) -> float:
        """Of the power divided by that of the atoms, which is slow: a cubic of k."""
        rings = transfer(k, focus, microscope)
        basis = rings[:, None] * k[:, None] ** np.arange(4)
        scale = 1 / np.sqrt(power * power.mean())
        residual = np.linalg.lstsq(basis * scale[:, None], power * scale, rcond=None)[1]
        return float(residual[0])

    foci = defocus + np.arange(-60.0, 61.0, 1.0)
    best = foci[np.argmin([misfit(f) for f in foci])]
    assert abs(best - (defocus - THICK / 2)) < 6.0, best
    # dark rings one by one, as far as they are wider than three pixels
    fine = np.linspace(LEAST, MOST, 20001)
    phase = 0.5 * cs * microscope.wavelength**3 * fine**4 - (defocus - THICK / 2) * microscope.wavelength * fine**2
    zeros = fine[1:][np.diff(np.floor(phase)) != 0]
    wide = [z for n, z in enumerate(zeros[1:-1], 1) if min(z - zeros[n - 1], zeros[n + 1] - z) > 3 / SIDE]
    assert len(wide) >= 2
    for zero in wide:
        near = np.flatnonzero(np.abs(k - zero) < 1.6 / SIDE)
        assert abs(k[near[np.argmin(power[near])]] - zero) <= 0.75 / SIDE
        assert power[near].min() < 0.35 * power[np.abs(k - zero) < 3.5 / SIDE].max()
