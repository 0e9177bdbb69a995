"""How far a density is from its reference, always seen beside free atoms; and the one treatment near nuclei."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.superpose import near_points
from rhotem.structure.model import Structure

#: Grid values nearer to a nucleus (Å) are replaced: an all-electron density on a grid is noise there.
FILL_RADIUS = 0.15
#: Width σ in Å of the Gaussians that take the electrons missing after the replacement.
SIGMA = 0.15
#: Largest |g| in 1/Å of `potential_error_ratio`.
G_MAX = 2.0


def treat_near_nuclei(
    values: npt.NDArray, structure: Structure, grid: PeriodicGrid
) -> tuple[npt.NDArray[np.float64], dict[str, float]]:
    """Deformation density as training, metrics and V_DFT use it: filled near nuclei, electrons exact.

    All-electron densities sampled on a grid are noisy close to nuclei (their valence sums are off by up to 0.3 e).
    Points within 0.15 Å of a nucleus get the mean of the shell around it, one and a half grid steps thick; the
    electrons then missing from −q go to the atoms as Gaussians of σ = 0.15 Å, in proportion to how much the filling
    moved at atoms of that element (so that equivalent atoms get the same).

    Parameters
    ----------
    values : array of the grid's shape
        Deformation density in e/Å³.
    structure : Structure
        Its ``charge`` is q.
    grid : PeriodicGrid

    Returns
    -------
    treated : array
        In e/Å³; integrates to −q.
    record : dict
        Electrons moved: ``filled_e`` by filling, ``residual_e`` by the Gaussians.

    Raises
    ------
    InputError
        If ``values`` are not on the grid or not finite.
    """
    raw = np.asarray(values, dtype=float)
    if raw.shape != grid.shape or not np.isfinite(raw).all():
        raise InputError(f"density: shape {raw.shape} on a grid {grid.shape}, or not finite; expected a finite field")
    result = raw.copy()
    thickness = 1.5 * float(grid.spacing.max())
    for centre in structure.positions:
        points, vectors = near_points(grid, centre, FILL_RADIUS + thickness)
        near = (vectors**2).sum(1) < FILL_RADIUS**2
        if near.any() and not near.all():
            result[tuple(points[near].T)] = raw[tuple(points[~near].T)].mean()
    filled = grid.integrate(result - raw)
    residual = -structure.charge - grid.integrate(result)
    result += residual * _unit_gaussians(structure, grid, _fill_weights(raw, result, structure, grid))
    return result, {"filled_e": filled, "residual_e": residual}


def _fill_weights(
    raw: npt.NDArray, filled: npt.NDArray, structure: Structure, grid: PeriodicGrid
) -> npt.NDArray[np.float64]:
    """Share of every atom in the residual: mean |electrons moved by filling| over atoms of its element."""
    moved = np.zeros(len(structure))
    change = filled - raw
    for atom, centre in enumerate(structure.positions):
        points, _ = near_points(grid, centre, FILL_RADIUS)
        moved[atom] = abs(change[tuple(points.T)].sum())
    for z in np.unique(structure.numbers):
        same = structure.numbers == z
        moved[same] = moved[same].mean()
    return moved / moved.sum() if moved.sum() > 0 else np.full(len(structure), 1.0 / len(structure))


def _unit_gaussians(structure: Structure, grid: PeriodicGrid, weights: npt.NDArray) -> npt.NDArray[np.float64]:
    """Gaussians on the atoms that together sum to one electron on the grid, 1/Å³."""
    total = np.zeros(grid.shape)
    sigma = max(SIGMA, 0.6 * float(grid.spacing.max()))  # a coarse grid cannot hold a narrower one
    for centre, weight in zip(structure.positions, weights, strict=True):
        points, vectors = near_points(grid, centre, 5.0 * sigma)
        gaussian = np.exp(-0.5 * (vectors**2).sum(1) / sigma**2)
        np.add.at(total, tuple(points.T), weight * gaussian / (gaussian.sum() * grid.voxel_volume))
    return total


def nmae_valence_percent(
    predicted: npt.NDArray, reference: npt.NDArray, grid: PeriodicGrid, valence_electrons: float
) -> float:
    """100 Σ|n̂ − n| / N_val. Deformation densities may be given: the free atoms cancel."""
    return 100.0 * _distance(predicted, reference, grid) / valence_electrons


def deformation_error(predicted: npt.NDArray, reference: npt.NDArray, grid: PeriodicGrid) -> float:
    """Σ|Δn̂ − Δn| / Σ|Δn|, a fraction; free atoms have 1."""
    return _distance(predicted, reference, grid) / _distance(np.zeros(grid.shape), reference, grid)


def potential_error_ratio(predicted: npt.NDArray, reference: npt.NDArray, grid: PeriodicGrid) -> float:
    """Error of the potential of ``predicted`` deformation densities, a fraction; free atoms have 1.

    sqrt(Σ|V̂ − V_DFT|² / Σ|V_DFT − V_free|²) over g ≠ 0, |g| < 2/Å in the three planes g·a_i = 0, every g once.
    Both differences are Poisson transforms of deformation densities, V ∝ Δn/g².
    """
    error, scale = _potential_norms(predicted, reference, grid)
    return float(np.sqrt(error / scale))


def valence_electrons(structure: Structure) -> float:
    """Valence electrons of the neutral atoms, GPAW's default data sets."""
    table = free_atoms.load()
    return float(sum(table.default_valence(int(z)) for z in structure.numbers))


@dataclass(frozen=True)
class Scores:
    """The three metrics of one structure, kept as sums so that they can be pooled.

    Parameters
    ----------
    density_distance, density_scale : float
        Σ|Δn̂ − Δn| and Σ|Δn| in e.
    potential_distance, potential_scale : float
        Σ|V̂ − V_DFT|² and Σ|V_DFT − V_free|², one unit for both.
    valence : float
        Valence electrons.
    """

    density_distance: float
    density_scale: float
    potential_distance: float
    potential_scale: float
    valence: float

    @property
    def nmae_valence_percent(self) -> float:
        """See the function of this name."""
        return 100.0 * self.density_distance / self.valence

    @property
    def deformation_error(self) -> float:
        """See the function of this name."""
        return self.density_distance / self.density_scale

    @property
    def potential_error_ratio(self) -> float:
        """See the function of this name."""
        return float(np.sqrt(self.potential_distance / self.potential_scale))

    @property
    def free_atoms_nmae_valence_percent(self) -> float:
        """What free atoms have; their other two metrics are 1 by definition."""
        return 100.0 * self.density_scale / self.valence

    def as_dict(self) -> dict[str, float]:
        """The metrics by name, with the free-atom baseline."""
        return {name: getattr(self, name) for name in METRICS}


METRICS = (
    "nmae_valence_percent",
    "deformation_error",
    "potential_error_ratio",
    "free_atoms_nmae_valence_percent",
)


def score(predicted: npt.NDArray, reference: npt.NDArray, structure: Structure, grid: PeriodicGrid) -> Scores:
    """All metrics of a predicted deformation density (e/Å³) against a treated reference."""
    error, scale = _potential_norms(predicted, reference, grid)
    return Scores(
        density_distance=_distance(predicted, reference, grid),
        density_scale=_distance(np.zeros(grid.shape), reference, grid),
        potential_distance=error,
        potential_scale=scale,
        valence=valence_electrons(structure),
    )


def summarise(scores: Iterable[Scores]) -> dict[str, dict[str, float]]:
    """Mean over structures (the overall result), median, and the value of all structures pooled, for each metric.

    Raises
    ------
    InputError
        If there is nothing to summarise.
    """
    every = list(scores)
    if not every:
        raise InputError("metrics: no structures to summarise")
    sums = Scores(*(sum(getattr(s, name) for s in every) for name in Scores.__dataclass_fields__))
    return {
        name: {
            "mean": fmean(getattr(s, name) for s in every),
            "median": median(getattr(s, name) for s in every),
            "pooled": getattr(sums, name),
        }
        for name in METRICS
    }


def _distance(predicted: npt.NDArray, reference: npt.NDArray, grid: PeriodicGrid) -> float:
    for values in (predicted, reference):
        if np.shape(values) != grid.shape:
            raise InputError(f"metrics: density of shape {np.shape(values)} on a grid {grid.shape}")
    return grid.integrate(np.abs(np.asarray(predicted, dtype=float) - np.asarray(reference, dtype=float)))


def _potential_norms(predicted: npt.NDArray, reference: npt.NDArray, grid: PeriodicGrid) -> tuple[float, float]:
    """Σ|Δn̂ − Δn|²/g⁴ and Σ|Δn|²/g⁴ of Fourier coefficients in the three planes, in e²/Å²."""
    difference = np.asarray(predicted, dtype=float) - np.asarray(reference, dtype=float)
    indices = grid.indices()
    sums = np.zeros(2)
    for axis in range(3):
        others = [i for i in range(3) if i != axis]
        h = np.zeros((grid.shape[others[0]], grid.shape[others[1]], 3))
        h[..., others[0]] = indices[others[0]][:, None]
        h[..., others[1]] = indices[others[1]][None, :]
        g_squared = ((h @ grid.reciprocal) ** 2).sum(-1)
        # rows that two planes share are counted with the first
        fresh = np.all([h[..., i] != 0 for i in range(axis)], axis=0) if axis else np.ones(g_squared.shape, dtype=bool)
        wanted = fresh & (g_squared > 0) & (g_squared < G_MAX**2)
        for n, values in enumerate((difference, np.asarray(reference, dtype=float))):
            plane = np.fft.fft2(values.mean(axis=axis)) / g_squared.size
            sums[n] += float((np.abs(plane[wanted]) ** 2 / g_squared[wanted] ** 2).sum())
    return float(sums[0]), float(sums[1])
