"""One atom: whole in its slice, cut by ever thinner slices, and solved exactly by partial waves.

    python benchmarks/atom_slices.py [--number 38] [--energies 60,200] [--thicknesses 0.4,0.1,0.03]

A screened Coulomb potential with the radius of Thomas and Fermi, a plane wave. Exact: (∇² + k² + 2kσV)ψ = 0 by partial
waves (renormalised Numerov), no small angles and no forward scattering assumed. Slices: the same potential in closed
form on a fine grid, exp(iσV) and paraxial propagation in double precision, as every multislice program does. Printed is
the intensity of slices over the exact one at 30, 60, 100, 150 and 200 mrad.
"""

import argparse
from itertools import pairwise

import numpy as np
from ase.units import Bohr
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from rhotem.microscope.settings import Microscope

#: e²/4πε₀ in V Å; Å: side of the grid and its pixels, radial step and end.
COULOMB, SIDE, PIXEL, STEP, END = 14.399645, 7.2, 0.0125, 1.5e-4, 3.0
ANGLES = (30, 60, 100, 150, 200)


def partial_waves(charge, screening, microscope, angles):
    """|f|² in Å² at ``angles`` (mrad)."""
    k = 2 * np.pi / microscope.wavelength
    orders = np.arange(int(k * (END - 0.2)))
    centrifugal, h2 = orders * (orders + 1.0), STEP**2 / 12

    def weight(n):
        r = n * STEP
        potential = charge * COULOMB / r * np.exp(-r / screening)
        return h2 * (k**2 + 2 * k * microscope.interaction * potential - centrifugal / r**2)

    # u ~ r^(l+1) at the centre; deep under the barrier any start is forgotten
    first = 1 + (0.5 * orders / k / STEP).astype(int)
    ratio = np.zeros(len(orders))  # F(n+1)/F(n), F = (1 + T)u
    last = round(END / STEP)
    with np.errstate(divide="ignore", invalid="ignore"):
        for n in range(1, last):
            t = weight(n)
            inward = np.where(first == n, 0.0, 1 / ratio)
            begins, at = first == n, (2 - 10 * t) / (1 + t)
            grown = ((n + 1) / n) ** (orders + 1.0) * (1 + weight(n + 1)) / (1 + t)
            ratio = np.where(first > n, ratio, np.where(begins, np.minimum(grown, 1e6), at - inward))
    r1, r2 = END - STEP, END
    u = ratio * (1 + weight(last - 1)) / (1 + weight(last))  # u(last)/u(last-1)
    j1, j2 = (r * spherical_jn(orders, k * r) for r in (r1, r2))
    y1, y2 = (r * spherical_yn(orders, k * r) for r in (r1, r2))
    tangent = (u * j1 - j2) / (u * y1 - y2)
    waves = (2 * orders + 1) * (np.exp(2j * np.arctan(tangent)) - 1) / (2j * k)
    return np.array([abs((waves * eval_legendre(orders, np.cos(1e-3 * a))).sum()) ** 2 for a in angles])


def sliced(charge, screening, microscope, slices, angles):
    """The same of slices: ``slices`` (Å) thick, an odd number of them; None holds the atom whole."""
    n = round(SIDE / PIXEL)
    g = np.fft.fftfreq(n, PIXEL)
    g2 = g[:, None] ** 2 + g[None] ** 2
    kappa = np.sqrt((2 * np.pi) ** 2 * g2 + screening**-2)
    whole = 4 * np.pi * charge * COULOMB / kappa**2 / PIXEL**2  # ∫V dz of the atom at the corner
    keep = np.sqrt(g2) < 2 / 3 * g.max()

    def beyond(height):
        """Part of the atom above ``height``."""
        half = 0.5 * np.exp(-kappa * abs(height))
        return half if height >= 0 else 1 - half

    number = 1 if slices is None else 2 * int(1.6 / slices / 2) + 1
    edges = np.array([-np.inf, np.inf]) if slices is None else (np.arange(number + 1) - number / 2) * slices
    edges[0], edges[-1] = -np.inf, np.inf
    length = 0.0 if slices is None else slices
    travel = np.exp(-1j * np.pi * microscope.wavelength * g2 * length) * keep
    wave = np.ones((n, n), dtype=complex)
    for low, high in pairwise(edges):
        part = (1.0 if low == -np.inf else beyond(low)) - (0.0 if high == np.inf else beyond(high))
        wave = np.fft.ifft2(np.fft.fft2(wave) * travel)
        wave *= np.exp(1j * microscope.interaction * np.fft.ifft2(whole * part * keep).real)
    amplitude = np.fft.fft2(wave) * PIXEL**2 / microscope.wavelength  # f = ∫(ψ − 1) exp(−2πig·r) d²r/λ
    at, intensity = np.sqrt(g2).ravel(), (np.abs(amplitude) ** 2).ravel()
    found = []
    for wanted in np.sin(1e-3 * np.asarray(angles, dtype=float)) / microscope.wavelength:
        near = np.abs(at - wanted) < 1.5 / SIDE
        # a power law through the ring
        found.append(np.exp(np.polyfit(np.log(at[near] / wanted), np.log(intensity[near]), 1)[1]))
    return np.array(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=38)
    parser.add_argument("--energies", default="60,200")
    parser.add_argument("--thicknesses", default="0.4,0.1,0.03")
    given = parser.parse_args()
    screening = 0.8853 * Bohr / given.number ** (1 / 3)
    for energy in map(float, given.energies.split(",")):
        microscope = Microscope(energy=1e3 * energy)
        exact = partial_waves(given.number, screening, microscope, ANGLES)
        print(
            f"{energy:g} kV, Z = {given.number}: exact |f|² (Å²)",
            " ".join(f"{a}: {x:.4g}" for a, x in zip(ANGLES, exact, strict=True)),
        )
        for slices in (None, *map(float, given.thicknesses.split(","))):
            found = sliced(given.number, screening, microscope, slices, ANGLES)
            name = "whole" if slices is None else f"{slices:g} Å"
            print(f"  {name:8} over exact", " ".join(f"{x:.3f}" for x in found / exact), flush=True)


if __name__ == "__main__":
    main()
