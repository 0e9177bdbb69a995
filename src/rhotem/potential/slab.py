"""Slabs: where the vacuum is, the potential step across it, and a zero that means vacuum.

A periodic calculation of a slab with a dipole p per area along its normal bends the potential so that it closes across
the vacuum. The isolated slab's potential is the periodic one plus a ramp,

    V(s) = V_periodic(s) + (ΔV/L) (s − s_v) + V_shift,    ΔV = p/ε0,  p = −∫ s Δn̄(s) ds,

with s the height along the normal, counted over one period L from the middle of the vacuum s_v (J. Neugebauer and M.
Scheffler, Phys. Rev. B 46, 16067 (1992); L. Bengtsson, Phys. Rev. B 59, 12301 (1999)). V is then flat in the vacuum on
both sides; they differ by ΔV, and V_shift puts their mean at zero.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.units import EPS0
from rhotem.density.field import DensityField
from rhotem.density.stream import StreamedDensity
from rhotem.potential.crystal import structure_factors
from rhotem.potential.deformation import check_field, crystal_shift
from rhotem.potential.parametrizations import FormFactor
from rhotem.potential.slices import PotentialSlices
from rhotem.structure.model import Structure
from rhotem.structure.vacuum import VACUUM, find_vacuum

if TYPE_CHECKING:
    from rhotem.structure.orient import ImagingCell

#: Least net charge in e of a cell that has no vacuum level to refer to.
CHARGE = 0.02
#: Gaps between planes that differ by less than this (Å) are those of one slab repeated.
SAME = 0.01
#: Points along the normal at which planar averages are taken.
POINTS = 2048


@dataclass(frozen=True, eq=False)
class SlabReference:
    """What turns a periodic slab's potential into that of the slab alone.

    Parameters
    ----------
    axis : int
        Lattice vector across the vacuum.
    normal : (3,) array
        Unit normal of the surfaces.
    period : float
        Length of the cell along the normal in Å.
    vacuum_centre, vacuum_width : float
        Along the normal in Å; the centre counted from the cell's origin.
    dipole : float
        p in e/Å, positive towards +normal.
    step : float
        ΔV in V: level of the vacuum above the slab (+normal) minus that below.
    shift : float
        V_shift in V.
    unevenness : float
        Largest deviation in V from the two flat levels in the middle half of the vacuum; should be far below 0.1.
    """

    axis: int
    normal: npt.NDArray[np.float64]
    period: float
    vacuum_centre: float
    vacuum_width: float
    dipole: float
    step: float
    shift: float
    unevenness: float

    @property
    def symmetric(self) -> bool:
        """Whether both sides have the same vacuum level, to 10 mV."""
        return abs(self.step) < 0.01

    def correction(self, height: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """What to add in V to the periodic potential at ``height`` in Å along the normal."""
        turn = np.mod(np.asarray(height, dtype=float) - self.vacuum_centre, self.period)
        return self.shift + self.step * (turn / self.period - 0.5)


def slab_reference(
    structure: Structure,
    field: DensityField | None,
    *,
    parametrization: str | FormFactor = "pbe",
    least_vacuum: float = VACUUM,
) -> SlabReference:
    """Dipole, potential step and vacuum level of a slab.

    Parameters
    ----------
    structure : Structure
        A cell with vacuum across one of its lattice vectors.
    field : DensityField or None
        Its deformation density; None: free atoms, which have no dipole.
    parametrization : "pbe", "lobato", "kirkland" or a form factor
    least_vacuum : float
        Least gap in Å between atomic planes to count as vacuum.

    Raises
    ------
    InputError
        If there is no vacuum, or the cell carries a net charge.
    """
    vacuum = find_vacuum(structure, least_vacuum)
    if vacuum is None:
        raise InputError(f"slab: no gap of {least_vacuum} Å between atomic planes; this is a bulk cell")
    if abs(structure.charge) > CHARGE:
        raise InputError(f"slab: net charge {structure.charge:+g} e; a charged slab has no vacuum level, neutralise it")
    axis, centre, width = vacuum
    reciprocal = np.linalg.inv(structure.cell).T[axis]
    period = 1.0 / float(np.linalg.norm(reciprocal))
    dipole = 0.0 if field is None else _dipole(structure, field, axis, centre)
    plain = SlabReference(axis, reciprocal * period, period, centre, width, dipole, dipole / EPS0, 0.0, 0.0)
    height = np.arange(POINTS) * period / POINTS
    # Smoothing keeps straight lines straight and removes the ripple of nuclei cut off at 8 1/Å.
    smooth = planar_average(structure, field, axis, height, parametrization, smoothing=0.3)
    potential = smooth + plain.correction(height)
    offset = np.mod(height - centre + period / 2.0, period) - period / 2.0
    middle = np.abs(offset) < 0.25 * width
    # Just above the vacuum's centre is the slab's lower side.
    lower, upper = potential[middle & (offset > 0)], potential[middle & (offset < 0)]
    level = 0.5 * (lower.mean() + upper.mean())
    uneven = max(np.ptp(lower), np.ptp(upper))
    return replace(plain, shift=-float(level), unevenness=float(uneven))


def potential_step(structure: Structure, field: DensityField | StreamedDensity) -> float:
    """Step in V across one slab, `SlabReference.step`; of a cell that repeats a slab with its vacuum, across each.

    Of a density that is made plane by plane from its ``moments``.

    Raises
    ------
    InputError
        If there is no vacuum, or nothing is known of the moments.
    """
    vacuum = find_vacuum(structure)
    if vacuum is None:
        raise InputError(f"slab: no gap of {VACUUM} Å between atomic planes; this is a bulk cell")
    axis, centre, width = vacuum
    if isinstance(field, DensityField):
        dipole = _dipole(structure, field, axis, centre)
    elif field.moments is None:
        raise InputError("slab: a density given plane by plane without its moments has no known potential step")
    else:
        dipole = _dipole_of_moments(structure, field.moments, axis, centre)
    heights = np.sort(np.mod(structure.atoms.get_scaled_positions(wrap=False)[:, axis], 1.0))
    gaps = np.diff(np.append(heights, heights[0] + 1.0)) / float(np.linalg.norm(np.linalg.inv(structure.cell)[:, axis]))
    return dipole / EPS0 / int((gaps > width - SAME).sum())


def _dipole_of_moments(structure: Structure, moments: npt.NDArray[np.float64], axis: int, centre: float) -> float:
    """Dipole p in e/Å from electrons and first moments (N, 4) of the atoms; heights count from mid-vacuum."""
    inverse = np.linalg.inv(structure.cell)[:, axis]
    period = 1.0 / float(np.linalg.norm(inverse))
    height = np.mod(structure.positions @ inverse * period - centre, period)
    area = structure.volume / period
    return -float(moments[:, 0] @ height + (moments[:, 1:] @ inverse).sum() * period) / area


def planar_average(
    structure: Structure,
    field: DensityField | None,
    axis: int,
    height: npt.ArrayLike,
    parametrization: str | FormFactor = "pbe",
    smoothing: float = 0.0,
) -> npt.NDArray[np.float64]:
    """Periodic potential in V averaged over planes at ``height`` (Å along the normal of the other two vectors).

    Frequencies up to 8 1/Å; ``smoothing`` is the width σ in Å of a Gaussian it is folded with.
    """
    period = float(structure.heights[axis])
    h = _along(axis, int(np.ceil(8.0 * period)))
    coefficients = structure_factors(field, structure, h, parametrization)
    coefficients *= np.exp(-2.0 * np.pi**2 * (h[:, axis] / period * smoothing) ** 2)
    return _series(coefficients, h[:, axis], np.asarray(height, dtype=float) / period)


def referred_to_vacuum(potential: PotentialSlices, cell: "ImagingCell", slab: SlabReference) -> PotentialSlices:
    """Slices of the slab alone, zero in the vacuum (mean of both sides).

    Parameters
    ----------
    potential : PotentialSlices
    cell : ImagingCell
        Its oriented cell; the surface normal must lie along the beam or across it.
    slab : SlabReference
        Of ``cell.crystal``.

    Raises
    ------
    InputError
        If the surface is tilted against the beam.
    """
    grid = potential.grid
    lateral = float(np.hypot(slab.normal[0], slab.normal[1]))
    if min(lateral, abs(slab.normal[2])) > 1e-6:
        raise InputError(
            "slab: its surface is neither along nor across the beam; choose a zone axis in or normal to it"
        )
    origin = float(crystal_shift(cell) @ slab.normal)
    if lateral < 1e-6:
        # Averages over slices: Gauss points, exact but where the step in mid-vacuum falls inside one.
        nodes, weights = np.polynomial.legendre.leggauss(16)
        z = (np.arange(grid.shape[2])[:, None] + 0.5 + 0.5 * nodes) * potential.thickness
        added = slab.correction(z * slab.normal[2] - origin) @ (0.5 * weights)
        correction = added[:, None, None]
    else:
        x, y = (np.arange(grid.shape[i]) * potential.sampling[i] for i in (0, 1))
        correction = slab.correction(x[:, None] * slab.normal[0] + y * slab.normal[1] - origin)[None]
    array = potential.array + (correction * potential.thickness).astype(potential.array.dtype)
    record = potential.record | {
        "zero_of_potential": "vacuum, mean of both sides of the slab",
        "vacuum_step_V": slab.step,
        "vacuum_shift_V": slab.shift,
    }
    mean = potential.mean_inner_potential + float(correction.mean())
    return replace(potential, array=array, mean_inner_potential=mean, record=record)


def _dipole(structure: Structure, field: DensityField, axis: int, centre: float) -> float:
    """Dipole p = −∫ s Δn̄ ds in e/Å over one period from mid-vacuum, from the plane-averaged Fourier series."""
    from rhotem.density.fourier import coefficients

    check_field(field, structure)
    period = float(structure.heights[axis])
    h = _along(axis, int(np.ceil(8.0 * period)))
    series = coefficients(field, h) * (field.grid.volume / structure.volume)
    m = h[:, axis]
    nonzero = m != 0
    # ∫_{s_v}^{s_v+L} s exp(2πi m s/L) ds = L²/(2πi m) exp(2πi m s_v/L); the mean is that of a neutral cell, zero.
    terms = series[nonzero] * np.exp(2j * np.pi * m[nonzero] * centre / period) * period**2
    return -float((terms / (2j * np.pi * m[nonzero])).sum().real)


def _along(axis: int, largest: int) -> npt.NDArray[np.int64]:
    h = np.zeros((2 * largest + 1, 3), dtype=np.int64)
    h[:, axis] = np.arange(-largest, largest + 1)
    return h


def _series(coefficients: npt.NDArray, m: npt.NDArray, x: npt.NDArray) -> npt.NDArray[np.float64]:
    return np.asarray((np.exp(2j * np.pi * x[:, None] * m) @ coefficients).real, dtype=np.float64)
