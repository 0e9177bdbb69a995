"""Potential of free atoms: RhoTEM against abTEM's independent-atom builder, same atoms, same grid, one run.

Both build the slices of one frozen-phonon configuration of SrTiO3 [001] with the Lobato parametrisation. The error is
the largest deviation of the projected Fourier coefficients from the analytic sum, relative to Σ f_e, below 2/3 of the
first grid's Nyquist frequency (what a multislice uses). abTEM's grid is refined until that error is below 0.1 %.
RhoTEM cuts every atom at the slice boundaries; abTEM's "infinite" projection puts whole atoms into slices, "finite"
cuts them.

Run: python benchmarks/potential_build.py [--size 5 5 25] [--spacing 0.07] [--thickness 1.95]
"""

import argparse
import time

import abtem
import ase
import numpy as np
from ase.data import chemical_symbols

from rhotem.core import PeriodicGrid
from rhotem.core.units import VOLT_PER_FE
from rhotem.potential import build_potential
from rhotem.potential.plane_waves import HalfPlane
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell

SRTIO3 = ase.Atoms(
    "SrTiO3",
    scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    cell=[3.905] * 3,
    pbc=True,
)


def analytic(atoms: ase.Atoms, plane: HalfPlane) -> tuple[np.ndarray, np.ndarray]:
    """Exact projected coefficients in V·Å and the sum of amplitudes."""
    from abtem.parametrizations import LobatoParametrization

    table = LobatoParametrization()
    h_x, h_y = np.arange(plane.shape[0]) - plane.centre, np.arange(plane.shape[1])
    total, scale = np.zeros(plane.shape, complex), np.zeros(plane.shape)
    area = atoms.cell[0, 0] * atoms.cell[1, 1]
    fractional = atoms.get_scaled_positions()
    for z in np.unique(atoms.numbers):
        a, b = np.array(table.parameters[chemical_symbols[z]])
        bg2 = b * plane.g[..., None] ** 2
        amplitude = (a * (2 + bg2) / (1 + bg2) ** 2).sum(-1) * VOLT_PER_FE / area
        f = fractional[atoms.numbers == z]
        e_x = np.exp(-2j * np.pi * f[:, 0, None] * h_x)
        e_y = np.exp(-2j * np.pi * f[:, 1, None] * h_y)
        total += amplitude * (e_x.T @ e_y)
        scale += amplitude * len(f)
    return total, scale


def error(array: np.ndarray, atoms: ase.Atoms, cutoff: float) -> float:
    """Largest relative error of the projection below ``cutoff`` in 1/Å, g = 0 left out (abTEM shifts the zero)."""
    n_x, n_y = array.shape[1:]
    plane = HalfPlane(PeriodicGrid(atoms.cell.array, (n_x, n_y, 1)))
    got = np.fft.fftshift(np.fft.fft2(array.sum(0, dtype=float)) / (n_x * n_y), axes=0)[:, : plane.shape[1]]
    exact, scale = analytic(atoms, plane)
    deviation = np.abs(got - exact) / scale
    return float(deviation[(plane.g > 0) & (plane.g < cutoff)].max())


def timed(function) -> tuple[float, np.ndarray]:
    """Shorter of two runs, and the result."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, nargs=3, default=(5, 5, 25))
    parser.add_argument("--spacing", type=float, default=0.07)
    parser.add_argument("--thickness", type=float, default=1.9525)
    parser.add_argument("--finite", action="store_true", help="also abTEM's finite projection (minutes)")
    options = parser.parse_args()
    atoms = SRTIO3 * options.size
    cell = ImagingCell.from_orthogonal(Structure(atoms))
    moved = np.random.default_rng(0).normal(0, 0.08, (len(atoms), 3))
    shape = PeriodicGrid.from_spacing(atoms.cell.array, options.spacing).shape[:2]
    slices = round(atoms.cell[2, 2] / options.thickness)
    grid = PeriodicGrid(atoms.cell.array, (*shape, slices))
    frozen = atoms.copy()
    frozen.positions += moved
    frozen.wrap()
    cutoff = 1.0 / (3.0 * options.spacing)
    print(f"{len(atoms)} atoms, {shape[0]} x {shape[1]} x {slices} slices, error below {cutoff:.2f} 1/Å")
    print(f"{'builder':34s} {'grid':>12s} {'seconds':>8s} {'s/100 atoms':>12s} {'error':>9s} {'ratio':>7s}")

    def report(name: str, gpts: tuple[int, int], seconds: float, array: np.ndarray, base: float) -> float:
        wrong = error(array, frozen, cutoff)
        per_100 = seconds / len(atoms) * 100
        print(
            f"{name:34s} {gpts[0]:5d} x{gpts[1]:5d} {seconds:8.2f} {per_100:12.4f} {wrong:9.1e} {seconds / base:7.1f}"
        )
        return wrong

    base, array = timed(lambda: build_potential(cell, grid, parametrization="lobato", displacements=moved).array)
    report("RhoTEM", shape, base, array, base)
    for projection in ("infinite", "finite")[: 2 if options.finite else 1]:
        for factor in (1, 2, 4, 8):
            gpts = tuple(n * factor for n in shape)
            if np.prod(gpts) * slices > 4e8:
                print(f"abTEM {projection}: {gpts[0]} x {gpts[1]} x {slices} left out, over 1.6 GB")
                break

            def build(gpts=gpts, projection=projection):
                potential = abtem.Potential(
                    frozen,
                    gpts=gpts,
                    slice_thickness=options.thickness,
                    parametrization="lobato",
                    projection=projection,
                )
                return potential.build(lazy=False).array

            seconds, array = timed(build)
            if report(f"abTEM {abtem.__version__} IAM, {projection}", gpts, seconds, array, base) < 1e-3:
                break


if __name__ == "__main__":
    main()
