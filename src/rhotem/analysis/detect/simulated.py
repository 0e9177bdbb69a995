"""Signals of a specimen with and without a feature: one propagation of each answers for every lens and detector."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from rhotem.analysis import responses, run
from rhotem.analysis.alike import ChangedPotentials
from rhotem.analysis.detect.features import Feature, Pair, Relaxation, make_pair
from rhotem.analysis.detect.noise import Channels, channels_of
from rhotem.analysis.motion import Moving, moving_of
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.uncertainty import EnsembleSource
from rhotem.core import Progress, silent
from rhotem.microscope.detectors import DetectorBase, Segmented
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.record import Recorder
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
    members : callable or None
        Gives a response for every member of the density, of the specimen that has it: that before a change of atoms,
        that after a change of the density.
    """

    pair: Pair | None
    before: Response
    after: Response
    members: Callable[[], Iterator[Response]] | None = None

    def channels(
        self, detector: DetectorBase, thickness: float | None = None, **settings: Any
    ) -> tuple[Channels, Channels, Scan, Microscope]:
        """Expected channels after and before the change, their scan and the microscope; lengths in Å."""
        found = []
        for held in (self.after, self.before):
            recorder, sums, scan, microscope = expected_sums(held, (detector,), thickness, **settings)
            found.append(channels_of(detector, recorder, sums))
        return found[0], found[1], scan, microscope


def expected_sums(
    held: Response, detectors: tuple[DetectorBase, ...], thickness: float | None = None, **settings: Any
) -> tuple[Recorder, npt.NDArray[Any], Scan, Microscope]:
    """Columns (columns, nx, ny) of a counting recorder over one cell, that recorder, the scan and the microscope."""
    level = held.level(thickness)
    microscope = held.asked({**settings, "dose": None}, held.thicknesses[level])
    asked = held.ready(detectors, level, counted=True)
    scan = Scan.cell(held.extent, microscope)
    return asked.recorder, asked.signals(asked.spectrum(microscope), scan, microscope.source_size), scan, microscope


def wide_host(cut: Specimen, width: float = WIDTH) -> Specimen:
    """A specimen whose cell is at least ``width`` Å wide and as thick as the whole, every atom by itself."""
    nx, ny = lateral_repeats(cut.cell, width)
    big = cut.cell.repeated(nx, ny, cut.repeats[2]).structure
    whole = Structure(big.atoms.copy(), charge=big.charge, info=cut.crystal.info)
    pixel = float(max(cut.grid.spacing[:2])) * (1 + 1e-9)  # what was asked for, or what the crystal needs
    return run.specimen(whole, (0, 0, 1), basis="input", keep_cell=True, preset=cut.preset, sampling=pixel)


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
    edges: Sequence[float] = (),
    members: EnsembleSource | None = None,
    relaxed: Relaxation | None = None,
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
    edges : sequence of float
        Circles in mrad that detectors may begin and end at besides those of the preset's; then octants are kept, too.
    members : EnsembleSource, optional
        Whose members tell how far the density may be wrong.
    relaxed : callable, optional
        How atoms give way to the change (`make_pair`).
    **moving
        `rhotem.analysis.motion.Moving`.
    """
    options: dict[str, Any] = {
        "range": Range(defocus=(min(defocus), max(defocus))),
        "edges": tuple(edges),
        "memory": memory,
        "progress": progress,
    }
    if edges:
        options["detectors"] = (*cut.preset.detectors, octants(cut.preset.microscope.convergence, edges))
    pair, motion = None, moving_of(moving)
    if feature.kind == "density":
        both = [(cut, run.potential(cut, run.density(cut, s), memory=memory, **motion)) for s in ("free-atoms", source)]
        options["thicknesses"] = thicknesses
    else:
        pair = make_pair(wide_host(cut), feature, relaxed)
        first = run.potential(pair.before, run.density(pair.before, source), memory=memory, **motion)
        both = [
            (pair.before, first),
            (pair.after, ChangedPotentials(first, pair.after, pair.kept, run.density(pair.after, source), memory)),
        ]
    (cut, potentials), second = both
    before = responses.response(cut, potentials, announce=announce, **options)
    after = responses.response(*second, **options)  # its plan is the same
    if edges:
        before, after = (replace(held, detectors=cut.preset.detectors) for held in (before, after))
    if members is None:
        return Simulated(pair, before, after)
    return Simulated(pair, before, after, lambda: _member_responses(cut, members, potentials.phonons, motion, options))


def octants(convergence: float, edges: Sequence[float]) -> Segmented:
    """Eight segments as far as the largest edge within twice the convergence (mrad)."""
    inside = [edge for edge in edges if edge <= 2 * convergence]
    return Segmented(name="octants ", outer=max(inside, default=min(edges)), segments=8)


def _member_responses(
    cut: Specimen, source: EnsembleSource, phonons: int, motion: Moving, options: dict[str, Any]
) -> Iterator[Response]:
    """One response for every member; all see the same displacements, of one configuration."""
    crystal = cut.cell.unrotated
    still: Moving = {**motion, "phonons": min(1, phonons)}
    for field in source.members(crystal, run.density_grid(source, crystal)):
        yield responses.response(cut, run.potential(cut, field, memory=options["memory"], **still), **options)
