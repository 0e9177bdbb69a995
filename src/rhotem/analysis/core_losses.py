"""Maps of core losses of a specimen."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.microscope.core_loss import Placed, core_loss_maps, tiling_of
from rhotem.microscope.cost import Sizes
from rhotem.microscope.detectors import edges_of
from rhotem.microscope.images import ImageSet
from rhotem.microscope.ionisation import CoreEdge, Ionisation

if TYPE_CHECKING:
    from rhotem.analysis.specimen import Specimen
    from rhotem.potential.slices import PotentialSlices


@runtime_checkable
class WithAtoms(Protocol):
    """Potentials that know where their atoms are: `rhotem.analysis.run.Potentials`."""

    @property
    def sizes(self) -> Sizes:
        """What one will be."""

    def displacements(self) -> Iterator[npt.NDArray[np.float64] | None]:
        """Displacements (N, 3) in Å of the block's atoms in every configuration."""

    def __len__(self) -> int: ...

    def __iter__(self) -> "Iterator[PotentialSlices]": ...


def core_losses(
    cut: "Specimen", potentials: WithAtoms, edges: Sequence[str | CoreEdge], *, progress: Progress = silent
) -> ImageSet:
    """Maps of core losses of one cell, such as ``["Li-K", "O-K", "Co-L23"]``: `rhotem.microscope.core_loss_maps`.

    Parameters
    ----------
    cut : Specimen
        For a scanned probe.
    potentials : Potentials
        Of `rhotem.analysis.run.potential`; each of its configurations takes a share of the beams.
    edges : sequence of str or CoreEdge
    progress : Progress

    Raises
    ------
    InputError
        If the preset scans no probe, an edge is unknown, or its element is not in the specimen.
    MissingDependencyError
        If GPAW, which solves the atoms, is not there.
    """
    if cut.preset.mode != "stem":
        raise InputError(f"preset {cut.preset.name} scans no probe: core losses are mapped by one; take another")
    block, number = cut.block.structure, len(potentials)
    pairs = (
        (slices, Placed(block.numbers, block.positions, moved))
        for slices, moved in zip(potentials, potentials.displacements(), strict=True)
    )
    repeats = (int(cut.repeats[0]), int(cut.repeats[1]))
    lens = cut.preset.microscope
    return core_loss_maps(pairs, lens, edges, repeats=repeats, configurations=number, progress=progress)


def check_elements(cut: "Specimen") -> None:
    """Refuse core losses of elements that the specimen does not have, before its density is calculated."""
    for edge in edges_of(cut.preset.detectors):
        if edge.number not in cut.block.structure.numbers:
            raise InputError(f"edge {edge.name}: no {edge.symbol} in the specimen")


def check_edges(cut: "Specimen", potentials: "Iterable[PotentialSlices]") -> None:
    """Refuse core losses that cannot be mapped, before anything is propagated; as `core_losses`."""
    edges = edges_of(cut.preset.detectors)
    if not edges:
        return
    if not isinstance(potentials, WithAtoms):
        raise InputError("core losses need the atoms of each potential: make these with rhotem.analysis.run.potential")
    check_elements(cut)
    for edge in edges:
        Ionisation(edge, cut.preset.microscope.energy, 1.0)
    tiling_of(potentials.sizes, cut.preset.microscope, edges, len(potentials))


def with_core_losses(
    cut: "Specimen", potentials: "Iterable[PotentialSlices]", shown: ImageSet, progress: Progress
) -> ImageSet:
    """Images with the maps that detectors ask for beside them."""
    edges = edges_of(cut.preset.detectors)
    if not edges or not isinstance(potentials, WithAtoms):  # `check_edges` refuses others
        return shown
    maps = core_losses(cut, potentials, edges, progress=progress)
    record = shown.record | {"edges": maps.record["edges"], "core_loss_seconds": maps.record["seconds"]}
    return replace(shown, images=shown.images | maps.images, record=record)
