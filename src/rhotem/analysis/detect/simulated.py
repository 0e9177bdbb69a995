"""Signals of a specimen with and without a feature: one propagation of each answers for every lens and detector."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis import responses, run
from rhotem.analysis.detect.features import Feature, Pair, make_pair
from rhotem.analysis.detect.noise import Channels, channels_of
from rhotem.analysis.motion import Moving
from rhotem.analysis.specimen import Specimen
from rhotem.core import Progress, silent
from rhotem.density.field import DensityField
from rhotem.microscope.detectors import DetectorBase
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.phonons import displacements
from rhotem.microscope.response import Range, Response
from rhotem.microscope.scan import Scan
from rhotem.potential.slices import PotentialSlices, build_potential
from rhotem.structure.debye_waller import thermal_motion
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
    area : float
        Å² of what the images show.
    """

    pair: Pair | None
    before: Response
    after: Response
    area: float

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
    announce: Callable[[Any], None] | None = None,
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
    announce = announce or _nothing
    options: dict[str, Any] = {
        "range": Range(defocus=(min(defocus), max(defocus))),
        "edges": (),
        "memory": memory,
        "progress": progress,
    }
    if feature.kind == "density":
        fields = [run.density(cut, "free-atoms"), run.density(cut, source)]
        made = []
        for field in fields:
            potentials = run.potential(cut, field, memory=memory, **_moving(moving))
            made.append(responses.response(cut, potentials, thicknesses=thicknesses, announce=announce, **options))
            announce = _nothing
        return Simulated(None, made[0], made[1], float(np.prod(made[0].extent)))
    pair = make_pair(wide_host(cut), feature)
    held: list[Response] = []
    everything = np.arange(len(pair.before.block.structure))
    for specimen, kept in ((pair.before, everything), (pair.after, pair.kept)):
        alike = _Alike(pair.before, specimen, kept, run.density(specimen, source), memory, moving)
        held.append(responses.response(specimen, alike, announce=announce, **options))
        announce = _nothing  # that of the second is the same
    return Simulated(pair, held[0], held[1], float(np.prod(held[0].extent)))


def _nothing(plan: Any) -> None:
    pass


def _moving(given: dict[str, Any]) -> Moving:
    return {k: given[k] for k in Moving.__annotations__ if k in given}  # type: ignore[return-value]


class _Alike:
    """Potentials of a specimen whose atoms move as those of another do, one for each configuration."""

    def __init__(
        self,
        host: Specimen,
        cut: Specimen,
        kept: npt.NDArray[np.int64],
        field: DensityField,
        memory: float | None,
        moving: dict[str, Any],
    ) -> None:
        self.host, self.cut, self.kept, self.field, self.memory = host, cut, kept, field, memory
        self.phonons, self.seed = int(moving.get("phonons", 0)), int(moving.get("seed", 0))
        temperature = moving.get("temperature", run.TEMPERATURE)
        self.motion = thermal_motion(host.block.structure, temperature, msd=moving.get("msd"))
        #: cells are one: none moves by itself
        self.independent = False

    def __len__(self) -> int:
        return max(1, self.phonons)

    def __iter__(self) -> Iterator[PotentialSlices]:
        cut = self.cut
        common: dict[str, Any] = {"memory_limit": self.memory, "oversampling": cut.oversampling}
        if not self.phonons:
            yield build_potential(cut.block, cut.grid, self.field, **common)
            return
        common["deformation_msd"] = self.motion.isotropic[self.kept]
        for moved in displacements(self.motion.values, self.phonons, np.random.default_rng(self.seed)):
            yield build_potential(cut.block, cut.grid, self.field, displacements=moved[self.kept], **common)


def narrowed(cut: Specimen, detectors: Sequence[DetectorBase]) -> Specimen:
    """The specimen with other detectors."""
    return replace(cut, preset=cut.preset.model_copy(update={"detectors": tuple(detectors)}))
