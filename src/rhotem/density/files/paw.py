"""From a pseudised valence density (CHGCAR) to the all-electron deformation density.

Outside the augmentation spheres the file is the all-electron valence density. Inside it has the wrong shape but the
right multipole moments, because PAW's compensation charges restore them. So inside, for l ≤ 4, only the moment
∫ r^(l+2) Δn_lm dr and value and slope at the sphere (l = 0: also curvature) are kept, and Δn_lm is rebuilt from them:

- l ≥ 1: r^l (a + b r² + c r⁴);
- l = 0: the shells of the free atom with changed amplitudes plus a + b r² + c r⁴ + d r⁶, as small a change as meets
  the four conditions. A valence wave keeps its nodes near the nucleus whatever the surroundings: hence amplitudes.

The wiggles of the shells near the nucleus are returned as one-centre terms; everything else is smooth on the grid.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import OneCentre
from rhotem.density.files.counts import Assignment, augmentation_radius
from rhotem.density.files.radial import Profile, polynomial
from rhotem.density.files.spheres import Expander, Sphere, inside, non_overlapping
from rhotem.density.harmonics import LMAX, real_harmonics
from rhotem.structure.model import Structure

#: Radial nodes inside a sphere, and step (Å) of the four nodes beyond that help the derivatives at the sphere.
NODES, BEYOND = 41, 0.025
#: Points of the one-centre terms.
POINTS = 240
ROOT = float(np.sqrt(4.0 * np.pi))


@dataclass(frozen=True)
class Rebuilt:
    """Deformation density: smooth values on the grid, sharp one-centre terms, and what was done."""

    values: npt.NDArray[np.float64]
    one_centre: tuple[OneCentre, ...]
    record: dict


def rebuild(
    grid: PeriodicGrid,
    deformation: npt.NDArray,
    structure: Structure,
    assignment: Assignment,
    radii: dict[str, float] | None = None,
) -> Rebuilt:
    """Replace the inside of every augmentation sphere.

    Parameters
    ----------
    grid : PeriodicGrid
    deformation : array
        Pseudised valence density minus point-sampled free-atom valence, e/Å³.
    structure : Structure
        Its charge fixes the integral of the result.
    assignment : Assignment
        Valence electrons of each element.
    radii : dict, optional
        Augmentation radii in Å by element symbol, instead of those of VASP's default sets.

    Raises
    ------
    InputError
        If ``radii`` names an element that is not there or a radius that is not between 0.2 and 3 Å.
    """
    spheres = _spheres(structure, radii)
    profiles = {(s.Z, s.radius): Profile(s.Z, assignment.electrons[s.Z], s.radius) for s in spheres}
    smooth = np.array(deformation, dtype=float)
    for s in spheres:
        # Exchange the free atom's cusp and nodes for a polynomial: what is left is smooth and can be interpolated.
        index, _, r = inside(grid, s.centre, s.radius)
        np.add.at(smooth, index, profiles[s.Z, s.radius].sharp(r))
    expand = Expander(grid, smooth, LMAX)
    amplitudes = [_rebuild_sphere(grid, smooth, s, profiles[s.Z, s.radius], expand) for s in spheres]
    terms = tuple(_term(s, profiles[s.Z, s.radius], a) for s, a in zip(spheres, amplitudes, strict=True))
    sharp = sum(profiles[s.Z, s.radius].sharp_charge(a) for s, a in zip(spheres, amplitudes, strict=True))
    missing = -structure.charge - grid.integrate(smooth) - sharp
    _spread(grid, smooth, spheres, missing)
    record = {
        "augmentation_radii_A": {str(s.atom): round(s.radius, 4) for s in spheres},
        "shell_amplitudes_e": [np.round(a, 4).tolist() for a in amplitudes],
        "count_correction_e": float(missing),
    }
    return Rebuilt(smooth, terms, record)


def _spheres(structure: Structure, radii: dict[str, float] | None) -> list[Sphere]:
    given = dict(radii or {})
    symbols = structure.atoms.get_chemical_symbols()
    for symbol, radius in given.items():
        if symbol not in symbols:
            raise InputError(f"augmentation radius of {symbol}: the structure has no {symbol}")
        if not 0.2 <= radius <= 3.0:
            raise InputError(f"augmentation radius of {symbol}: got {radius} Å, expected 0.2 to 3 Å")
    wanted = np.array([
        given.get(s, augmentation_radius(int(z))) for s, z in zip(symbols, structure.numbers, strict=True)
    ])  # fmt: skip
    # Equal atoms share one radial profile, so the radii are rounded down to 1e-4 Å.
    final = np.floor(non_overlapping(structure, wanted) * 1e4) / 1e4
    return [
        Sphere(a, int(z), np.asarray(p), float(r))
        for a, (z, p, r) in enumerate(zip(structure.numbers, structure.positions, final, strict=True))
    ]


def _rebuild_sphere(
    grid: PeriodicGrid, smooth: npt.NDArray, sphere: Sphere, profile: Profile, expand: Expander
) -> npt.NDArray[np.float64]:
    """Replace the harmonics l ≤ 4 inside one sphere, in place; amplitudes of the shells, for the one-centre term."""
    from scipy.interpolate import CubicSpline

    R = sphere.radius
    nodes = np.concatenate([np.linspace(0.0, R, NODES), R + BEYOND * np.arange(1.0, 5.0)])
    spline = CubicSpline(nodes, expand(sphere.centre, nodes))
    values, slopes, curvatures = spline(R), spline(R, 1), spline(R, 2)
    t, w = np.polynomial.legendre.leggauss(48)
    r, w = (t + 1.0) * R / 2.0, w * R / 2.0
    samples = spline(r)
    index, vectors, distance = inside(grid, sphere.centre, R)
    change = -spline(distance)
    for ell in range(1, LMAX + 1):
        for row in range(ell**2, (ell + 1) ** 2):
            moment = float(np.dot(w * r ** (ell + 2), samples[:, row]))
            a = polynomial(ell, R, float(values[row]), float(slopes[row]), moment)
            change[:, row] += distance**ell * (a[0] + a[1] * distance**2 + a[2] * distance**4)
    moment = float(np.dot(w * r**2, samples[:, 0])) / ROOT - profile.sharp_charge() / (4.0 * np.pi)
    average = [float(d[0]) / ROOT for d in (values, slopes, curvatures)]
    amplitudes, a = profile.continuation(average[0], average[1], average[2], moment)
    x = distance / R
    change[:, 0] += ROOT * (profile.smooth(distance, amplitudes) + np.polynomial.polynomial.polyval(x**2, a))
    np.add.at(smooth, index, np.einsum("rj,rj->r", change, real_harmonics(vectors, LMAX)))
    return amplitudes


def _term(sphere: Sphere, profile: Profile, amplitudes: npt.NDArray) -> OneCentre:
    radii = sphere.radius * np.linspace(0.0, 1.0, POINTS) ** 3
    values = ROOT * profile.sharp(radii, amplitudes)
    values[-1] = 0.0
    return OneCentre(sphere.atom, radii, values[None, :])


def _spread(grid: PeriodicGrid, smooth: npt.NDArray, spheres: list[Sphere], electrons: float) -> None:
    """Add ``electrons`` as equal smooth bumps in the spheres, in place."""
    for s in spheres:
        index, _, r = inside(grid, s.centre, s.radius)
        bump = (1.0 - (r / s.radius) ** 2) ** 2
        np.add.at(smooth, index, electrons / len(spheres) * bump / (bump.sum() * grid.voxel_volume))
