"""Free atoms: spherical, spin-paired, scalar-relativistic PBE densities, by shell, and their form factors.

The densities were calculated with GPAW (`scripts/make_free_atoms.py`) in the configurations of its PAW data sets, so
that "free atom" means the same here and in the DFT labels. docs/free-atoms.md compares them with other tables.
"""

import hashlib
import io
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import MOTT_BETHE
from rhotem.density.field import DensityField
from rhotem.density.stream import StreamedDensity, streamed
from rhotem.structure.model import Structure

#: Form factors are splines through these g (1/Å), and direct integrals beyond; inner shells need fewer knots.
KNOTS = np.concatenate([np.arange(0.0, 2.0, 0.01), np.arange(2.0, 6.0, 0.02), np.arange(6.0, 20.01, 0.05)])
G_MAX = 20.0
#: Quadrature points per point of the stored radial grid.
REFINEMENT = 4
#: Largest total charge per atom (e) that a valence may miss an integer by.
COUNT_TOLERANCE = 1e-3


class FreeAtomTable:
    """Shell densities of free atoms Z = 1–96; `load` gives the one that is shipped.

    Radii are in Å, densities in e/Å³, g in 1/Å without 2π. Every shell holds exactly its occupation.
    """

    def __init__(self, content: bytes) -> None:
        with np.load(io.BytesIO(content)) as data:
            self._data = {name: data[name] for name in data.files}
        version, setups = self._data["gpaw"]
        digest = hashlib.sha256(content).hexdigest()[:16]
        #: Name, makers and SHA-256 of the table; stored as `DensityField.reference`.
        self.identifier: str = f"free atoms PBE scalar-relativistic (GPAW {version}, gpaw-data {setups}) {digest}"
        self._radii = self._data["radii"]
        self._fine, self._weights = _quadrature(self._radii, self._data["scales"])
        self._splines: dict[tuple[int, float | None], Any] = {}
        self._transforms: dict[tuple[int, float | None], Any] = {}

    @property
    def largest(self) -> int:
        """Largest atomic number in the table."""
        return int(self._data["z"].max())

    @property
    def cutoff(self) -> float:
        """Radius in Å beyond which every density is zero."""
        return float(self._radii[-1])

    @property
    def quadrature(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Radii in Å and weights in Å³ with which Σ w f(r) is ∫ f d³r of a spherical function."""
        return self._fine, self._weights

    def radii(self, Z: int) -> npt.NDArray[np.float64]:
        """Radii in Å on which the densities of ``Z`` are tabulated."""
        self._rows(Z)
        return self._radii

    def shells(self, Z: int) -> list[tuple[int, int, float, float]]:
        """Occupied shells (n, l, electrons, eigenvalue in eV) of ``Z``, the least bound first."""
        d = self._data
        return [
            (int(d["n"][i]), int(d["l"][i]), float(d["occupation"][i]), float(d["eigenvalue"][i]))
            for i in self._rows(Z)
        ]

    def default_valence(self, Z: int) -> int:
        """Valence electrons of GPAW's default PBE data set.

        Where it has none (Tc, Po and heavier): the shells less bound than 80 eV, as small-core sets have them.
        """
        rows = self._rows(Z)
        return round(float(self._data["occupation"][rows[self._default(Z)]].sum()))

    def valences(self, Z: int) -> list[int]:
        """Every electron count for which a valence can be assembled, ascending; the last is the whole atom."""
        rows = self._rows(Z)
        return sorted({round(float(self._data["occupation"][rows[m]].sum())) for m in self._valence_masks(Z)})

    def density(
        self, Z: int, electrons: float | None = None
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Radii in Å and density in e/Å³ of the whole atom, or of the valence that holds ``electrons``.

        A valence is GPAW's own set if the count is GPAW's, otherwise the least bound shells, otherwise these without
        f shells (W 12 = 5d⁴6s²5p⁶ with 4f¹⁴ in the core).

        Raises
        ------
        InputError
            If ``Z`` is not in the table or no set of outer shells holds that many electrons.
        """
        return self._radii, self.evaluate(Z, self._radii, electrons)

    def evaluate(self, Z: int, r: npt.ArrayLike, electrons: float | None = None) -> npt.NDArray[np.float64]:
        """Density in e/Å³ at distances ``r`` in Å (any shape); zero beyond `cutoff`. See `density`."""
        distance = np.asarray(r, dtype=float)
        near, far = self._data["scales"]
        inside = distance < self.cutoff
        x = np.where(inside, distance, 0.0)
        values = self._spline(Z, electrons)(np.log1p(x / near) + x / far)
        return np.where(inside, np.maximum(values, 0.0), 0.0)

    def x_ray_form_factor(self, Z: int, g: npt.ArrayLike, electrons: float | None = None) -> npt.NDArray[np.float64]:
        """f_x(g) = ∫ 4πr² n(r) sinc(2gr) dr in electrons, g = 1/d in 1/Å of any shape."""
        size = np.abs(np.asarray(g, dtype=float))
        return self._count(Z, electrons) - size**2 * self._deficit(Z, size, electrons)

    def electron_form_factor(self, Z: int, g: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """First-Born f_e(g) in Å (rest mass) by Mott–Bethe, exact as g -> 0; g = 1/d in 1/Å of any shape."""
        return MOTT_BETHE * self._deficit(Z, np.abs(np.asarray(g, dtype=float)), None)

    def second_moment(self, Z: int, electrons: float | None = None) -> float:
        """∫ r² n(r) d³r in e·Å²."""
        return float(np.dot(self._weights * self._fine**2, self.evaluate(Z, self._fine, electrons)))

    def _rows(self, Z: int) -> npt.NDArray[np.int64]:
        rows = np.flatnonzero(self._data["z"] == Z)
        if len(rows) == 0:
            raise InputError(f"free atoms: no element Z = {Z}; the table holds Z = 1 to {self.largest}")
        return rows[np.argsort(-self._data["eigenvalue"][rows], kind="stable")]

    def _default(self, Z: int) -> npt.NDArray[np.bool_]:
        rows = self._rows(Z)
        mask = self._data["valence"][rows]
        return mask if mask.any() else self._data["eigenvalue"][rows] > -80.0

    def _valence_masks(self, Z: int) -> list[npt.NDArray[np.bool_]]:
        """Sets of outer shells in order of preference, over `_rows`."""
        rows = self._rows(Z)
        position = np.arange(len(rows))
        outer = [position <= last for last in position]
        no_f = self._data["l"][rows] < 3
        return [self._default(Z), *outer, *[mask & no_f for mask in outer]]

    def _mask(self, Z: int, electrons: float | None) -> npt.NDArray[np.bool_]:
        occupation = self._data["occupation"][self._rows(Z)]
        if electrons is None:
            return np.ones(len(occupation), dtype=bool)
        for mask in self._valence_masks(Z):
            if abs(occupation[mask].sum() - electrons) < COUNT_TOLERANCE:
                return mask
        fits = ", ".join(map(str, self.valences(Z)))
        raise InputError(f"free atoms: Z = {Z} has no valence of {electrons:g} electrons; its shells give {fits}")

    def _count(self, Z: int, electrons: float | None) -> float:
        return float(self._data["occupation"][self._rows(Z)][self._mask(Z, electrons)].sum())

    def _spline(self, Z: int, electrons: float | None) -> Any:
        key = (int(Z), electrons)
        if key not in self._splines:
            from scipy.interpolate import CubicSpline

            near, far = self._data["scales"]
            rows = self._rows(Z)[self._mask(Z, electrons)]
            coordinate = np.log1p(self._radii / near) + self._radii / far
            total = np.zeros(len(self._radii))
            for row in rows:
                shell = self._data["density"][row].astype(float)
                fine = CubicSpline(coordinate, shell)(np.log1p(self._fine / near) + self._fine / far)
                # the compact grid misses the occupation by 1e-6 or less
                total += shell * (self._data["occupation"][row] / np.dot(self._weights, fine))
            self._splines[key] = CubicSpline(coordinate, total)
        return self._splines[key]

    def _deficit(self, Z: int, g: npt.NDArray[np.float64], electrons: float | None) -> npt.NDArray[np.float64]:
        """(N − f_x)/g² in e·Å², finite at g = 0."""
        key = (int(Z), electrons)
        beyond = g > G_MAX
        if key not in self._transforms or beyond.any():
            charge = self._weights * self.evaluate(Z, self._fine, electrons)
        if key not in self._transforms:
            from scipy.interpolate import CubicSpline

            values = _deficit_integral(self._fine, charge, KNOTS)
            self._transforms[key] = CubicSpline(KNOTS, values, bc_type=((1, 0.0), "not-a-knot"))
        result = np.asarray(self._transforms[key](np.minimum(g, G_MAX)))
        if beyond.any():
            distinct, inverse = np.unique(g[beyond], return_inverse=True)
            result[beyond] = _deficit_integral(self._fine, charge, distinct)[inverse]
        return result


def _quadrature(
    radii: npt.NDArray[np.float64], scales: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Radii in Å and weights 4πr² dr, trapezoidal in the coordinate in which the radial grid is even."""
    near, far = scales
    end = np.log1p(radii[-1] / near) + radii[-1] / far
    coordinate = np.linspace(0.0, end, REFINEMENT * (len(radii) - 1) + 1)
    r = np.interp(coordinate, np.log1p(radii / near) + radii / far, radii)
    for _ in range(6):  # Newton
        r -= (np.log1p(r / near) + r / far - coordinate) / (1.0 / (near + r) + 1.0 / far)
    r = np.clip(r, 0.0, radii[-1])
    return r, 4.0 * np.pi * r**2 * (coordinate[1] / (1.0 / (near + r) + 1.0 / far))


def _deficit_integral(
    r: npt.NDArray[np.float64], charge: npt.NDArray[np.float64], g: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Σ charge (1 − sinc(2gr))/g² with its limit (2π)²/6 Σ charge r² at g = 0."""
    result = np.full(len(g), 4.0 * np.pi**2 / 6.0 * np.dot(charge, r**2))
    for start in range(0, len(g), 256):
        part = g[start : start + 256]
        value = (charge * (1.0 - np.sinc(2.0 * part[:, None] * r))).sum(1)
        np.divide(value, part**2, out=result[start : start + 256], where=part > 1e-4)
    return result


@lru_cache(maxsize=1)
def load() -> FreeAtomTable:
    """The table of free atoms shipped with RhoTEM, read once."""
    return FreeAtomTable((files("rhotem.density.tables") / "free_atoms_pbe.npz").read_bytes())


class FreeAtoms:
    """Density source of independent atoms: a deformation density that is zero everywhere."""

    def __call__(self, structure: Structure, grid: PeriodicGrid) -> DensityField:
        """Zero deformation of ``structure`` on ``grid``; costs no memory. Neutral: a charge is not seen, and said.

        Raises
        ------
        InputError
            If an element is not in the table.
        """
        table = load()
        for z in np.unique(structure.numbers):
            table.radii(int(z))
        zero = np.broadcast_to(np.float64(0.0), grid.shape)
        ignored = f"free atoms are neutral: the charge of {structure.charge:+g} e is left out; use another source"
        return DensityField(
            "deformation",
            structure,
            grid,
            zero,
            reference=table.identifier,
            source="free atoms",
            record={"warnings": [ignored]} if structure.charge else {},
        )

    def planes(self, structure: Structure, spacing: float) -> StreamedDensity:
        """The same plane by plane."""
        return streamed(self(structure, PeriodicGrid.from_spacing(structure.cell, spacing)))
