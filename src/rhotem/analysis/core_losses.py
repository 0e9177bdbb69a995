"""Maps of core losses of a specimen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rhotem.analysis.run import Potentials
from rhotem.analysis.specimen import Specimen
from rhotem.core import InputError, Progress, silent
from rhotem.microscope.core_loss import Placed, core_loss_maps
from rhotem.microscope.images import ImageSet

if TYPE_CHECKING:
    from rhotem.microscope.ionisation import CoreEdge


def core_losses(
    cut: Specimen, potentials: Potentials, edges: "Sequence[str | CoreEdge]", *, progress: Progress = silent
) -> ImageSet:
    """Maps of core losses of one cell, such as ``["Li-K", "O-K", "Co-L23"]``: `rhotem.microscope.core_loss_maps`.

    Parameters
    ----------
    cut : Specimen
        For a scanned probe.
    potentials : Potentials
        Of `rhotem.analysis.run.potential`; maps are the mean over its configurations, of which each takes all beams.
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
    block = cut.block.structure

    pairs = (
        (slices, Placed(block.numbers, block.positions if moved is None else block.positions + moved))
        for slices, moved in zip(potentials, potentials.displacements(), strict=True)
    )
    return core_loss_maps(pairs, cut.preset.microscope, edges, repeats=cut.repeats[:2], progress=progress)
