"""Images of slices that lie on disk, and of probes in a window of a large potential."""

import numpy as np

from rhotem.core import PeriodicGrid
from rhotem.microscope import bloch
from rhotem.microscope.parallel import parallel_images
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, Microscope
from rhotem.microscope.simulate import simulate
from rhotem.potential.files.own import write_potential
from rhotem.potential.slices import PotentialSlices
from rhotem.potential.stream_read import open_potential, window


def columns(extent: float, n: int, places: list[tuple[float, float]]) -> PotentialSlices:
    """Gaussian columns in four slices of 2 Å."""
    x = np.arange(n) * extent / n
    total = np.zeros((n, n))
    for a, b in places:
        dx, dy = ((x - c + extent / 2) % extent - extent / 2 for c in (a, b))
        total += 400.0 * np.exp(-(dx[:, None] ** 2 + dy[None] ** 2) / (2 * 0.25**2))
    grid = PeriodicGrid(np.diag([extent, extent, 8.0]), (n, n, 4))
    return PotentialSlices(np.tile(total, (4, 1, 1)).astype(np.float32), grid, 1.0)


def test_hrtem_from_disk_is_that_from_memory(tmp_path, monkeypatch):
    held = columns(16.0, 128, [(3.0, 4.0), (9.0, 12.0)])
    write_potential(held, tmp_path / "v.zarr")
    microscope = Microscope(energy=200e3, convergence=0.1, defocus=400.0)
    expected = parallel_images([held], microscope, objective=30.0)
    monkeypatch.setattr(bloch, "FINE_BYTES", 8 * 128 * 128)  # one slice at a time
    got = parallel_images([open_potential(tmp_path / "v.zarr")], microscope, objective=30.0)
    np.testing.assert_allclose(got["HRTEM"], expected["HRTEM"], rtol=1e-6)
    np.testing.assert_allclose(got.diffraction, expected.diffraction, atol=1e-9)


def test_probes_in_a_window_see_what_they_see_in_the_whole():
    """Probes 7 Å from the window's sides give the signals of the whole potential."""
    whole = columns(24.0, 128, [(12.0, 12.0), (14.0, 11.0), (9.5, 13.0), (20.0, 12.0)])
    microscope = Microscope(energy=200e3, convergence=15.0)
    detectors = (Annular(name="ADF", inner=20.0, outer=40.0), Annular(name="BF", inner=0.0, outer=8.0))
    part, corner = window(whole, (4.0, 4.0), (16.0, 16.0))
    signals = []
    for potential, origin in ((whole, (11.0, 11.0)), (part, (11.0 - corner[0], 11.0 - corner[1]))):
        scan = Scan((4, 4), (2.0, 2.0), origin, periodic=False)
        images = simulate([potential], microscope, scan, detectors, algorithm="bloch")
        signals.append([images["ADF"], images["BF"]])
    for far, near in zip(*signals, strict=True):
        assert np.abs(far - near).max() < 5e-3 * far.max()
        assert np.ptp(far) > 0.05 * far.max()  # there is something to see
