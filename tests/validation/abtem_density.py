"""Densities through abTEM's `ChargeDensityPotential`, guarded: a second opinion on potentials from densities.

abTEM 1.0 adds the full nuclear charge to the density it is given, so the density must hold all electrons; fed with a
valence density it returns potentials of ions with the charge of the core, without a warning. Other releases may mean
something else. So the installed version is asked first, with an atom whose answer is known.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MissingDependencyError, PeriodicGrid, is_rectangular
from rhotem.core.provenance import versions
from rhotem.core.units import EPS0
from rhotem.density.field import DensityField
from rhotem.potential.slices import PotentialSlices

if TYPE_CHECKING:
    from collections.abc import Callable

    Build = Callable[[ase.Atoms, npt.NDArray, tuple[int, int], float], npt.NDArray]

#: Largest deviation of the probe's projected coefficients from theory that counts as agreement.
TOLERANCE = 0.1


def _build(atoms: ase.Atoms, density: npt.NDArray, shape: tuple[int, int], slice_thickness: float) -> npt.NDArray:
    """Slices (S, nx, ny) in V·Å by abTEM's ChargeDensityPotential."""
    try:
        from abtem.potentials.charge_density import ChargeDensityPotential
    except ImportError:
        raise MissingDependencyError(
            "the installed abTEM has no ChargeDensityPotential: pip install 'abtem>=1.0.11'"
        ) from None
    potential: Any = ChargeDensityPotential(atoms, density, gpts=shape, slice_thickness=slice_thickness)
    return np.asarray(potential.build(lazy=False).array)


def charge_density_meaning(build: "Build" = _build) -> str:
    """What the installed `ChargeDensityPotential` takes its density for: "all-electron" or "unknown".

    A carbon atom with its six electrons as a Gaussian is neutral: its projected Fourier coefficients are
    ``Z e (1 − exp(−2π²σ²g²)) / (ε0 (2πg)² A)``. A code that takes the density for valence electrons only, or adds
    cores of its own, gives something else.

    Parameters
    ----------
    build : callable
        For tests: stands for abTEM.
    """
    length, points, sigma, charge = 5.0, 50, 0.3, 6
    atoms = ase.Atoms("C", positions=[[length / 2] * 3], cell=[length] * 3, pbc=True)
    grid = PeriodicGrid(np.eye(3) * length, (points,) * 3)
    distance2 = ((grid.points() - length / 2) ** 2).sum(axis=-1)
    density = np.exp(-distance2 / (2 * sigma**2))
    density *= charge / grid.integrate(density)
    found = np.fft.fft2(build(atoms, density, (points, points), 0.5).sum(axis=0)) / points**2
    for h in (1, 2, 3):
        g2 = (h / length) ** 2
        expected = charge * (1 - np.exp(-2 * np.pi**2 * sigma**2 * g2)) / (EPS0 * 4 * np.pi**2 * g2 * length**2)
        if abs(abs(found[h, 0]) / expected - 1) > TOLERANCE:
            return "unknown"
    return "all-electron"


@cache
def _installed_meaning() -> str:
    return charge_density_meaning()


def charge_density_slices(field: DensityField, grid: PeriodicGrid, build: "Build" = _build) -> PotentialSlices:
    """Potential slices of a density by abTEM, for comparison with `rhotem.potential.slices.build_potential`.

    Parameters
    ----------
    field : DensityField
        Density on an orthogonal cell, of any kind; made "total" with cores averaged over voxels, whose attenuation
        in Fourier space (sinc functions) is divided out before abTEM sees it.
    grid : PeriodicGrid
        The same cell; its shape gives pixels and slices.
    build : callable
        For tests: stands for abTEM.

    Returns
    -------
    PotentialSlices
        Slices whose mean is zero: abTEM loses the mean inner potential.

    Raises
    ------
    InputError
        If the cell is not orthogonal, or the installed abTEM does not take all-electron densities.
    """
    from rhotem.density.convert import as_kind

    cell = field.grid.cell
    if not is_rectangular(cell) or not np.allclose(cell, grid.cell, atol=1e-6):
        raise InputError("ChargeDensityPotential: the density must lie on the orthogonal imaging cell itself")
    meaning = _installed_meaning() if build is _build else charge_density_meaning(build)
    if meaning != "all-electron":
        raise InputError(
            f"abTEM {versions().get('abtem', '')} does not take ChargeDensityPotential's density for all electrons: "
            "results would be wrong; use build_potential"
        )
    total = as_kind(field, "total")
    sharpened = total.values
    if "attenuation" in total.record:
        spectrum = np.fft.fftn(total.values)
        for axis, n in enumerate(field.grid.shape):
            shape = [1, 1, 1]
            shape[axis] = n
            spectrum /= np.sinc(np.fft.fftfreq(n)).reshape(shape)
        sharpened = np.fft.ifftn(spectrum).real
    thickness = float(grid.cell[2, 2] / grid.shape[2])
    array = build(field.structure.atoms, sharpened, (grid.shape[0], grid.shape[1]), thickness)
    array = (array - array.mean()).astype(np.float32)
    record = {"route": "abtem.ChargeDensityPotential", "meaning": meaning, "source": field.source}
    return PotentialSlices(array, grid, 0.0, record)


def largest_deviation(first: PotentialSlices, second: PotentialSlices, g_max: float) -> float:
    """Largest difference of projected Fourier coefficients with 0 < g <= ``g_max`` (1/Å), relative to the largest.

    Both potentials have the same lateral cell; grids may differ.
    """
    rows = []
    for slices in (first, second):
        projected = slices.projected()
        rows.append(np.fft.fft2(projected) / projected.size)
    n = [min(a, b) for a, b in zip(rows[0].shape, rows[1].shape, strict=True)]
    h, k = (np.arange(-((m - 1) // 2), (m - 1) // 2 + 1) for m in n)
    a, b = (row[np.ix_(h, k)] for row in rows)
    lx, ly = first.extent
    g = np.hypot(h[:, None] / lx, k[None] / ly)
    seen = (g > 0) & (g <= g_max)
    return float(np.abs(a - b)[seen].max() / np.abs(a)[seen].max())
