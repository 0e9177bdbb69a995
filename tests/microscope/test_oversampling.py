"""A potential sampled finer than the waves: what a slice scatters is then exact up to the band limit of the waves."""

import numpy as np
import pytest
from ase.build import bulk

from rhotem.core import PeriodicGrid
from rhotem.microscope import transmission
from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.plan import make_plan
from rhotem.microscope.scan import Scan, fourier_resample
from rhotem.microscope.settings import Annular, Microscope, Segmented
from rhotem.microscope.simulate import simulate
from rhotem.microscope.slicing import sliced
from rhotem.potential.slices import build_potential
from rhotem.structure.model import Structure
from rhotem.structure.orient import orient

from .conftest import COLUMNS, gaussian_slices

MICROSCOPE = Microscope(energy=200e3, convergence=20.0)
HAADF = (Annular(name="HAADF", inner=68, outer=120),)


@pytest.fixture(scope="module")
def cell():
    """Gold, where what an atom scatters twice matters; its planes in the middle of slices, as specimens have them."""
    return sliced(orient(Structure(bulk("Au", cubic=True)), (0, 0, 1), primitive=True), 2.1, 2.1)[0]


def grid(cell, factor=1):
    return PeriodicGrid(cell.structure.cell, (48 * factor, 48 * factor, 2))


def grid_of(block):
    return PeriodicGrid(block.structure.cell, (48, 48, round(block.lengths[2] / 2.04)))


def coefficients(cell, factor, oversampling):
    """Fourier coefficients of the transmission functions well within the band limit of 48 points."""
    slices = build_potential(cell, grid(cell, factor), oversampling=oversampling)
    shape = slices.wave_grid
    engine = BlochEngine(MICROSCOPE, slices.extent, shape, slices.thickness, (1, 1), 1, refine=False)
    x, y = (i.ravel() for i in np.meshgrid(*2 * [np.arange(-14, 15)]))
    kept = x**2 + y**2 <= 14**2
    spectrum = np.fft.fft2(engine.transmission(slices.array)) / np.prod(shape)
    return spectrum[:, x[kept], y[kept]]


def test_a_slice_scatters_as_on_a_fine_grid(cell):
    exact = coefficients(cell, 6, 1)
    plain, finer, finest = (np.abs(coefficients(cell, 1, o) - exact).max() for o in (1, 2, 4))
    assert finer < 0.4 * plain
    assert finest < 0.1 * plain


@pytest.mark.parametrize("finer, refine", [(1, False), (1, True), (2, False), (2, True), (3, True)])
@pytest.mark.parametrize("shape", [(45, 63), (50, 72)])
def test_transmission_has_the_fourier_coefficients_of_the_exponential(shape, finer, refine):
    """Integrals of exp(iσV) over the potential's own grid; odd, even and unequal numbers of points."""
    extent, fine = (4.2, 6.3), (shape[0] * finer, shape[1] * finer)
    values = gaussian_slices(extent, fine, COLUMNS, number=2, seed=5).array
    engine = BlochEngine(MICROSCOPE, extent, shape, 2.0, (1, 1), 1, refine=refine)
    found = np.fft.fft2(engine.transmission(values)) / np.prod(engine.grid)
    if finer == 1:  # the exponential is taken on the grid of the waves
        values = np.stack([fourier_resample(v, engine.grid) for v in values])
    x, y = (np.arange(n) / n for n in values.shape[1:])
    scattered = np.exp(1j * MICROSCOPE.interaction * values)
    for g in [(0, 0), (1, 0), (0, -2), (5, 7), (-9, 3), (0, 17), (-11, -14), (13, 0)]:
        wave = np.exp(-2j * np.pi * (g[0] * x[:, None] + g[1] * y[None]))
        np.testing.assert_allclose(found[:, g[0], g[1]], (scattered * wave).mean((1, 2)), rtol=0, atol=1e-6)


def test_transmission_in_pieces_is_the_same(monkeypatch):
    slices = gaussian_slices((4.2, 6.3), (96, 144), COLUMNS, number=5, seed=5).array
    engine = BlochEngine(MICROSCOPE, (4.2, 6.3), (48, 72), 2.0, (1, 1), 1)
    whole = engine.transmission(slices)
    monkeypatch.setattr(transmission, "FINE_BYTES", 2 * 8 * 96 * 144)
    np.testing.assert_array_equal(engine.transmission(slices), whole)


def test_images_converge_faster(cell):
    def haadf(factor, oversampling):
        slices = build_potential(cell, grid(cell, factor), oversampling=oversampling)
        scan = Scan((4, 4), slices.extent)
        return simulate([slices], MICROSCOPE, scan, HAADF, algorithm="bloch", configurations=1).images["HAADF"]

    reference = haadf(4, 2)
    plain, finer = (np.abs(haadf(1, o) - reference).max() / reference.max() for o in (1, 2))
    assert finer < 0.5 * plain


def test_plan_and_engines_see_the_grid_of_the_waves(cell):
    plain, finer = (build_potential(cell, grid(cell), oversampling=o) for o in (1, 2))
    assert finer.array.shape == (2, 96, 96)
    assert finer.wave_grid == plain.wave_grid == (48, 48)
    assert finer.wave_sampling == pytest.approx(plain.sampling)
    plans = [make_plan(s, MICROSCOPE, Scan((4, 4), s.extent), HAADF) for s in (plain, finer)]
    assert plans[0].shape == plans[1].shape
    assert plans[0].maximum_angle == plans[1].maximum_angle


@pytest.mark.parametrize("algorithm", ["bloch", "multislice", "prism"])
def test_plan_counts_the_potential_that_is_held(cell, algorithm):
    made = [build_potential(cell, grid(cell), oversampling=o) for o in (1, 2)]
    plans = [make_plan(s, MICROSCOPE, Scan((4, 4), s.extent), HAADF, algorithm=algorithm) for s in made]
    assert plans[1].memory - plans[0].memory == made[1].array.nbytes - made[0].array.nbytes


@pytest.mark.parametrize(
    "algorithm, tilt", [("multislice", (0.0, 0.0)), ("multislice", (4.0, -7.0)), ("prism", (0.0, 0.0))]
)
def test_engines_of_abtem_give_the_images_of_bloch_beams(cell, algorithm, tilt):
    """The same transmission functions, focus, tilt and averaged edges: gold, where any of them is worth per cents."""
    microscope = MICROSCOPE.model_copy(update={"defocus": 30.0, "tilt": tilt})
    slices = build_potential(cell.repeated(1, 1, 3), grid_of(cell.repeated(1, 1, 3)), oversampling=2)
    detectors = (*HAADF, Annular(name="ABF", inner=10, outer=20), Segmented(inner=5, outer=20))
    scan = Scan((3, 3), slices.extent, (0.2, 0.1))
    images = {}
    for name in ("bloch", algorithm):
        plan = make_plan(slices, microscope, scan, detectors, algorithm=name, window=8.0)
        images[name] = simulate([slices], microscope, scan, detectors, plan=plan).images
    for name, reference in images["bloch"].items():
        error = np.abs(images[algorithm][name] - reference).max() / np.abs(reference).max()
        print(name, error)
        assert error < 2e-5
