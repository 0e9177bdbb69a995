"""The members of an ensemble one by one: what error bars of anything after the density are made of."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.field import DensityField
from rhotem.models.graph import build_graph
from rhotem.models.model import DensityModel
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.models.source import Model


def member_coefficients(model: DensityModel, structure: Structure) -> tuple[torch.Tensor, ...]:
    """Coefficients of every member, (members, N, functions, (lmax+1)²) per block of the readout.

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
            return model.member_coefficients(graph.to(parameter.device, parameter.dtype))
    except RuntimeError as error:  # torch's word for it
        if "memory" not in str(error):
            raise
        raise MemoryLimitError(f"model: {len(structure)} atoms do not fit into memory; use a smaller cell") from error


def member_fields(source: "Model", structure: Structure, grid: PeriodicGrid, widening: float) -> Iterator[DensityField]:
    """One density per member, mean + widening · (member − mean); the encoder runs once.

    Raises
    ------
    InputError
        If the model has a single member or does not know an element, or as for the density itself.
    """
    model = source.model
    count = model.settings.members
    unknown = set(structure.numbers.tolist()) - set(model.settings.elements)
    if count == 1 or unknown:
        why = "has a single member" if count == 1 else "does not know every element of this structure"
        raise InputError(f"model {source.name}: {why}, so there is no spread to carry on; leave out --uncertainty")
    each = tuple(c.double().cpu() for c in member_coefficients(model, structure))
    for k in range(count):
        given = tuple(c.mean(0) + widening * (c[k] - c.mean(0)) for c in each)
        values, terms, record = source.evaluate(given, structure, grid)
        yield DensityField(
            kind="deformation",
            structure=structure,
            grid=grid,
            values=values,
            one_centre=terms,
            reference=free_atoms.load().identifier,
            source=f"model {source.name}, member {k + 1} of {count}",
            record={"model": source.name, "member": k, "widening": widening, **record},
        )
