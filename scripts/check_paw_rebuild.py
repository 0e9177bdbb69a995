"""How well a pseudised valence density is rebuilt, where the exact answer is known: GPAW calculations.

A GPAW density is turned into what VASP writes into CHGCAR: smooth valence plus compensation charges with the right
multipole moments. From that file `rhotem.density.files.paw.rebuild` makes a deformation density, compared here with
the radially exact one of the same calculation, for all g < 1/Å: sqrt(Σ|ΔF/g²|² / Σ|F/g²|²), the error of the potential
of the deformation, and the same without rebuilding.

    python scripts/check_paw_rebuild.py [--cache DIR] LiF MgO Si ...        (needs GPAW)
"""

import argparse
from dataclasses import replace
from typing import Any

import ase
import numpy as np
from ase.build import bulk
from scipy.interpolate import CubicSpline

from rhotem.core import PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.density.files.counts import Assignment
from rhotem.density.files.paw import rebuild
from rhotem.density.files.spheres import inside
from rhotem.density.fourier import coefficients
from rhotem.density.harmonics import real_harmonics
from rhotem.density.superpose import superpose
from rhotem.structure.model import Structure

#: Lattice constants in Å; those in CALIBRATION gave the expected shell changes of `rhotem.density.files.radial`.
CRYSTALS = {
    "LiF": ("rocksalt", 4.03),
    "LiH": ("rocksalt", 4.00),
    "MgO": ("rocksalt", 4.21),
    "Si": ("diamond", 5.43),
    "Al": ("fcc", 4.05),
    "NaCl": ("rocksalt", 5.64),
    "SiC": ("zincblende", 4.36),
    "AlP": ("zincblende", 5.47),
    "TiC": ("rocksalt", 4.33),
}
CALIBRATION = {"LiF", "LiH", "MgO", "Si", "Al"}
SPACING, G_MAX, LMAX = 0.09, 1.0, 4


def crystal(name: str) -> ase.Atoms:
    """One of `CRYSTALS`."""
    kind, a = CRYSTALS[name]
    return bulk(name, kind, a=a)


def as_chgcar(field: DensityField, sets: list[Any]) -> np.ndarray:
    """Valence on the field's grid, pseudised: smooth part plus compensation charges, moments right up to l = 4."""
    values = np.array(field.values)
    for centre, data, term in zip(field.structure.positions, sets, field.one_centre, strict=True):
        free = CubicSpline(data.free_radii, data.free_pseudo)
        index, _, r = inside(field.grid, centre, float(data.free_radii[-1]) - 4.0)
        np.add.at(values, index, free(r))
        radius = 0.9 * float(data.radii[-1])
        index, vectors, r = inside(field.grid, centre, radius)
        harmonics = real_harmonics(vectors, LMAX)
        t, w = np.polynomial.legendre.leggauss(60)
        t, w = (t + 1) / 2 * radius, w / 2 * radius
        for row in range(min(len(term.values), (LMAX + 1) ** 2)):
            ell = int(np.sqrt(row))
            full = term.values[row] + (np.sqrt(4 * np.pi) * data.free_one_centre if row == 0 else 0.0)
            moment = np.sum(data.volumes * data.radii**ell * full)
            norm = np.sum(w * t ** (2 * ell + 2) * (1 - (t / radius) ** 2) ** 3)
            np.add.at(values, index, moment / norm * r**ell * (1 - (r / radius) ** 2) ** 3 * harmonics[:, row])
    return values


def compare(structure: Structure, cache: str | None = None) -> tuple[float, float]:
    """Relative error of the deformation's potential, as it stands in the pseudised file and rebuilt."""
    from rhotem.labels.gpaw_density import _paw_sets, deformation_field
    from rhotem.labels.gpaw_source import Gpaw

    calculation = Gpaw(cache=cache).calculate(structure)
    field = deformation_field(calculation, structure, PeriodicGrid.from_spacing(structure.cell, SPACING))
    sets = _paw_sets(calculation.dft.setups)
    valence = {int(z): float(s.valence) for z, s in zip(structure.numbers, sets, strict=True)}
    deformation = as_chgcar(field, sets) - superpose(structure, field.grid, valence)
    radii = {s: float(d.radii[-1]) for s, d in zip(structure.atoms.get_chemical_symbols(), sets, strict=True)}
    rebuilt = rebuild(field.grid, deformation, structure, Assignment(tuple(sorted(valence.items()))), radii)
    h = np.argwhere(np.ones((13, 13, 13))) - 6
    g = np.linalg.norm(h @ field.grid.reciprocal, axis=1)
    h, g = h[(g > 0) & (g < G_MAX)], g[(g > 0) & (g < G_MAX)]
    exact = coefficients(field, h)

    def error(values: np.ndarray, one_centre: tuple = ()) -> float:
        found = coefficients(replace(field, values=values, one_centre=one_centre), h)
        return float(np.linalg.norm((found - exact) / g**2) / np.linalg.norm(exact / g**2))

    return error(deformation), error(rebuilt.values, rebuilt.one_centre)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(CRYSTALS), metavar="NAME")
    parser.add_argument("--cache")
    options = parser.parse_args()
    print("| crystal | as in the file | rebuilt | used for calibration |\n|---|---|---|---|")
    for name in options.names:
        before, after = compare(Structure(crystal(name)), options.cache)
        print(f"| {name} | {before:.3f} | {after:.3f} | {'yes' if name in CALIBRATION else 'no'} |", flush=True)


if __name__ == "__main__":
    main()
