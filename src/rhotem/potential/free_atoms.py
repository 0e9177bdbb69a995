"""Slices of the potential of superposed free atoms, exact up to the grid's band limit at any atomic position.

An atom between boundaries belongs to its slice; what of it lies beyond a boundary is moved across. With T(g, d) of
`rhotem.potential.yukawa` and b_s the boundaries,

    V_s(g) = [Σ_{a in s} f_e(g) e_a + E_{s+1}(g) − E_s(g)] h²/(2πm e) / A,
    E_b(g) = Σ_a ± T(g, |z_a − b|) e_a   (+ for atoms behind the boundary, − before),   e_a = exp(−2πi g·r_a),

over the periodic images along z. T is separable, T = Σ_k A_k(g) B_k(d), and far atoms only reach small g.

For waves atoms stay whole instead, E = 0. ``exp(iσV)`` of a whole atom is its eikonal, and what that neglects is left
out twice by slices within an atom: its bend of the rays, (λ/8π) ∬ |z − z'| ∇U·∇U' with U = σV, they have; the term
−(λ/4π) ∫ U² of ∂²ψ/∂z², with which it cancels for a Coulomb field (both are λσ²Z²e⁴/4ρ; Wallace, Ann. Phys. 78, 190,
1973), paraxial waves do not. So ever thinner slices that cut atoms lead away from the atom (benchmarks/atom_slices.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.core.units import VOLT_PER_FE
from rhotem.potential.parametrizations import FormFactor
from rhotem.potential.plane_waves import HalfPlane, PlaneWaves
from rhotem.potential.planes import planes_of
from rhotem.potential.yukawa import TailTable, screened_atom, tail_tables

#: Relative error of the separable tables for complex64 and complex128 sums; the bar of V1 is 1e-3.
TOLERANCE = {"F": 1e-5, "D": 1e-6}


@dataclass(frozen=True, eq=False)
class _Layer:
    """A tail table evaluated on its block of the half-plane: f_e(g) A_k(g), shape (K, rows, columns)."""

    table: TailTable
    block: tuple[slice, slice]
    radial: npt.NDArray


class SpeciesSlices:
    """The atoms of one element: their coefficients in any slice.

    Parameters
    ----------
    plane : HalfPlane
    positions : (N, 3) array
        Cartesian positions in Å in the (orthogonal) cell of ``plane.grid``.
    f_e : FormFactor
    z : int
        Atomic number.
    dtype : complex type
    planes : (N,) int array or None
        Slices that atoms lie in, whole; None: they are cut at boundaries.
    """

    def __init__(
        self,
        plane: HalfPlane,
        positions: npt.NDArray,
        f_e: FormFactor,
        z: int,
        dtype: npt.DTypeLike = np.complex64,
        planes: npt.NDArray[np.int64] | None = None,
    ) -> None:
        grid = plane.grid
        self.plane, self.dtype = plane, np.dtype(dtype)
        self.slices = grid.shape[2]
        self.thickness = grid.cell[2, 2] / self.slices
        fractional = positions / np.diag(grid.cell)
        self.height = (fractional[:, 2] - np.floor(fractional[:, 2])) * grid.cell[2, 2]
        self.slice_of = planes_of(self.height, grid.cell[2, 2], self.slices) if planes is None else planes
        self.waves = PlaneWaves(plane, fractional[:, :2], dtype)
        scale = VOLT_PER_FE / (grid.cell[0, 0] * grid.cell[1, 1])
        real = self.dtype.type(0).real.dtype
        most = float(plane.g.max())
        self.amplitude = _interpolate(_table(f_e, z, most), plane.g, most)[0] * scale
        self.layers: list[_Layer] = []
        if self.slices > 1 and planes is None:
            tolerance = TOLERANCE[self.dtype.char]
            for table in tail_tables(screened_atom(f_e, z), float(plane.g.max()), tolerance):
                block = plane.disk(table.cutoff)
                radial = _interpolate(table.radial, plane.g[block], table.cutoff) * self.amplitude[block]
                self.layers.append(_Layer(table, block, radial.astype(real)))
        self.amplitude = self.amplitude.astype(real)

    def whole(self, s: int, out: npt.NDArray) -> None:
        """Add the atoms of slice ``s``, uncut, to its coefficients ``out``."""
        points = np.flatnonzero(self.slice_of == s)
        if len(points):
            everything = (slice(0, self.plane.shape[0]), slice(0, self.plane.shape[1]))
            out += self.amplitude * self.waves.sum(points, np.ones((len(points), 1)), everything)[0]

    def crossing(self, boundary: int, out: npt.NDArray) -> None:
        """Add E_b of ``boundary`` (0 … S − 1, in front of slice b) to ``out``."""
        for layer in self.layers:
            points, distance, sign = self._near(boundary, layer.table)
            if len(points):
                weights = layer.table.weights(distance) * sign[:, None]
                sums = self.waves.sum(points, weights, layer.block)
                target = out[layer.block]
                for radial, term in zip(layer.radial, sums, strict=True):
                    target += radial * term

    def _near(self, boundary: int, table: TailTable) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
        """Atoms, periodic images included, with near <= |z − b| < far; +1 where they lie behind the boundary."""
        length, b = self.slices * self.thickness, boundary * self.thickness
        images = int(np.ceil(table.far / length)) + 1
        shifts = np.arange(-images, images + 1)
        distance = np.abs(self.height[:, None] + shifts * length - b)
        points, image = np.nonzero((distance >= table.near) & (distance < table.far))
        behind = self.slice_of[points] + shifts[image] * self.slices >= boundary
        return points, distance[points, image], np.where(behind, 1.0, -1.0)


def free_atom_slices(
    grid: PeriodicGrid,
    numbers: npt.NDArray,
    positions: npt.NDArray,
    f_e: FormFactor,
    dtype: npt.DTypeLike = np.complex64,
    planes: npt.NDArray[np.int64] | None = None,
) -> Callable[[range], npt.NDArray]:
    """Coefficients of consecutive slices of superposed free atoms.

    Parameters
    ----------
    grid : PeriodicGrid
        Orthogonal imaging cell, shape (n_x, n_y, S).
    numbers, positions : (N,), (N, 3) arrays
        Elements and Cartesian positions in Å.
    f_e : FormFactor
        Electron form factors in Å.
    dtype : complex type
        Precision of the sums.
    planes : (N,) int array or None
        Slices that atoms lie in, whole: what waves should pass. None: they are cut at boundaries.

    Returns
    -------
    callable
        ``coefficients(range(s0, s1))`` -> (s1 − s0, rows, columns) in V·Å, layout of `HalfPlane`.
    """
    plane = HalfPlane(grid)
    numbers = np.asarray(numbers)
    species = []
    for z in np.unique(numbers):
        one = numbers == z
        own = None if planes is None else planes[one]
        species.append(SpeciesSlices(plane, positions[one], f_e, int(z), dtype, own))

    def coefficients(wanted: range) -> npt.NDArray:
        out = np.zeros((len(wanted), *plane.shape), dtype=dtype)
        crossing = np.zeros(plane.shape, dtype=dtype)
        for i, s in enumerate(wanted):
            for element in species:
                element.whole(s, out[i])
        if planes is not None or grid.shape[2] == 1:
            return out
        for i, s in enumerate(range(wanted.start, wanted.stop + 1)):
            crossing[:] = 0
            for element in species:
                element.crossing(s % grid.shape[2], crossing)
            if i < len(wanted):
                out[i] -= crossing
            if i > 0:
                out[i - 1] += crossing
        return out

    return coefficients


@lru_cache(maxsize=256)
def _table(f_e: FormFactor, z: int, cutoff: float) -> npt.NDArray:
    """A form factor (2001, 1) at cutoff · t², t uniform; the same for every configuration."""
    return f_e(z, cutoff * np.linspace(0.0, 1.0, 2001) ** 2)[:, None]


def _interpolate(table: npt.NDArray, g: npt.NDArray, cutoff: float) -> npt.NDArray:
    """Cubic splines through a table at cutoff · t², t uniform; zero above the cutoff; shape (K, *g.shape)."""
    from scipy.interpolate import CubicSpline

    inside = g <= cutoff
    values = np.zeros((table.shape[1], *g.shape))
    spline = CubicSpline(np.linspace(0.0, 1.0, len(table)), table)
    values[:, inside] = spline(np.sqrt(g[inside] / cutoff)).T
    return values
