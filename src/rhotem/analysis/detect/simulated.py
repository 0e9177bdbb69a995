"""Signals of a specimen with and without a feature: one propagation of each answers for every lens and detector."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis import responses, run
from rhotem.analysis.detect.features import Feature, Pair, make_pair
from rhotem.analysis.detect.noise import Channels, channels_of
from rhotem.analysis.motion import moving_of
from rhotem.analysis.specimen import Specimen
from rhotem.core import Progress, silent
from rhotem.density.field import DensityField
from rhotem.microscope.detectors import DetectorBase
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.scan import Scan
from rhotem.scattering.response import Range, Response
from rhotem.structure.model import Structure
from rhotem.structure.supercell import lateral_repeats

#: Å: least sides of the cell that holds one changed column.
WIDTH = 12.0


@dataclass(frozen=True, eq=False)
class Simulated:
    """Responses of a specimen before and after a change.

    Parameters
    ----------
    pair : Pair or None
        The specimens; None where only the density differs.
    before, after : Response
    """

    pair: Pair | None
    before: Response
    after: Response

    def channels(
        self, detector: DetectorBase, thickness: float | None = None, **settings: Any
    ) -> tuple[Channels, Channels, Scan, Microscope]:
        """Expected channels after and before the change, their scan and the microscope; lengths in Å."""
        found = []
        for held in (self.after, self.before):
            level = held.level(thickness)
            microscope = held.asked({**settings, "dose": None}, held.thicknesses[level])
            asked = held.ready((detector,), level, counted=True)
            scan = Scan.cell(held.extent, microscope)
            sums = asked.signals(asked.spectrum(microscope), scan, microscope.source_size)
            found.append(channels_of(detector, asked.recorder, sums))
        return found[0], found[1], scan, microscope


def wide_host(cut: Specimen, width: float = WIDTH) -> Specimen:
    """A specimen whose cell is at least ``width`` Å wide and as thick as the whole, every atom by itself."""
    nx, ny = lateral_repeats(cut.cell, width)
    big = cut.cell.repeated(nx, ny, cut.repeats[2]).structure
    whole = Structure(big.atoms.copy(), charge=big.charge, info=cut.crystal.info)
    return run.specimen(whole, (0, 0, 1), basis="input", keep_cell=True, preset=cut.preset)


def simulate_feature(
    cut: Specimen,
    feature: Feature,
    *,
    source: str | None = None,
    defocus: Sequence[float] = (0.0,),
    thicknesses: Sequence[float] | None = None,
    progress: Progress = silent,
    announce: Callable[[Any], None] = lambda plan: None,
    memory: float | None = None,
    **moving: Any,
) -> Simulated:
    """Propagate the beams of a probe through both specimens.

    Parameters
    ----------
    cut : Specimen
        Perfect crystal; its preset names microscope and detectors.
    feature : Feature
    source : str, optional
        Of the density; None: the learned one.
    defocus : sequence of float
        Least and most to be asked for, Å.
    thicknesses : sequence of float, optional
        nm, of a change of the density; one of atoms has the thickness of the specimen, as its depth belongs to it.
    progress, announce
        As `rhotem.analysis.responses.response`.
    memory : float, optional
        Bytes to stay below.
    **moving
        `rhotem.analysis.motion.Moving`.
    """
    options: dict[str, Any] = {
        "range": Range(defocus=(min(defocus), max(defocus))),
        "edges": (),
        "memory": memory,
        "progress": progress,
    }
    pair, motion = None, moving_of(moving)
    if feature.kind == "density":
        both = [(cut, run.potential(cut, run.density(cut, s), memory=memory, **motion)) for s in ("free-atoms", source)]
        options["thicknesses"] = thicknesses
    else:
        pair = make_pair(wide_host(cut), feature)
        first = run.potential(pair.before, run.density(pair.before, source), memory=memory, **motion)
        both = [(pair.before, first), (pair.after, _Alike(first, pair, run.density(pair.after, source), memory))]
    (cut, potentials), second = both
    before = responses.response(cut, potentials, announce=announce, **options)
    return Simulated(pair, before, responses.response(*second, **options))  # its plan is the same


class _Alike(run.Potentials):
    """Potentials of a changed specimen whose atoms move as those of the other do."""

    def __init__(self, before: run.Potentials, pair: Pair, field: DensityField, memory: float | None) -> None:
        super().__init__(pair.after, field, memory, phonons=before.phonons)
        self._before, self._kept = before, pair.kept
        self.motion = replace(before.motion, values=before.motion.values[pair.kept])

    def displacements(self) -> Iterator[npt.NDArray[np.float64] | None]:
        """Those of the atoms that are there."""
        for moved in self._before.displacements():
            yield None if moved is None else moved[self._kept]
