"""Change what a density field means: deformation, valence or total; and put its sharp parts on the grid."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.field import DensityField, Kind, OneCentre
from rhotem.density.fourier import Electrons
from rhotem.density.harmonics import real_harmonics
from rhotem.density.superpose import near_points, superpose
from rhotem.structure.model import Structure

#: Where a field keeps the electrons per element of its valence (`DensityField.record`).
VALENCE_RECORD = "valence_by_element"


def as_kind(field: DensityField, kind: Kind, electrons: Mapping[int, float] | None = None) -> DensityField:
    """The same density as "deformation", "valence" or "total", all parts on the grid.

    Free atoms are added or subtracted: for "valence" at the grid points, where any valence is positive; for "total"
    as voxel averages (`superpose`), whose count is exact where point values of cores are not, at the price of a known
    attenuation of the Fourier coefficients. Converting there and back gives the values one started from.

    Parameters
    ----------
    field : DensityField
    kind : "deformation", "valence" or "total"
    electrons : mapping, optional
        Valence electrons by atomic number; default is what the field's record says, else GPAW's default sets.

    Returns
    -------
    DensityField
        The field itself if it is of that kind and all on the grid. The record says what was done.

    Raises
    ------
    InputError
        If an element has no such valence.
    """
    for name in (field.kind, kind):
        if name not in ("deformation", "valence", "total"):
            raise InputError(f"density kind {name!r}: expected 'deformation', 'valence' or 'total'")
    if field.kind == kind and not field.one_centre:
        return field
    values = np.array(field.values, dtype=float)
    if field.one_centre:
        values += evaluate_one_centre(field, counted=True)
    record = dict(field.record)
    reference = free_atoms.load().identifier
    if field.kind != kind:
        count = valence_by_element(field, electrons)
        for other, sign in ((field.kind, -1.0), (kind, 1.0)):
            if other != "deformation":
                values += sign * _free(field.structure, field.grid, other, count)
        record["converted"] = f"{field.kind} -> {kind} with {reference}"
        record.pop("attenuation", None)
        if "valence" in (field.kind, kind):
            record[VALENCE_RECORD] = {str(z): n for z, n in count.items()}
        if kind == "total":
            record["attenuation"] = "free atoms are voxel averages: F_h times sinc(h1/n1) sinc(h2/n2) sinc(h3/n3)"
    return replace(field, kind=kind, values=values, one_centre=(), reference=reference, record=record)


def valence_by_element(field: DensityField, electrons: Mapping[int, float] | None = None) -> dict[int, float]:
    """Valence electrons by atomic number: as asked, as the field's record says, or GPAW's default sets."""
    known = electrons if electrons is not None else field.record.get(VALENCE_RECORD, {})
    counts = {int(z): float(n) for z, n in known.items()}
    table = free_atoms.load()
    return {
        int(z): counts.get(int(z), float(table.default_valence(int(z)))) for z in np.unique(field.structure.numbers)
    }


def evaluate_one_centre(
    field: DensityField, grid: PeriodicGrid | None = None, counted: bool = False
) -> npt.NDArray[np.float64]:
    """One-centre parts of ``field`` at the points of ``grid`` (default: its own), e/Å³.

    They are sharper than most grids; use `rhotem.density.fourier.coefficients` for anything but pictures and files.
    With ``counted`` the sum over the grid has the electrons of every part: what its samples miss is spread over the
    part's own sphere, (1 − r²/r_c²)³.
    """
    grid = grid or field.grid
    total = np.zeros(grid.shape)
    for term in field.one_centre:
        points, values = one_centre_values(grid, field.structure.positions[term.atom], term, counted)
        np.add.at(total, tuple(points.T), values)
    return total


def one_centre_values(
    grid: PeriodicGrid, centre: npt.NDArray[np.float64], term: OneCentre, counted: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Indices (M, 3) of the points that one part reaches and its values there, as `evaluate_one_centre`; add them."""
    from scipy.interpolate import CubicSpline

    reach = float(term.radii[-1])
    points, vectors = near_points(grid, centre, reach)
    r = np.linalg.norm(vectors, axis=1)
    values = np.einsum("rj,jr->r", real_harmonics(vectors, term.lmax), CubicSpline(term.radii, term.values, axis=1)(r))
    weight = np.clip(1.0 - (r / reach) ** 2, 0.0, None) ** 3
    if counted and weight.sum() > 0.0:
        missing = one_centre_electrons(term) / grid.voxel_volume - values.sum()
        values += weight * (missing / weight.sum())
    return points, values


def one_centre_electrons(term: OneCentre) -> float:
    """Electrons in a one-centre part, √4π ∫ r² R_00 dr."""
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(term.radii, term.radii**2 * term.values[0])
    return float(np.sqrt(4.0 * np.pi) * spline.integrate(0.0, term.radii[-1]))


def _free(structure: Structure, grid: PeriodicGrid, kind: Kind, valence: dict[int, float]) -> npt.NDArray[np.float64]:
    electrons: Electrons = valence if kind == "valence" else None
    return superpose(structure, grid, electrons, voxel_average=kind == "total")
