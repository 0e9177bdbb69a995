"""How fine the grid of a thick crystal must be whose atoms vibrate: exit waves on one band limit against a wider one.

    OMP_NUM_THREADS=1 python benchmarks/thick_grid.py LiCoO2 1,0,0 60 240 284 338 450
    OMP_NUM_THREADS=1 python benchmarks/thick_grid.py SrTiO3 0,0,1 120 240 310 498

Structure, zone axis, thickness in nm, then band limits in mrad, the last of which is the reference; 200 kV, free atoms,
one set of displacements. Three plane waves within the aperture go through the crystal on one grid. Printed at eight
thicknesses: largest error of an intensity to 44 mrad over the brightest, and error of all amplitudes there, rms.
"""

import sys
import time

import numpy as np
from scipy import fft

from rhotem.analysis import run
from rhotem.core.units import interaction_constant, wavelength

ENERGY, OUTER, SHOWN = 200e3, 44.0, 8
#: Plane waves: orders of the block along x and y.
WAVES = ((0, 0), (1, 2), (3, 2))


def potential(name, zone, thickness, reach):
    """Projected potentials of slices (n, nx, ny), on the grid of waves to ``reach`` mrad."""
    preset = run.adjusted_preset("pacbed", energy=200, convergence=13.6, detectors=["PACBED=80"])
    step = 1e3 * wavelength(ENERGY) / (3 * reach)
    cut = run.specimen(run.structure(name), zone=zone, thickness=thickness, preset=preset, sampling=step)
    (held,) = run.potential(cut, run.density(cut, "free-atoms"), phonons=1)
    array = held.array[:]
    while array.shape[1] * step > 1.5 * held.extent[0]:  # sampled more finely than waves: the same without that
        waves = fft.rfft2(array, norm="forward")
        nx, ny = array.shape[1] // 4, array.shape[2] // 4
        waves = np.concatenate([waves[:, :nx, : ny + 1], waves[:, -nx:, : ny + 1]], axis=1)
        array = fft.irfft2(waves, s=(2 * nx, 2 * ny), norm="forward")
    print(cut, flush=True)
    return array, held.extent, held.thickness


def exit_waves(array, extent, thickness, reach):
    """Amplitudes to `OUTER` at `SHOWN` thicknesses."""
    lam, (nx, ny) = wavelength(ENERGY), array.shape[1:]
    kx, ky = (np.fft.fftfreq(n, side / n) for n, side in zip((nx, ny), extent, strict=True))
    k2 = kx[:, None] ** 2 + ky**2
    onward = (np.exp(-1j * np.pi * lam * thickness * k2) * (k2 <= (1e-3 * reach / lam) ** 2)).astype(np.complex64)
    seen, orders = np.sqrt(k2) * lam < 1e-3 * OUTER, np.array(WAVES, dtype=float)
    x, y = np.arange(nx)[:, None] / nx, np.arange(ny) / ny
    waves = np.stack([np.exp(2j * np.pi * (h * x + k * y)) for h, k in orders]).astype(np.complex64)
    shown, every = [], len(array) // SHOWN
    for number, one in enumerate(array, start=1):
        transmitted = waves * np.exp(1j * interaction_constant(ENERGY) * one).astype(np.complex64)
        waves = fft.ifft2(fft.fft2(transmitted) * onward)
        if number % every == 0:
            shown.append(fft.fft2(waves, norm="forward")[:, seen])
    return 0.1 * every * thickness, shown


def main():
    name, zone, thickness, *reaches = sys.argv[1:]
    reaches = [float(reach) for reach in reaches]
    array, extent, step = potential(name, tuple(int(z) for z in zone.split(",")), float(thickness), max(reaches))
    every, reference = exit_waves(array, extent, step, reaches[-1])
    for reach in reaches[:-1]:
        start = time.process_time()
        _, found = exit_waves(array, extent, step, reach)
        print(f"{reach:g} mrad, {time.process_time() - start:.0f} CPU s")
        for number, (one, other) in enumerate(zip(found, reference, strict=True), start=1):
            intensity = np.abs(np.abs(one) ** 2 - np.abs(other) ** 2).max() / (np.abs(other) ** 2).max()
            amplitude = np.linalg.norm(one - other) / np.linalg.norm(other)
            print(f"  {number * every:5.1f} nm: intensity {100 * intensity:.3f} %, amplitudes {100 * amplitude:.3f} %")


if __name__ == "__main__":
    main()
