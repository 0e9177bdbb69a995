"""A cell of four columns whose strengths are known, and a response of it: what fits and verdicts are tested on."""

import numpy as np

from rhotem.core import PeriodicGrid
from rhotem.microscope.settings import Annular, Microscope
from rhotem.potential.slices import PotentialSlices
from rhotem.scattering.response import Range, response

SHAPE, PIXELS = (32, 36), [[0.2, 0.0], [0.0, 0.2]]
DETECTORS = (Annular(name="ADF", inner=20, outer=60), Annular(name="ABF", inner=9, outer=18))
#: Thickness, focus, astigmatism, source and scan of a recording, as `State` has them.
VALUES = np.array([63.0, 12.0, 6.0, -4.0, 0.9, 0.7, 1.1, 0.201, 0.004, -0.003, 0.198])


def made(light, heavy=35.0, depths=range(3, 10)):
    """A response of a 3.9 Å cell with a light and a heavy column of these strengths, V·Å², at ``depths`` in nm."""
    columns = ((0.0, 0.0, 60.0), (1.95, 1.95, heavy), (1.95, 0.0, light), (0.3, 1.95, 14.0))
    g = np.fft.fftfreq(40) * 40 / 3.9
    form = np.exp(-2 * np.pi**2 * 0.25**2 * (g[:, None] ** 2 + g[None] ** 2))
    waves = sum(v * np.exp(-2j * np.pi * (g[:, None] * x + g[None] * y)) for x, y, v in columns)
    one = np.fft.ifft2(waves * form).real * (40 / 3.9) ** 2
    array = np.repeat(one[None].astype(np.float32), 50, axis=0)
    slices = PotentialSlices(array, PeriodicGrid(np.diag([3.9, 3.9, 100.0]), (40, 40, 50)), mean_inner_potential=0.0)
    span, lens = Range(defocus=(0, 20), aberrations={"C12": 20}), Microscope(energy=200e3, convergence=18.0)
    return response([slices], lens, DETECTORS, [10.0 * n for n in depths], range=span, edges=[], threads=1)
