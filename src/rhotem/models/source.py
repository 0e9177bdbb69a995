"""The learned density as a density source."""

import time
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid, Progress, silent
from rhotem.density import free_atoms
from rhotem.density.convert import evaluate_one_centre
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.positive import make_positive, negative_part
from rhotem.density.superpose import superpose
from rhotem.models.checkpoint import load_model
from rhotem.models.fast_atoms import fast_coefficients, is_fast
from rhotem.models.gated_field import on_gated_grid
from rhotem.models.graph import build_graph
from rhotem.models.grid import Kernel, counted_on_grid
from rhotem.models.model import DensityModel
from rhotem.structure.model import Structure

#: Radii of one-centre parts, and the empty gap (Å) from which a cell counts as a slab.
RADII, VACUUM = 160, 6.0
#: Atoms up to which an analytic density is checked for negative values unasked.
REPORTED = 200

Positive = Literal["auto", "project", "report", "off"]


class Model:
    """Deformation density from a trained network: sharp parts analytic around the atoms, the wide part on the grid.

    Parameters
    ----------
    name : str
        Shipped weights, a run folder, or a .safetensors file.
    device : str
        "cpu" or "cuda".
    positive : "auto", "project", "report" or "off"
        What to do where free atoms + Δn is below zero on the grid: the nearest density of the same count that is not
        (`rhotem.density.positive`), or only say how much there is. auto: project for a gated readout; for an analytic
        one report up to 200 atoms (superposing free atoms costs more than the model).

    Raises
    ------
    InputError
        If the model cannot be loaded.
    """

    def __init__(self, name: str = "default", device: str = "cpu", positive: Positive = "auto") -> None:
        if positive not in ("auto", "project", "report", "off"):
            raise InputError(f"model: positive={positive!r}, expected auto, project, report or off")
        self.positive = positive
        self.model, self.header = load_model(name, device)
        self.name = str(self.header["info"].get("name", name))
        self.device = device

    def __call__(self, structure: Structure, grid: PeriodicGrid) -> DensityField:
        """Deformation density of ``structure``; free atoms throughout where an element was never trained on.

        ∫Δn = −q holds to 1e-6 of the valence electrons, as the g = 0 coefficient and as the sum of the grid part and
        the one-centre parts.

        Raises
        ------
        InputError
            If atoms are closer than 0.5 Å, a slab is charged, or elements are unknown in a charged cell.
        """
        unknown = sorted(set(structure.numbers.tolist()) - set(self.model.settings.elements))
        if unknown:
            return self._free_atoms(structure, grid, unknown)
        _check_charge(structure)
        began = time.perf_counter()
        readout = self.model.readout
        given = atom_coefficients(self.model, structure) if readout.linear else prepared(self.model, structure)
        encoded = time.perf_counter()
        values, terms, count = self._evaluate(given, structure, grid)
        evaluated = time.perf_counter()
        values, negative = self._checked(values, terms, structure, grid)
        return DensityField(
            kind="deformation",
            structure=structure,
            grid=grid,
            values=values,
            one_centre=terms,
            reference=free_atoms.load().identifier,
            source=f"model {self.name}",
            record={
                "model": self.name,
                "accuracy": self.header["info"].get("accuracy", {}),
                "device": self.device,
                "receptive_field_A": self.model.encoder.receptive_field,
                **count,
                **negative,
                "seconds": {"encoder": encoded - began, "readout": evaluated - encoded},
            },
        )

    def _evaluate(
        self, given: tuple[torch.Tensor, ...], structure: Structure, grid: PeriodicGrid
    ) -> tuple[npt.NDArray[np.float64], tuple[OneCentre, ...], dict[str, Any]]:
        """Grid values, one-centre parts, and what the electron count needed."""
        if self.model.readout.linear:
            values, correction = counted_on_grid(self.model, given, structure.positions, grid)
            held = self.model.readout.atom_electrons(given).tolist()
            record = {"electrons_by_atom": held, "grid_count_correction_e": correction}
            return values, one_centre_terms(self.model, given[0].numpy()), record
        result = on_gated_grid(self.model, given, structure, grid, split=True)
        record = {"grid_count_correction_e": abs(result.moved), "strength_shift_e_per_A3": result.shift}
        return result.values, result.one_centre, record

    def _checked(
        self,
        values: npt.NDArray[np.float64],
        terms: tuple[OneCentre, ...],
        structure: Structure,
        grid: PeriodicGrid,
    ) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
        """Grid values so that no density is negative, if asked for, and what was."""
        what = self.positive
        if what == "auto":
            what = "report" if len(structure) <= REPORTED else "off"
            if not self.model.readout.linear:
                what = "project"
        if what == "off":
            return values, {}
        free = superpose(structure, grid)
        sharp = DensityField("deformation", structure, grid, values, one_centre=terms)
        total = free + values + evaluate_one_centre(sharp, counted=True)
        record: dict[str, Any] = negative_part(total, grid).record()
        if what == "project":
            change = make_positive(total, free, grid) - total
            record["moved_to_be_positive_e"] = 0.5 * grid.integrate(np.abs(change))
            values = values + change
        return values, record

    def _free_atoms(self, structure: Structure, grid: PeriodicGrid, unknown: list[int]) -> DensityField:
        from ase.data import chemical_symbols

        names = ", ".join(chemical_symbols[z] for z in unknown)
        if structure.charge:
            raise InputError(
                f"model {self.name}: not trained on {names}, and free atoms cannot be charged; set charge 0"
            )
        return DensityField(
            kind="deformation",
            structure=structure,
            grid=grid,
            values=np.broadcast_to(0.0, grid.shape),
            reference=free_atoms.load().identifier,
            source=f"free atoms (model {self.name} does not know {names})",
            record={"model": self.name, "fallback": "free atoms", "unknown_elements": unknown},
        )


def atom_coefficients(
    model: DensityModel,
    structure: Structure,
    kernel: Kernel = "auto",
    memory: float | None = None,
    progress: Progress = silent,
) -> tuple[torch.Tensor, ...]:
    """Coefficients of every atom in float64 on the CPU, their electrons exactly −q.

    ``kernel="plain"`` computes as in training; otherwise compiled where that is possible, within ``memory`` bytes.

    Raises
    ------
    InputError
        If the structure has no atoms, or atoms closer than 0.5 Å.
    MemoryLimitError
        If it does not fit into memory.
    """
    if kernel == "auto" and is_fast(model):
        result = fast_coefficients(model, structure, memory, progress)
    else:
        result = tuple(c.double().cpu() for c in prepared(model, structure))
    electrons = model.readout.blocks[-1].electrons
    held = sum(
        float((c[..., 0] @ torch.from_numpy(b.electrons)).sum())
        for c, b in zip(result, model.readout.blocks, strict=True)
    )
    result[-1][:, -1, 0] += (-structure.charge - held) / (len(structure) * electrons[-1])
    return result


def prepared(model: DensityModel, structure: Structure) -> tuple[torch.Tensor, ...]:
    """What the readout needs of every atom, on the model's device.

    Raises
    ------
    InputError
        If the structure has no atoms, or atoms closer than 0.5 Å.
    MemoryLimitError
        If it does not fit into memory.
    """
    parameter = next(model.parameters())
    graph = build_graph(structure.numbers, structure.positions, structure.cell, model.encoder.cutoff, structure.charge)
    try:
        with torch.no_grad():
            return model(graph.to(parameter.device, parameter.dtype))
    except RuntimeError as error:  # torch's word for it
        if "memory" not in str(error):
            raise
        raise MemoryLimitError(f"model: {len(structure)} atoms do not fit into memory; use a smaller cell") from error


def one_centre_terms(model: DensityModel, coefficients: npt.NDArray[np.float64]) -> tuple[OneCentre, ...]:
    """The sharp block of every atom as radial functions, R_lm(r) = Σ_n c_nlm r^l G_n(r)."""
    block = model.readout.blocks[0]
    radii = np.linspace(0.0, np.sqrt(block.cutoff), RADII) ** 2
    functions = block.radial(radii)
    powers = np.concatenate([np.tile(radii**l, (2 * l + 1, 1)) for l in range(block.lmax + 1)])
    return tuple(OneCentre(atom, radii, (c.T @ functions) * powers) for atom, c in enumerate(coefficients))


def _check_charge(structure: Structure) -> None:
    """Refuse charged slabs: their background would fill the vacuum."""
    if not structure.charge:
        return
    heights = 1.0 / np.linalg.norm(np.linalg.inv(structure.cell), axis=0)
    fractional = np.sort(structure.atoms.get_scaled_positions(wrap=True), axis=0)
    gaps = np.diff(np.concatenate([fractional, fractional[:1] + 1.0]), axis=0).max(axis=0) * heights
    if gaps.max() > VACUUM:
        raise InputError(
            f"charge {structure.charge:+g} e in a cell with {gaps.max():.1f} Å of vacuum: the compensating background "
            "would fill it; use a neutral slab"
        )
