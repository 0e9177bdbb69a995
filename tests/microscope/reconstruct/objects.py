"""Patterns of a thin phase object without any symmetry, by the formulas of docs/conventions.md alone."""

import numpy as np

from rhotem.microscope.instrument import Microscope
from rhotem.microscope.reconstruct.data import ScannedPatterns
from rhotem.microscope.scan import Scan

CELL, REPEATS, GRID = (7.0, 9.0), (3, 2), (96, 84)
#: x and y in Å, height in V·Å³, of Gaussian columns.
COLUMNS = ((1.0, 1.2, 18.0), (3.1, 3.9, 5.0), (5.2, 5.6, 9.0), (4.0, 1.5, 3.0))
WIDTH = 0.3


def projected(gx, gy):
    """Fourier coefficients in V·Å of the projected potential at frequencies in 1/Å."""
    form = np.exp(-2 * np.pi**2 * WIDTH**2 * (gx**2 + gy**2)) / (CELL[0] * CELL[1])
    return sum(h * np.exp(-2j * np.pi * (gx * x + gy * y)) for x, y, h in COLUMNS) * form


def patterns(microscope, shape=(24, 30), strength=1.0, outer=40.0, **more):
    """|FFT(exp(iσV) ψ)|² for probes at every position of one cell, single beams, fractions of the beam."""
    extent = [length * n for length, n in zip(CELL, REPEATS, strict=True)]
    k = [np.fft.fftfreq(n, length / n) for n, length in zip(GRID, extent, strict=True)]
    kx, ky = np.meshgrid(*k, indexing="ij")
    inside = np.zeros(GRID, complex)
    for i in range(-20, 21):
        for j in range(-20, 21):
            inside[(i * REPEATS[0]) % GRID[0], (j * REPEATS[1]) % GRID[1]] = projected(i / CELL[0], j / CELL[1])
    potential = np.fft.ifft2(inside, norm="forward").real * strength
    transmission = np.exp(1j * microscope.interaction * potential)
    radius = 1e-3 * microscope.convergence / microscope.wavelength
    step = 0.5 * sum(1 / length for length in extent)
    k2 = kx**2 + ky**2
    chi = np.pi * microscope.wavelength * -microscope.defocus * k2
    astigmatism = microscope.aberrations.get("C12", 0.0)
    turned = np.arctan2(ky, kx) - microscope.aberrations.get("phi12", 0.0)
    chi += np.pi * microscope.wavelength * astigmatism * k2 * np.cos(2 * turned)
    probe = np.clip((radius - np.sqrt(k2)) / step + 0.5, 0, 1) * np.exp(-1j * chi)
    probe /= np.sqrt((np.abs(probe) ** 2).sum())
    half = [int(1e-3 * outer / microscope.wavelength * length) for length in extent]
    kept = np.ix_(*(np.arange(-h, h + 1) % n for h, n in zip(half, GRID, strict=True)))
    scan = Scan(shape, CELL)
    data = np.zeros((*shape, *(2 * h + 1 for h in half)), np.float32)
    for (i, j), position in zip(np.ndindex(*shape), scan.positions, strict=True):
        shifted = probe * np.exp(-2j * np.pi * (kx * position[0] + ky * position[1]))
        data[i, j] = np.abs(np.fft.fft2(transmission * np.fft.ifft2(shifted)))[kept] ** 2
    angles = [1e3 * microscope.wavelength / length for length in extent]
    return ScannedPatterns(data, scan, (angles[0], angles[1]), microscope, integrating=False, **more)


def expected(microscope, shape, strength=1.0):
    """Frequencies (nx, ny) in 1/Å of images of this shape, and Fourier coefficients of σV in rad, mean zero."""
    gx, gy = np.meshgrid(*(np.fft.fftfreq(n, l / n) for n, l in zip(shape, CELL, strict=True)), indexing="ij")
    coefficients = strength * microscope.interaction * projected(gx, gy)
    coefficients[0, 0] = 0.0
    return np.hypot(gx, gy), coefficients


MICROSCOPE = Microscope(energy=200e3, convergence=20.0)
