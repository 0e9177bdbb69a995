"""What a label is: GPAW's all-electron valence density on its doubly refined grid minus free-atom valence densities."""

from functools import cache
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.core.units import BOHR

#: Radius in Å at which free-atom valence densities are cut; part of the definition of the labels.
FREE_ATOM_RADIUS = 10.0


@cache
def free_valence(symbol: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Radii (Å) and spherical, spin-paired PBE valence density (e/Å³) of the free atom of GPAW's default PAW set."""
    from gpaw.setup_data import SetupData

    data = SetupData(symbol, "PBE")
    density = sum(f * phi**2 for f, phi in zip(data.f_j, data.phi_jg, strict=True)) / (4 * np.pi)
    return data.rgd.r_g * BOHR, density / BOHR**3


@cache
def valence_count(symbol: str) -> float:
    """Valence electrons of GPAW's default PBE PAW set."""
    from gpaw.setup_data import SetupData

    return float(sum(SetupData(symbol, "PBE").f_j))


def superpose(atoms: ase.Atoms, grid: PeriodicGrid) -> npt.NDArray[np.float64]:
    """Sum of free-atom valence densities on ``grid`` in e/Å³, every periodic image within 10 Å."""
    total = np.zeros(grid.shape)
    # Extent, in grid steps, of a sphere along each lattice direction.
    reach = [
        int(np.ceil(FREE_ATOM_RADIUS * np.linalg.norm(b) * n)) for b, n in zip(grid.reciprocal, grid.shape, strict=True)
    ]
    steps = grid.cell / np.array(grid.shape)[:, None]
    for position, symbol in zip(atoms.positions, atoms.symbols, strict=True):
        radii, density = free_valence(symbol)
        centre = np.linalg.solve(steps.T, position)
        axes = [np.arange(int(np.floor(c)) - r, int(np.ceil(c)) + r + 1) for c, r in zip(centre, reach, strict=True)]
        y = (axes[1] - centre[1])[:, None, None] * steps[1] + (axes[2] - centre[2])[None, :, None] * steps[2]
        for i in axes[0]:
            distance = np.sqrt((((i - centre[0]) * steps[0] + y) ** 2).sum(-1))
            j, k = np.nonzero(distance < FREE_ATOM_RADIUS)
            if len(j) == 0:
                continue
            n2, n3 = grid.shape[1:]
            flat = (axes[1][j] % n2) * n3 + axes[2][k] % n3
            plane = np.bincount(flat, np.interp(distance[j, k], radii, density), minlength=n2 * n3)
            total[i % grid.shape[0]] += plane.reshape(n2, n3)
    return total


def deformation_density(
    calculator: Any, atoms: ase.Atoms, spin_polarised: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None, dict[str, float]]:
    """Deformation density, magnetization (None without spin) and electron counts of a converged GPAW calculator."""
    if spin_polarised:
        up, down = (calculator.get_all_electron_density(gridrefinement=2, skip_core=True, spin=s) for s in (0, 1))
        valence, magnetization = up + down, up - down
    else:
        valence = calculator.get_all_electron_density(gridrefinement=2, skip_core=True)
        magnetization = None
    grid = PeriodicGrid(atoms.cell.array, valence.shape)
    free = superpose(atoms, grid)
    deformation = valence - free
    counts = {
        "valence_electrons": sum(valence_count(s) for s in atoms.symbols),
        "sum_ae_valence": grid.integrate(valence),
        "sum_free": grid.integrate(free),
        "abs_dn": grid.integrate(np.abs(deformation)),
    }
    return deformation, magnetization, counts
