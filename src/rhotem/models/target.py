"""What a network draws: the deformation density, or the whole valence density; free atoms lie between the two."""

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.field import OneCentre
from rhotem.density.superpose import radial_lookup, superpose
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.models.model import DensityModel
    from rhotem.models.readouts.spherical import Spherical

#: "deformation": Δn = n − Σ n_free. "density": n, the valence of GPAW's default data sets, ∫n = N_valence − q.
Target = Literal["deformation", "density"]


def valence_table(elements: int) -> torch.Tensor:
    """Valence electrons by atomic number, (elements,); 0 where there is no free atom."""
    table = free_atoms.load()
    return torch.tensor([float(table.default_valence(z)) if 0 < z <= table.largest else 0.0 for z in range(elements)])


def free_valence(structure: Structure, grid: PeriodicGrid) -> npt.NDArray[np.float64]:
    """Superposed free-atom valence at the points of ``grid``, e/Å³: what lies between n and Δn."""
    return superpose(structure, grid, "valence")


def as_deformation(
    model: "DensityModel", values: npt.NDArray[np.float64], structure: Structure, grid: PeriodicGrid
) -> npt.NDArray[np.float64]:
    """Δn on a grid from what the readout of ``model`` gives there."""
    return values if model.settings.target == "deformation" else values - free_valence(structure, grid)


def minus_free_atoms(structure: Structure) -> tuple[OneCentre, ...]:
    """−n_free,valence of every atom as one-centre functions; they turn an analytic n into Δn."""
    table = free_atoms.load()
    parts = {}
    for z in {int(z) for z in structure.numbers}:
        count = float(table.default_valence(z))
        end = radial_lookup(z, count)[1]
        radii = table.radii(z)
        radii = radii[: int(np.searchsorted(radii, end)) + 1]
        parts[z] = (radii, -math.sqrt(4.0 * math.pi) * table.evaluate(z, radii, count)[None])
    return tuple(OneCentre(atom, *parts[int(z)]) for atom, z in enumerate(structure.numbers))


def start_from_free_atoms(readout: "Spherical", elements: list[int]) -> None:
    """Let coefficients of l = 0 start with the size that free atoms need: n is a hundred times Δn near nuclei."""
    table = free_atoms.load()
    start = 0
    for block in readout.blocks:
        r, w = block.quadrature
        functions = block.orthonormal(0).T @ block.radial(r)
        for z in elements:
            density = table.evaluate(z, r, float(table.default_valence(z)))
            needed = math.sqrt(4.0 * math.pi) * np.abs((functions * w * r**2) @ density)
            own = readout.log_scale[z, 0, start : start + block.functions]
            with torch.no_grad():
                own.copy_(torch.maximum(own, torch.from_numpy(np.log(needed + 1e-9)).to(own)))
        start += block.functions
